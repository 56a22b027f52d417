"""Conversion between the plain values of a program and the structures of the schema."""
