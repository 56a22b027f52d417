"""Conversion between exported programs and plain values; names of a file are checked before they go into code."""
