"""Expected failures: the fields of an entry, the file that holds entries for cases that cannot be decorated, and its
rewriting.
"""
