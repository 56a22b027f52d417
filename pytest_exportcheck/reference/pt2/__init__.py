"""The reference reader and writer of the PT2 archive.

A program is written down as plain values (:mod:`.plain.values`), these as the structures of the schema, and what the
structures cannot hold as a supplement to them: the difference between the plain program and what is read back from its
structures.
"""
