"""Plain values of a program <-> the structures of the schema."""
