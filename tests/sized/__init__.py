"""Small functions with a size-dependent defect, and what fuzzing finds of them."""
