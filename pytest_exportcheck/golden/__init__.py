"""Golden programs: saved programs with inputs and outputs that a repository keeps, and that later versions of torch must
load and run as before.
"""
