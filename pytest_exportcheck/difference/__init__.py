"""The difference of two saved programs: the files are read as data, described, and compared by the checks. Nothing in
them is run, and no operator or class that they name has to exist here.
"""
