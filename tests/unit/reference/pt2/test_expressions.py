"""Symbolic expressions as text, and back by a grammar."""

from __future__ import annotations

import time

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from sympy.printing.repr import srepr
from torch.utils._sympy import functions as torch_functions
from torch.utils._sympy.functions import FloorDiv, Max, Min, Mod, PythonMod, RoundToInt, ToFloat
from torch.utils._sympy.numbers import int_oo

from pytest_exportcheck.errors import ExpressionError
from pytest_exportcheck.reference.pt2.expressions import SymbolTable, parse, write
from pytest_exportcheck.reference.pt2.expressions.atoms import ATOMS
from pytest_exportcheck.reference.pt2.expressions.functions import FUNCTIONS

S0, S1 = (sympy.Symbol(name, positive=True, integer=True) for name in ("s0", "s1"))
U0, U1 = (sympy.Symbol(name, integer=True) for name in ("u0", "u1"))
ZF0 = sympy.Symbol("zf0", real=True)
TORCH = {name: value for name, value in vars(torch_functions).items() if isinstance(value, type)}
LEAVES = st.sampled_from([S0, S1, U0, U1]) | st.integers(-9, 9).map(sympy.Integer)


def whole_numbers(inner):
    return st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: a - b, inner, inner),
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a, n: a**n, inner, st.integers(1, 3)),
        st.builds(lambda a, n: FloorDiv(a, n), inner, st.integers(2, 5)),
        st.builds(lambda a, n: PythonMod(a, n), inner, st.integers(2, 5)),
        st.builds(Max, inner, inner),
        st.builds(Min, inner, inner),
        st.builds(lambda a: RoundToInt(ToFloat(a) * 0.3), inner),
        st.builds(lambda a, n: sympy.Mul(n, a, evaluate=False), inner.filter(lambda a: a.is_Add), st.integers(2, 5)),
    )


WHOLE = st.recursive(LEAVES, whole_numbers, max_leaves=8)
REAL = st.builds(lambda a, b: ToFloat(a) * b, WHOLE, st.floats(allow_nan=False, allow_infinity=False))
RELATIONS = st.builds(
    lambda relation, a, b: relation(a, b),
    st.sampled_from([sympy.Eq, sympy.Ne, sympy.Lt, sympy.Le, sympy.Gt, sympy.Ge]),
    WHOLE,
    WHOLE,
)
CONDITIONS = st.recursive(
    RELATIONS,
    lambda inner: st.one_of(
        st.builds(sympy.And, inner, inner), st.builds(sympy.Or, inner, inner), st.builds(sympy.Not, inner)
    ),
    max_leaves=4,
)
EXPRESSIONS = st.one_of(WHOLE, REAL, CONDITIONS)


def read_by_torch(text):
    """What torch's reader does with a text that it wrote; its table lacks some functions that torch writes."""
    return sympy.sympify(text, locals={**TORCH, "int_oo": int_oo})


@given(EXPRESSIONS)
def test_an_expression_comes_back_as_it_was(expression):
    back = parse(write(expression), SymbolTable())
    assert back == expression
    assert write(back) == write(expression)


@given(EXPRESSIONS)
def test_the_text_is_the_one_that_torch_writes(expression):
    assert write(expression) == srepr(expression)


@given(EXPRESSIONS)
def test_what_is_read_means_what_torch_reads(expression):
    text = write(expression)
    values = {S0: 3, S1: 7, U0: 5, U1: 2}
    ours, theirs = (read.subs(values) for read in (parse(text, SymbolTable()), read_by_torch(text)))
    assert ours == theirs


#: One expression of every function, as torch makes it.
SAMPLES = {
    "Add": S0 + 1,
    "Mul": -2 * S0 * U0,
    "Pow": S0**2,
    "Abs": sympy.Abs(U0),
    "floor": sympy.floor(S0 / 2),
    "ceiling": sympy.ceiling(S0 / 2),
    "log": sympy.log(S0),
    "exp": sympy.exp(S0),
    "Piecewise": sympy.Piecewise((S0, U0 > 3), (S1, True)),
    "Equality": sympy.Eq(S0, 3),
    "Unequality": sympy.Ne(S0, 3),
    "StrictLessThan": S0 < 3,
    "LessThan": S0 <= 3,
    "StrictGreaterThan": S0 > 3,
    "GreaterThan": S0 >= 3,
    "And": sympy.And(S0 < 3, S1 < 4, sympy.Ne(U0, 1)),
    "Or": sympy.Or(S0 < 3, S1 < 4),
    "Xor": sympy.Xor(S0 < 3, S1 < 4),
    "Not": sympy.Not(sympy.And(S0 < 3, S1 < 4), evaluate=False),
    "ITE": sympy.ITE(S0 < 3, S1 < 4, S1 > 5),
    "FloorDiv": FloorDiv(S0 + 1, 2),
    "CleanDiv": torch_functions.CleanDiv(S0, 3),
    "ModularIndexing": torch_functions.ModularIndexing(S0, 2, 3),
    "Mod": Mod(S0, 3),
    "PythonMod": PythonMod(U0, 3),
    "IntTrueDiv": torch_functions.IntTrueDiv(S0, 2),
    "FloatTrueDiv": torch_functions.FloatTrueDiv(ZF0, sympy.Float(2.5)),
    "PowByNatural": torch_functions.PowByNatural(sympy.Integer(2), S0),
    "FloatPow": torch_functions.FloatPow(ToFloat(S0), sympy.Float(0.5)),
    "Where": torch_functions.Where(S0 > 2, S0, S1),
    "Max": Max(S0, 3),
    "Min": Min(S0, S1, 3),
    "CeilToInt": torch_functions.CeilToInt(ZF0),
    "FloorToInt": torch_functions.FloorToInt(ZF0),
    "TruncToInt": torch_functions.TruncToInt(ZF0),
    "TruncToFloat": torch_functions.TruncToFloat(ZF0),
    "RoundToInt": RoundToInt(ZF0),
    "RoundDecimal": torch_functions.RoundDecimal(ZF0, sympy.Integer(2)),
    "ToFloat": ToFloat(S0),
    "Identity": torch_functions.Identity(S0),
    "IsNonOverlappingAndDenseIndicator": torch_functions.IsNonOverlappingAndDenseIndicator(S0, S1, S1, 1),
    **{name: function(ToFloat(S0)) for name, function in TORCH.items() if name.startswith("OpaqueUnaryFn_")},
    **{name: function(S0, sympy.Integer(3)) for name, function in TORCH.items() if name.startswith("BitwiseFn_")},
}
#: A part of Piecewise, other names of functions above, and those that torch makes others of at once.
OTHERS = {"ExprCondPair", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "sqrt", "CeilDiv", "LShift", "RShift"}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_function_comes_back(name):
    text = srepr(SAMPLES[name])
    assert text.startswith(f"{name}(")
    assert write(SAMPLES[name]) == text
    assert parse(text, SymbolTable()) == SAMPLES[name]


@pytest.mark.parametrize("name", sorted(SAMPLES.keys() - {"Piecewise"}))  # of which torch cannot read what it writes
def test_every_function_is_read_as_torch_reads_it(name):
    text = srepr(SAMPLES[name])
    assert parse(text, SymbolTable()) == read_by_torch(text)


def test_every_function_has_a_sample():
    assert SAMPLES.keys() | OTHERS == FUNCTIONS.keys()


def test_every_function_of_torch_is_in_the_table():
    theirs = {name for name, value in TORCH.items() if value.__module__ == torch_functions.__name__}
    theirs = {name for name in theirs if issubclass(TORCH[name], sympy.core.function.Application)}
    assert theirs <= FUNCTIONS.keys()


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("LShift(Symbol('s0', positive=True, integer=True), Integer(2))", 4 * S0),
        ("RShift(Symbol('s0', positive=True, integer=True), Integer(2))", FloorDiv(S0, 4)),
        ("CeilDiv(Symbol('s0', positive=True, integer=True), Integer(2))", FloorDiv(S0 + 1, 2)),
    ],
)
def test_what_torch_replaces_at_once_is_read_as_torch_reads_it(text, made):
    assert parse(text, SymbolTable()) == read_by_torch(text) == made


@pytest.mark.parametrize(
    "constant",
    [
        *(sympy.oo, -sympy.oo, sympy.zoo, sympy.nan, int_oo, -int_oo, sympy.true, sympy.false),
        *(sympy.pi, sympy.E, sympy.I, sympy.S.Half, sympy.Rational(-7, 3), sympy.Integer(-(2**63))),
        *(sympy.Float(value) for value in (0.1, -2.5, 1e300, 5e-324)),
    ],
    ids=str,
)
def test_constants_come_back(constant):
    assert write(constant) == srepr(constant)
    assert parse(write(constant), SymbolTable()) == constant


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (3, "Integer(3)"), (0.5, "Float('0.5', precision=53)")])
def test_numbers_of_python_are_written_too(value, text):
    assert write(value) == text


@pytest.mark.parametrize(
    "expression",
    [
        sympy.Mul(2, S0 + S1, evaluate=False),
        sympy.Mul(2, sympy.Mul(3, S0, evaluate=False), evaluate=False),
        sympy.Eq(U0, 3, evaluate=False),
        sympy.Ge(S0, 0, evaluate=False),
        Max(S0, 0, evaluate=False),
        FloorDiv(4 * S0, 2, evaluate=False),
        RoundToInt(sympy.Integer(2), evaluate=False),
    ],
    ids=str,
)
def test_what_sympy_would_simplify_stays_as_it_was(expression):
    assert parse(write(expression), SymbolTable()) == expression


@pytest.mark.parametrize("expression", [int_oo * U0, int_oo + U0, 2.5 * U0, sympy.pi * U0 / 3], ids=str)
def test_numbers_of_every_kind_are_in_front_in_memory(expression):
    assert parse(write(expression), SymbolTable()) == expression


def test_the_text_does_not_depend_on_how_sympy_is_set_to_print(monkeypatch):
    text = write(S0**2 + S0)
    monkeypatch.setitem(sympy.printing.printer.Printer._global_settings, "order", "rev-lex")
    assert srepr(S0**2 + S0) != text
    assert write(S0**2 + S0) == text


@pytest.mark.parametrize("theirs", [sympy.Max(S0, 3), sympy.Min(S0, 3), sympy.Mod(S0, 3)], ids=str)
def test_what_torchs_reader_makes_of_torchs_functions_is_torchs_again(theirs):
    assert parse(write(theirs), SymbolTable()) == TORCH[type(theirs).__name__](*theirs.args)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s0", S0),
        ("u0", U0),
        ("zf0", ZF0),
        ("zuf0", sympy.Symbol("zuf0")),
        ("21", sympy.Integer(21)),
        ("-1.5", sympy.Float(-1.5)),
        ("-oo", -sympy.oo),
        ("-int_oo", -int_oo),
        ("2*s0 + 1", 2 * S0 + 1),
        ("2*(s0 + s1)", 2 * (S0 + S1)),
        ("s0 - s1 - 1", S0 - S1 - 1),
        ("s0/2/s1", S0 / 2 / S1),
        ("((s0//2)) + 1", FloorDiv(S0, 2) + 1),
        ("s0 % 3", Mod(S0, 3)),
        ("u0 % 3", PythonMod(U0, 3)),
        ("Mod(s0, 3)", Mod(S0, 3)),
        ("-s0**2", -(S0**2)),
        ("s0**-1", 1 / S0),
        ("u0 >= 3", U0 >= 3),
        ("Eq(s0, 3)", sympy.Eq(S0, 3)),
        ("(s0 < 3) & (s1 < 4) & (u0 < 5)", sympy.And(S0 < 3, S1 < 4, U0 < 5)),
        ("(s0 < 3) | ~(s1 < 4)", sympy.Or(S0 < 3, sympy.Not(S1 < 4, evaluate=False))),
        ("sqrt(s0)", sympy.sqrt(S0)),
    ],
)
def test_the_infix_form_is_read_too(text, expected):
    assert parse(text, SymbolTable()) == expected


@given(WHOLE)
def test_the_infix_form_means_what_was_printed(expression):
    values = {S0: 3, S1: 7, U0: 5, U1: 2}
    assert parse(str(expression), SymbolTable()).subs(values) == expression.subs(values)


def test_one_name_is_one_object():
    table = SymbolTable()
    first = parse("Symbol('s0', positive=True, integer=True)", table)
    (again,) = parse("Add(Symbol('s0', positive=True, integer=True), Integer(1))", table).free_symbols
    assert first is again is parse("s0", table) is table.named("s0")


def test_a_name_without_more_is_the_symbol_that_the_program_has():
    table = SymbolTable()
    parse("Symbol('s0', integer=True)", table)
    assert parse("s0 + 1", table) == sympy.Symbol("s0", integer=True) + 1


def test_tables_share_no_symbols():
    parse("Symbol('s0', integer=True)", SymbolTable())
    assert parse("Symbol('s0', positive=True, integer=True)", SymbolTable()) == S0


def test_what_is_written_with_a_table_has_one_symbol_of_a_name():
    table = SymbolTable()
    write(S0 + 1, table)
    with pytest.raises(ExpressionError) as caught:
        write(sympy.Symbol("s0", integer=True) + 2, table)
    assert str(caught.value) == (
        "symbol 's0' is Symbol('s0', integer=True) here and Symbol('s0', positive=True, integer=True) elsewhere in the "
        "program."
    )


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (sympy.factorial(S0), "'factorial(s0)', a factorial"),
        (sympy.Dummy("s0"), "'_s0', a Dummy"),
        (sympy.Symbol("a b"), "'a b', a Symbol"),
        (sympy.Integer(10**1024), f"'1{'0' * 99}...', a Integer"),
        (sympy.Tuple(S0), "'(s0,)', a Tuple"),
        (FloorDiv(sympy.sin(S0), 2), "'sin(s0)', a sin"),
    ],
    ids=str,
)
def test_what_no_file_can_hold_is_not_written(expression, message):
    with pytest.raises(ExpressionError) as caught:
        write(expression)
    assert str(caught.value).endswith(f" has {message}, which a file cannot hold.")


def test_a_text_is_not_taken_for_an_expression_to_write():
    with pytest.raises(ExpressionError) as caught:
        write("s0")
    assert str(caught.value) == "str is not an expression. Expected a sympy expression or a number."


def test_a_text_is_parsed_once_and_an_expression_written_once():
    table, expression = SymbolTable(), FloorDiv(2 * S0 + S1, 3) * S0
    text = write(expression, table)
    assert write(expression, table) is text
    assert parse(text, table) is parse(text, table)


def test_twenty_thousand_repeated_expressions_take_less_than_a_second():
    texts = [write(FloorDiv(S0 + number, 7) * S1) for number in range(100)] * 200
    table, began = SymbolTable(), time.process_time()
    for text in texts:
        parse(text, table)
    assert time.process_time() - began < 1


def test_atoms_are_no_functions():
    assert not ATOMS.keys() & FUNCTIONS.keys()
