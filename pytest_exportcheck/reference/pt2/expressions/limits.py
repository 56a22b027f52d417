"""How much an expression may ask of its reader. What torch writes stays far below; each limit is one attack's end."""

LENGTH = 1 << 20  # characters of a text
INFIX_LENGTH = 2_000  # characters of a text with infix operators, which sympy evaluates
DEPTH = 200  # levels of nesting; Python's parser, and so torch's reader, gives up there too
DIGITS = 1024  # of a whole number
BITS = 1 << 16  # of the value that an expression would have where each symbol is a 64-bit number
PRECISION = 1024  # bits of a float
TERMS = 10_000  # of an expression multiplied out, times its degree
PRODUCT_TERMS = 50_000  # of a product that torch forms of the sizes and strides of a tensor
EXPONENT_DIGITS = 4  # of a float's decimal exponent
