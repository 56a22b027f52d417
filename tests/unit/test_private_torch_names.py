"""Private and experimental torch names: only the two ``_torch`` adapters name them, each with a reason and a torch version."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import pytest_exportcheck

PACKAGE = Path(pytest_exportcheck.__file__).parent
ADAPTERS = ("harness/_torch.py", "reference/_torch/")

#: Names that Python documents for its own classes: of a named tuple, and the value of a member of an enum.
PYTHONS = frozenset({"_asdict", "_field_defaults", "_fields", "_make", "_replace", "_value_"})
#: Private names of other libraries, by the file that uses them.
OTHER_LIBRARIES = frozenset(
    {
        ("declare/__init__.py", "_getframe"),
        ("engines/torch_export.py", "_registry"),  # weakref.finalize
        ("reference/exporter/shape_env.py", "_getframe"),
        ("reference/exporter/strict_shape_env.py", "_getframe"),
        ("locate/recorder.py", "_getframe"),
        ("reference/pt2/warn.py", "_getframe"),
        ("session/fixture.py", "_getframe"),
        ("fuzz/hypothesis_driver.py", "_hypothesis_internal_database_key"),
        ("session/items.py", "_use_item_location"),  # pytest
        ("session/xdist_scheduling.py", "_assign_work_unit"),  # xdist
        ("session/xdist_scheduling.py", "_pending_of"),  # xdist
        ("session/xdist_scheduling.py", "_reschedule"),  # xdist
        ("session/xdist_scheduling.py", "_split_scope"),  # xdist
        ("reference/pt2/expressions/builders.py", "_argset"),  # sympy
        ("reference/pt2/payloads/pickles.py", "_Pickler"),
        ("session/timeouts.py", "_current_frames"),
        ("session/timeouts.py", "_exit"),
    }
)
_BY_NAME = ("getattr", "setattr", "hasattr", "delattr", "attrgetter", "methodcaller")
_VERSION = re.compile(r"\((2\.\d+)\)")


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def _is_private_torch(path: str) -> bool:
    parts = path.split(".")
    return parts[0] == "torch" and (any(map(_is_private, parts)) or parts[1:3] == ["fx", "experimental"])


def _chain(node: ast.expr) -> list[str]:
    """Return ``["torch", "fx", "Graph"]`` of ``torch.fx.Graph``; the first is empty where the chain begins with a call, say."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    names.append(node.id if isinstance(node, ast.Name) else "")
    return names[::-1]


def defined_in(tree: ast.AST) -> set[str]:
    """Return the names that a file defines: functions, classes, variables, and attributes of ``self``."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _chain(node)[0] == "self":
            found.add(node.attr)
    return found


def _imports(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Yield line, full path and local name of each import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield node.lineno, each.name, each.asname or each.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for each in node.names:
                yield node.lineno, f"{node.module}.{each.name}", each.asname or each.name


def private_names(source: str, file: str = "file.py", package: frozenset[str] = frozenset()) -> list[str]:
    """Return the private and experimental torch names in a file, each as ``LINE: NAME``.

    ``package`` has the names that other files of the package define: base classes may be there.
    """
    tree = ast.parse(source)
    own = defined_in(tree)
    imports = list(_imports(tree))
    found = {(line, path) for line, path, _ in imports if _is_private_torch(path)}
    local = {name: path for _, path, name in imports if name != path.partition(".")[0]}
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, *rest = _chain(node)
            path = ".".join([local.get(first, first), *rest])
            known = own | package if first in ("self", "cls") and len(rest) == 1 else own
            if path.startswith("torch."):
                found |= {(node.lineno, path)} if id(node) not in inner and _is_private_torch(path) else set()
            elif _is_private(node.attr) and node.attr not in known | PYTHONS:
                found |= {(node.lineno, ast.unparse(node))} if (file, node.attr) not in OTHER_LIBRARIES else set()
        if isinstance(node, ast.Call):
            known = own | PYTHONS
            found |= {(node.lineno, n) for n in _in_call(node) if n not in known and (file, n) not in OTHER_LIBRARIES}
    return [f"{line}: {name}" for line, name in sorted(found)]


def _in_call(call: ast.Call) -> Iterator[str]:
    """Yield private keywords of a call, and names that it takes as texts: of attributes for ``getattr``, and of modules."""
    yield from (each.arg for each in call.keywords if each.arg and _is_private(each.arg))
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    texts = [each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    if function in _BY_NAME:
        yield from (text for text in texts if any(map(_is_private, text.split("."))))
    yield from (text for text in texts if _is_private_torch(text) and all(map(str.isidentifier, text.split("."))))


@pytest.fixture(scope="module")
def sources() -> Mapping[str, str]:
    return {str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}


def test_only_the_adapters_name_private_torch_names(sources: Mapping[str, str]) -> None:
    package = frozenset(name for source in sources.values() for name in defined_in(ast.parse(source)))
    found = [
        f"{file}:{place}"
        for file, source in sorted(sources.items())
        if not file.startswith(ADAPTERS)
        for place in private_names(source, file, package)
    ]
    assert found == [], "give it a public name in harness/_torch.py, or for the reference engine in reference/_torch/"


def test_every_exception_for_another_library_is_needed(sources: Mapping[str, str]) -> None:
    unused = [(file, name) for file, name in sorted(OTHER_LIBRARIES) if name not in sources[file]]
    assert unused == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch.utils._pytree as pytree", ["1: torch.utils._pytree"]),
        ("from torch.utils import _pytree", ["1: torch.utils._pytree"]),
        ("from torch._subclasses import FakeTensor", ["1: torch._subclasses.FakeTensor"]),
        ("from torch.fx.experimental.recording import record", ["1: torch.fx.experimental.recording.record"]),
        ("from torch.fx import experimental", ["1: torch.fx.experimental"]),
        ("import torch\ntorch._C._get_max_operator_version()", ["2: torch._C._get_max_operator_version"]),
        ("import torch\ntorch.ops.aten._assert_scalar.default", ["2: torch.ops.aten._assert_scalar.default"]),
        ("import torch as t\nt._dynamo.reset()", ["2: torch._dynamo.reset"]),
        ("from torch.export import dynamic_shapes as d\nd._DimHint", ["2: torch.export.dynamic_shapes._DimHint"]),
        ("def guards(program):\n    return program._guards_code", ["2: program._guards_code"]),
        ("def schema(node):\n    return node.target._schema.name", ["2: node.target._schema"]),
        ("def type_of(value):\n    return value.get()._type()", ["2: value.get()._type"]),
        ("def keep(module):\n    module._parameters['x'] = 1", ["2: module._parameters"]),
        ("getattr(program, '_guards_code', None)", ["1: _guards_code"]),
        ("attrgetter('node._expr')", ["1: node._expr"]),
        ("import_module('torch._export')", ["1: torch._export"]),
        ("needed('torch', 'torch._export.db')", ["1: torch._export.db"]),
        ("Mode(export=True, _allow_token_discovery=True)", ["1: _allow_token_discovery"]),
        ("class Mode(Base):\n    def tokens(self):\n        return self._tokens", ["3: self._tokens"]),
    ],
)  # fmt: skip
def test_a_private_torch_name_is_found(source: str, expected: list[str]) -> None:
    assert private_names(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.fx.Graph().__class__.__name__",
        "from torch.export import ExportedProgram",
        "def changed(pair):\n    return pair._replace(a=1)",
        "class Case:\n    def __init__(self):\n        self._x = 1\n    def same(self, other):\n        return self._x == other._x",
        "getattr(module, '__file__')",
        "for _ in range(3):\n    pass",
    ],
)
def test_what_is_not_a_private_torch_name_is_not_found(source: str) -> None:
    assert private_names(source) == []


def test_a_name_of_a_base_class_in_another_file_is_the_packages_own() -> None:
    source = "class Case(Base):\n    def name(self):\n        return self._name"
    assert private_names(source, package=frozenset({"_name"})) == []


# --- reasons and versions -------------------------------------------------------------------


def undocumented(source: str) -> list[str]:
    """Return the public names of an adapter without a docstring, or a comment on the lines above, that ends in ``(VERSION)``."""
    lines = source.splitlines()
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            name, reason = node.name, ast.get_docstring(node) or ""
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            name, reason = ast.unparse(target), _comment_above(lines, node.lineno - 1)
        else:
            continue
        if not name.startswith("_") and not _VERSION.search(reason):
            found.append(name)
    return found


def _comment_above(lines: list[str], place: int) -> str:
    """Return the comment above the block of lines that ends at a place."""
    while place and lines[place].strip() and not lines[place].startswith("#"):
        place -= 1
    comment = []
    while place >= 0 and lines[place].startswith("#"):
        comment.append(lines[place])
        place -= 1
    return " ".join(reversed(comment))


def test_every_name_of_the_adapters_says_why_and_since_when_it_has_been_checked(sources: Mapping[str, str]) -> None:
    adapters = {file: source for file, source in sources.items() if file.startswith(ADAPTERS)}
    assert sorted(adapters) == [
        "harness/_torch.py",
        "reference/_torch/__init__.py",
        "reference/_torch/dynamo.py",
        "reference/_torch/objects.py",
        "reference/_torch/sizes.py",
        "reference/_torch/specifications.py",
        "reference/_torch/tracing.py",
        "reference/_torch/values.py",
    ]
    assert [(file, name) for file, source in adapters.items() for name in undocumented(source)] == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a = 1", ["a"]),
        ("# why\na = 1", ["a"]),
        ("_a = 1", []),
        ("# why (2.13).\na = 1\nb = 2\n\nc = 3", ["c"]),
        ("def f():\n    '''Return it (2.13).'''\ndef g():\n    '''Return it.'''", ["g"]),
    ],
)
def test_a_name_without_a_reason_or_a_version_is_found(source: str, expected: list[str]) -> None:
    assert undocumented(source) == expected


# --- independence of the reference engine ---------------------------------------------------

_BANNED = ("torch._export", "torch.export._trace", "torch.export._unlift", "torch.export.pt2_archive")


def _banned(source: str) -> list[str]:
    paths = [path for _, path, _ in _imports(ast.parse(source))]
    paths += [".".join(_chain(node)) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    allowed = ("torch._export.verifier",)
    return [
        path for path in paths if f"{path}.".startswith(tuple(f"{each}." for each in _BANNED)) and path not in allowed
    ]


def test_the_reference_engine_uses_nothing_of_torchs_exporter_but_its_verifiers(sources: Mapping[str, str]) -> None:
    engine = {file: source for file, source in sources.items() if file.startswith("reference/")}
    assert [(file, path) for file, source in engine.items() for path in _banned(source)] == []


def test_a_name_of_torchs_exporter_is_found() -> None:
    assert _banned("from torch.export._trace import _export") == ["torch.export._trace._export"]
    assert _banned("import torch\ntorch._export.serde") == ["torch._export.serde", "torch._export"]
    assert _banned("from torch._export import verifier") == []
