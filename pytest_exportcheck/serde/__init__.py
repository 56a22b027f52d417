"""The reference reader and writer of the PT2 archive."""
