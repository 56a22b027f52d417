"""The reference reader and writer of the PT2 archive.

The writer turns a program into plain values (:mod:`.plain`), and these into the structures of the schema. A supplement
holds what the structures cannot: the difference between the plain program and what is read back from its structures.
"""
