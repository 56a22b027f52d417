"""The script of a bundle, ``repro.py``: the stage again, by torch only where that is possible."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_exportcheck.bundles import fields
from pytest_exportcheck.bundles import script_parts as parts
from pytest_exportcheck.bundles.fields import READABLE, digest_of, field_text
from pytest_exportcheck.bundles.shapes import dims_text, shapes_text
from pytest_exportcheck.bundles.sources import STANDINS
from pytest_exportcheck.harness._torch import EXPORTER_BELOW_AUTOGRAD
from pytest_exportcheck.harness.setup import sample_name
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.policy import CLOSE, without_grad
from pytest_exportcheck.records import BundleEnvironment, BundleRecord, Finding

_OF_VALUES = ("outputs", "effects", "gradients", "aliasing")
#: Keys of effects that only the plugin observes.
_UNSEEN = ("outside", "python_state")
_ENGINE = "torch"


def script_of(record: BundleRecord, environment: BundleEnvironment, given: Any, made: Any) -> str:
    """Return the text of ``repro.py``. ``given`` and ``made`` are what the stage was given and what it made, for findings
    that are not about values.
    """
    if record.start == "nothing":
        return "".join([_head(record, environment, ()), _constants(record, environment), parts.LOOKED_AT])
    needed = _needed(record) or _unreadable(record.finding, given, made)
    if needed:
        return "".join([_head(record, environment, [needed]), "\nHERE = Path(__file__).parent\n", parts.BY_PLUGIN])
    return "".join(_alone(record, environment, made))


def _needed(record: BundleRecord) -> str:
    """Return the packages that a replay needs in addition to torch, for what torch cannot show; empty where torch can."""
    mode, finding = Mode.parse(record.mode), record.finding
    if record.engine not in (_ENGINE, "reference"):
        return f"pytest-exportcheck and the plugin that adds the engine {record.engine}: python repro.py -p PLUGIN"
    stages = mode.unfuzzed.edges
    if record.engine != _ENGINE or "interop" in stages:
        return "pytest-exportcheck, which has the engine reference"
    if any(each not in parts.STAGES for each in stages):
        return "pytest-exportcheck and the plugin that adds the stage: python repro.py -p PLUGIN"
    return "" if _is_shown_by_torch(finding) else _CHECKS


def _unreadable(finding: Finding, given: Any, made: Any) -> str:
    """Return the packages that are needed where the text of a field does not show the difference."""
    if not _is_of_a_field(finding) or given is None:
        return ""
    before, after = (field_text(each, finding.check, finding.key, finding.place) for each in (given, made))
    return "" if before != after else _CHECKS


def _is_of_a_field(finding: Finding) -> bool:
    return finding.check in READABLE and finding.change != "raised"


#: The packages that have the checks.
_CHECKS = "pytest-exportcheck, whose checks show the finding"


def _is_shown_by_torch(finding: Finding) -> bool:
    if finding.change == "raised" or finding.check == "sizes":
        return True
    return (finding.check in _OF_VALUES and finding.key not in _UNSEEN) or finding.check in READABLE


def _head(record: BundleRecord, environment: BundleEnvironment, more: Sequence[str]) -> str:
    """Return the docstring and the imports of the script."""
    outcome, finding = record.outcome, record.finding
    needs = ["torch", *(record.module.needs if record.module else ()), *more]
    lines = [
        f'"""{outcome.case}[{outcome.engine}-{outcome.mode}]: {finding.check}: {_plain(finding.place)}: {finding.change} {finding.key}'.rstrip(),
        "",
        f"Needs {', '.join(needs)} (recorded with torch {environment.settings.torch}).",
        "Prints what is expected and what the stage gives. Exit status 1 while it fails, 0 when it does not.",
        *(
            ["It cannot run the capture again: it compares the recorded values with the recorded program."]
            * (record.start == "nothing")
        ),
        '"""',
        "",
        *_IMPORTS,
    ]
    return "\n".join(lines) + "\n"


_IMPORTS = (
    "import ast",
    "import contextlib",
    "import copy",
    "import hashlib",
    "import importlib",
    "import importlib.machinery",
    "import io",
    "import operator",
    "import re",
    "import sys",
    "import types",
    "from pathlib import Path",
    "from typing import Any",
    "",
    "import torch",
    "import torch.utils._pytree as pytree",
    "from torch.export import Dim",
)


def _constants(record: BundleRecord, environment: BundleEnvironment) -> str:
    finding, case, mode = record.finding, record.case, Mode.parse(record.mode)
    tolerance = case.tolerance
    close = {f"torch.{name}": (tolerance or each).rtol for name, each in CLOSE.items()}
    atol = {f"torch.{name}": (tolerance or each).atol for name, each in CLOSE.items()}
    dtypes = {name: (rtol, atol[name]) for name, rtol in close.items()}
    level = "close" if tolerance and record.level != "structure" else record.level
    settings = environment.settings
    return "\n".join(
        [
            "",
            "HERE = Path(__file__).parent",
            f"SEED, THREADS = {settings.seed + case.seed}, {settings.threads}",
            f"CHECK, KEY, PLACE = {finding.check!r}, {finding.key!r}, {finding.place!r}",
            f"LEVEL, STRIDES, NO_GRAD = {level!r}, {finding.key == 'stride'}, {without_grad(mode.stages)}",
            f"CLOSE = {dtypes!r}",
            f"RECORDED = {_recorded(finding)!r}",
            "",
        ]
    )


def _recorded(finding: Finding) -> str:
    return finding.actual


def _alone(record: BundleRecord, environment: BundleEnvironment, made: Any) -> Iterator[str]:
    """Yield the parts of a script that needs the plugin for nothing."""
    mode, case, finding = Mode.parse(record.mode), record.case, record.finding
    from_module = record.start == "module"
    yield _head(record, environment, ())
    yield _constants(record, environment)
    if from_module:
        yield f"TRAIN, REPLACED = {case.train}, {STANDINS!r}\n"
        yield f"FACTORY = {record.module.factory!r}\n" if record.module else ""
        yield parts.STANDINS
    plain = not any("inputs" in each for each in record.left_out)
    yield _filled(parts.CALLS, plain=str(plain))
    yield _context(case.context)
    yield _shapes(record)
    yield (parts.FACTORY if record.module and record.module.factory else parts.PICKLED) if from_module else parts.LOADED
    stages = mode.unfuzzed.stages if from_module else (mode.last,)
    if from_module or "retrace" in stages:
        yield _filled(parts.CAPTURE, call=_capture(mode))
    if "serdes" in stages:
        yield parts.SAVED_AND_LOADED
    before, after = _expressions(mode, from_module)
    if _is_of_a_field(finding):
        text = field_text(made, finding.check, finding.key, finding.place)
        expected = "{field_text(" + before + ", CHECK, KEY, PLACE)}" if before else _plain(finding.expected)
        yield _field_functions()
        same = f"digest_of(got) == {digest_of(text)!r}"
        yield _filled(parts.FIELD, after=after, before=expected, same=same)
    elif finding.check == "sizes" and finding.change != "narrowed":
        yield _filled(parts.REFUSES, after=after)
    elif finding.change in ("raised", "narrowed"):
        yield _raising(record, after)
    else:
        yield parts.OBSERVED
        given = f"runnable({before})" if before else "build()"
        yield _filled(parts.VALUES, after=after, before=given, last=_last(record))
    yield parts.END


def _expressions(mode: Mode, from_module: bool) -> tuple[str, str]:
    """Return the expressions of the script for what the last stage is given, and for what it makes. The first is empty
    for a capture, and where sizes were drawn: then eager is expected.
    """
    if not from_module:
        return "build()", parts.STAGES[mode.last].replace("made", "build()")
    made = "capture(build())"
    before = ""
    for stage in mode.unfuzzed.edges:
        before, made = made, parts.STAGES[stage].replace("made", made)
    return "" if mode.is_fuzz else before, made


def _filled(text: str, **words: str) -> str:
    for name, word in words.items():
        text = text.replace(f"@{name}@", word)
    return text


def _raising(record: BundleRecord, after: str) -> str:
    finding = record.finding
    act = after if finding.check == "stage" else _filled(_CALL, after=after, last=_last(record))
    return _filled(parts.RAISES, expected=_plain(finding.expected), act=act)


_CALL = """args, kwargs = arguments(CALLS["calls"][@last@])
        run = runnable(@after@)
        with CONTEXT():
            run(*args, **kwargs)"""


def _capture(mode: Mode) -> str:
    given = "module, args, kwargs, dynamic_shapes=SHAPES"
    strict = not mode.is_nonstrict
    if without_grad(mode.stages):
        module, _, name = EXPORTER_BELOW_AUTOGRAD.rpartition(".")
        return f'importlib.import_module("{module}").{name}({given}, strict={strict}, pre_dispatch=False)'
    return f"torch.export.export({given}, strict={strict})"


def _context(context: str) -> str:
    if not context:
        return "\n\nCONTEXT = contextlib.nullcontext\n"
    module, _, name = context.partition(":")
    return f"\n\nCONTEXT = operator.attrgetter({name!r})(importlib.import_module({module!r}))\n"


def _shapes(record: BundleRecord) -> str:
    stored = record.case.dynamic_shapes
    return "".join(f"{line}\n" for line in dims_text(stored).values()) + f"SHAPES = {shapes_text(stored)}\n"


def _field_functions() -> str:
    names = ("field_text", "field_lines", "tensor_text", "plain_text", "tensor_facts", "digest_of")
    return "".join(f"\n\n{inspect.getsource(getattr(fields, name))}" for name in names)


def _last(record: BundleRecord) -> str:
    """Return the number of the call that showed the finding, in the series, as the script writes it."""
    if sample_name(record.call):
        return f'[call["label"] for call in CALLS["calls"]].index({record.call!r})'
    return "1" if record.call == "fresh inputs" else "0"


def _plain(text: str) -> str:
    """Return the first line of a text without the signs that end a string or a field of a format."""
    first = next(iter(text.splitlines()), "")
    return first.replace("\\", "/").replace('"', "'").replace("{", "(").replace("}", ")")
