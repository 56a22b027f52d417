"""Limits on what an expression may cost its reader. What torch writes is far below; each limit ends one kind of
attack.
"""

LENGTH = 1 << 20  # characters of a text
INFIX_LENGTH = 2_000  # characters of a text with infix operators, which sympy evaluates
DEPTH = 200  # levels of nesting; Python's parser, and so torch's reader, gives up there too
DIGITS = 1024  # digits of a whole number
BITS = 1 << 16  # bits of the value that an expression would have where each symbol is a 64-bit number
PRECISION = 1024  # bits of a float
TERMS = 10_000  # terms of an expression multiplied out, times its degree
PRODUCT_TERMS = 50_000  # terms of a product that torch forms of the sizes and strides of a tensor
EXPONENT_DIGITS = 4  # digits of a float's decimal exponent
