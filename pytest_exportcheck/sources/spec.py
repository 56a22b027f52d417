"""The parser of ``SOURCE:NAME[,OPTION=VALUE...]``, and the cases that a source finds for it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.records import Case


@dataclass(frozen=True)
class Spec:
    """One model, or a glob of models, and the options that change its inputs.

    No part of it needs quotes in a shell, unless the name is a glob: ``timm:test_vit,batch=4,dynamic=none``.
    """

    source: str
    name: str
    options: Mapping[str, str]

    def __str__(self) -> str:
        return ",".join([f"{self.source}:{self.name}", *(f"{key}={value}" for key, value in self.options.items())])

    @property
    def is_glob(self) -> bool:
        """Return whether the name is a glob."""
        return any(sign in self.name for sign in "*?[")

    def named(self, name: str) -> Spec:
        """Return the same options for one of the models that a glob matches."""
        return replace(self, name=name)

    @property
    def case_name(self) -> str:
        """Return the name in ids. Options are part of it, in signs that pytest's ``-k`` understands."""
        return "+".join([self.name, *(f"{key}-{value}" for key, value in self.options.items())])

    def number(self, option: str) -> int | None:
        """Return the option as a whole number of at least 1; None where it is not given.

        Raises
        ------
        SelectionError
            For any other value.
        """
        text = self.options.get(option)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and int(text)):
            raise SelectionError(f"{self}: {option} takes a whole number, at least 1, got {text!r}.")
        return int(text)

    def word(self, option: str, choices: Sequence[str]) -> str:
        """Return the option as one of these words; the first where it is not given.

        Raises
        ------
        SelectionError
            For any other value.
        """
        text = self.options.get(option, choices[0])
        if text not in choices:
            raise SelectionError(f"{self}: {option} must be one of {', '.join(choices)}, got {text!r}.")
        return text


@dataclass(frozen=True)
class Found:
    """The cases of a spec, each under the spec that names only that case. ``label`` is the first part of their ids;
    ``left_out`` lists what else a glob matched and why that is not a case.
    """

    label: str
    cases: Mapping[str, Case]
    left_out: str = ""


def parse(text: str) -> Spec:
    """Parse ``SOURCE:NAME[,OPTION=VALUE...]``, without checking that source, name and options exist.

    Raises
    ------
    SelectionError
        When a part is missing, or an option is given twice.
    """
    head, *tail = text.split(",")
    source, _, name = head.partition(":")
    options: dict[str, str] = {}
    for part in tail:
        key, _, value = part.partition("=")
        if not key or not value:
            raise SelectionError(f"source {text!r}: write options as OPTION=VALUE, separated by commas, got {part!r}.")
        if key in options:
            raise SelectionError(f"source {text!r}: the option {key} is given twice.")
        options[key] = value
    return Spec(source, name, options)


def matching(spec: Spec, known: Iterable[str], *, what: str, see: str) -> list[str]:
    """Return the known names that the spec's name matches, in their order.

    Raises
    ------
    SelectionError
        When none matches; the message names the nearest, or where to look.
    """
    every = list(known)
    names = [name for name in every if fnmatchcase(name, spec.name)]
    if names:
        return names
    near = difflib.get_close_matches(spec.name, every, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"see {see}."
    raise SelectionError(f"{spec.source} has no {what} {spec.name!r}; {hint}")


def found(spec: Spec, names: Sequence[str], cases: Mapping[str, Case], reason: str = "") -> Found:
    """Return the cases that a source has for some of the names that a spec matched; ``reason`` says why the others are
    not cases.
    """
    others = [name for name in names if name not in cases]
    return Found(
        label=spec.source,
        cases={str(spec.named(name)): case for name, case in cases.items()},
        left_out=left_out(spec, others, len(names), reason),
    )


def left_out(spec: Spec, names: Sequence[str], of: int, reason: str) -> str:
    """Return a line for the terminal: how many of the names that a glob matched are not cases, and which."""
    if not names:
        return ""
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"{spec}: {len(names)} of {of} left out, {reason}: {shown}"
