"""The decorator leaves its cases on the decorated object, and a module's cases are found by scanning it."""

from __future__ import annotations

import types
from typing import Any

import pytest

from pytest_exportcheck.declare import cases_in, cases_on, expect_failure, export_case
from pytest_exportcheck.errors import DeclarationError
from pytest_exportcheck.records import Case, Tolerance


def factory():
    """A factory."""
    return "module"


class Net:
    def __init__(self, width=1, *, bias=False):
        self.width, self.bias = width, bias


def declared(target=factory, **options):
    """The case that the decorator makes of a fresh copy of the target."""
    if isinstance(target, type):
        target = type(target.__name__, (target,), {})
    else:
        target = types.FunctionType(target.__code__, target.__globals__, target.__name__)
        target.__doc__ = factory.__doc__
    export_case(**options)(target)
    (case,) = cases_on(target, __name__)
    return case


def here(error):
    """The file that a message begins with must be this one."""
    message = str(error.value)
    place, _, rest = message.partition(": ")
    assert place.rpartition(":")[0] == __file__
    return rest


def test_the_decorated_object_comes_back_as_it_is():
    def target():
        return None

    assert export_case()(target) is target


def test_a_case_is_named_after_its_object():
    assert declared().name == "factory"


def test_the_origin_is_where_the_decorator_was_called():
    case = declared()
    assert (case.origin.module, case.origin.file) == (__name__, __file__)


def test_declaring_builds_nothing():
    def explode():
        raise AssertionError("built too early")

    export_case(args=explode, kwargs=explode, dynamic_shapes=explode)(explode)


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        (None, (1, False)),
        ({"width": 3, "bias": True}, (3, True)),
        ((4,), (4, False)),
        ([5], (5, False)),
        (lambda: Net(6, bias=True), (6, True)),
    ],
)
def test_init_says_how_a_class_is_constructed(init, expected):
    built = declared(Net, init=init).build()
    assert (built.width, built.bias) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (1e-3, Tolerance(rtol=1e-3, atol=0.0)),
        ((1e-3, 1e-5), Tolerance(rtol=1e-3, atol=1e-5)),
        (Tolerance(rtol=1, atol=2), Tolerance(rtol=1, atol=2)),
    ],
)
def test_tolerance_has_three_spellings(given, expected):
    assert declared(tolerance=given).tolerance == expected


def test_sequences_are_frozen():
    case = declared(modes=["strict"], engines=["torch"], tags=["slow"], expect=[expect_failure(reason="why")])
    assert (case.modes, case.engines, case.tags) == (("strict",), ("torch",), ("slow",))
    assert isinstance(case.expect, tuple)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), ()),
        ([{"batch": 7}], ({"batch": 7},)),
        ({"batch": 7, "length": 0}, ({"batch": 7, "length": 0},)),
        (({"batch": 7}, {}), ({"batch": 7}, {})),
    ],
)
def test_pinned_sizes_are_one_mapping_or_several(given, expected):
    assert declared(sizes=given).sizes == expected


def test_pinned_sizes_are_frozen():
    given = [{"batch": 7}]
    case = declared(sizes=given)
    given[0]["batch"] = 8
    given.append({})
    assert case.sizes == ({"batch": 7},)


@pytest.mark.parametrize("inputs", [None, lambda batch: (batch,), Net])
def test_inputs_are_a_callable(inputs):
    assert declared(inputs=inputs).inputs is inputs


def test_without_a_word_nothing_is_pinned_and_the_example_is_resized():
    assert (declared().sizes, declared().inputs) == ((), None)


def test_several_cases_on_one_object_come_in_reading_order():
    @export_case(name="first")
    @export_case(name="second")
    def target():
        return None

    assert [case.name for case in cases_on(target, __name__)] == ["first", "second"]


def test_a_subclass_does_not_inherit_the_case():
    class Base:
        pass

    export_case()(Base)

    class Derived(Base):
        pass

    assert list(cases_on(Derived, __name__)) == []


def test_a_decorated_subclass_does_not_repeat_the_cases_of_its_base():
    class Base:
        pass

    export_case()(Base)

    class Derived(Base):
        pass

    export_case()(Derived)
    assert [case.name for case in cases_on(Derived, __name__)] == ["Derived"]


@pytest.mark.parametrize("value", [1, "text", None, object(), [1], len])
def test_other_objects_carry_no_cases(value):
    assert list(cases_on(value, __name__)) == []


def test_a_modules_cases_come_in_the_order_of_its_namespace_and_once():
    module = types.ModuleType("shop")
    exec(
        "from pytest_exportcheck import export_case\n"
        "@export_case()\ndef b(): pass\n"
        "@export_case()\ndef a(): pass\n"
        "again = b\n",
        vars(module),
    )
    assert [case.name for case in cases_in(module)] == ["b", "a"]


def test_cases_that_another_module_declared_belong_there():
    @export_case()
    def net():
        return None

    module: Any = types.ModuleType("elsewhere")
    module.net = net
    assert cases_in(module) == []


def test_a_case_file_may_decorate_what_it_imports():
    module: Any = types.ModuleType("case_file")
    module.Shop = type("Shop", (), {})
    exec("from pytest_exportcheck import export_case\nnet = export_case(name='net')(Shop)\n", vars(module))
    assert [case.name for case in cases_in(module)] == ["net"]


def test_an_instance_cannot_be_decorated():
    instance: Any = Net()
    with pytest.raises(DeclarationError) as raised:
        export_case()(instance)
    assert here(raised) == (
        f"export_case decorates an nn.Module class or a function that returns a module, got {instance!r}. "
        "Wrap an instance in a function: `def case(): return instance`."
    )


@pytest.mark.parametrize("name", ["a b", "a/b", "a[b", "a::b", "ä b", "<lambda>"])
def test_a_name_that_fits_no_pytest_id_is_refused(name):
    with pytest.raises(DeclarationError) as raised:
        export_case(name=name)(factory)
    assert here(raised) == (
        "the name of a case is part of a pytest id and may have letters, digits, '_', '.', '+' and '-' only, "
        f"got {name!r}. Pass name=."
    )


def test_a_lambda_needs_a_name():
    with pytest.raises(DeclarationError, match=r"got '<lambda>'. Pass name=.$"):
        export_case()(lambda: None)


def test_init_constructs_classes_only():
    with pytest.raises(DeclarationError) as raised:
        export_case(init={})(factory)
    assert (
        here(raised)
        == f"init= holds the arguments of a class, but {factory!r} is a factory, which takes none. Leave out init=."
    )


@pytest.mark.parametrize("init", ["text", 3])
def test_init_of_another_kind_is_refused(init):
    with pytest.raises(DeclarationError) as raised:
        export_case(init=init)(Net)
    assert here(raised) == (
        f"init takes a mapping of keyword arguments, a sequence of positional ones or a callable, got {init!r}."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modes": "strict"}, "modes takes a sequence of names or globs, got 'strict'."),
        ({"engines": "torch"}, "engines takes a sequence of names or globs, got 'torch'."),
        ({"modes": [1]}, "modes takes a sequence of names or globs, got [1]."),
        ({"tolerance": "1e-3"}, "tolerance takes rtol, (rtol, atol) or a Tolerance, got '1e-3'."),
        ({"tolerance": (1, 2, 3)}, "tolerance takes rtol, (rtol, atol) or a Tolerance, got (1, 2, 3)."),
        ({"inputs": 3}, "inputs takes a callable that accepts sizes as keyword arguments, got 3."),
        ({"inputs": ()}, "inputs takes a callable that accepts sizes as keyword arguments, got ()."),
        *(
            ({"sizes": wrong}, f'sizes takes sizes by the names of dims, such as [{{"batch": 7}}], got {wrong!r}.')
            for wrong in (
                7,
                "batch",
                None,
                [7],
                [("batch", 7)],
                [{"batch": -1}],
                [{"batch": 7.0}],
                [{"batch": "7"}],
                [{"batch": True}],
                {"batch": None},
                [{"batch": 7}, 7],
                {1, 2},
            )
        ),
        ({"expect": ["strict"]}, "expect takes a sequence of expect_failure(...), got ['strict']."),
    ],
)
def test_an_option_of_the_wrong_kind_is_refused_with_its_place(options, message):
    with pytest.raises(DeclarationError) as raised:
        export_case(**options)(factory)
    assert here(raised) == message


def test_one_expectation_outside_a_sequence_is_refused():
    with pytest.raises(DeclarationError, match=r"expect takes a sequence of expect_failure\(\.\.\.\), got Expectation"):
        export_case(expect=expect_failure(reason="why"))(factory)  # type: ignore[arg-type]  # what is refused


def test_an_expectation_covers_everything_that_it_does_not_narrow():
    expectation = expect_failure(reason="why")
    assert (expectation.mode, expectation.engine, expectation.check, expectation.torch) == ("*", "*", "*", "")


def test_an_expectation_knows_its_line():
    assert expect_failure(reason="why").origin.file == __file__


@pytest.mark.parametrize("reason", ["", "  "])
def test_an_expectation_needs_a_reason(reason):
    with pytest.raises(DeclarationError) as raised:
        expect_failure(reason=reason)
    assert here(raised) == "expect_failure needs a reason. Write why the failure is expected."


def test_an_expectation_needs_a_version_range_that_can_be_read():
    with pytest.raises(DeclarationError) as raised:
        expect_failure(reason="why", torch="2.13 or so")
    assert here(raised) == "torch='2.13 or so' is not a version specifier. Write for example torch='>=2.13,<2.15'."


def test_a_case_is_compared_by_identity():
    origin = declared().origin
    assert Case(name="a", build=factory, origin=origin) != Case(name="a", build=factory, origin=origin)
