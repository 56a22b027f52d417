"""The kinds of disagreement between eager and a program. Hypothesis shrinks each separately."""

from __future__ import annotations


class Disagreement(Exception):
    """A drawn example at which something is broken. Each kind is shrunk separately."""


class Differs(Disagreement):
    """The program computes something else."""


class Refuses(Disagreement):
    """The program raises, and eager does not."""


class Accepts(Disagreement):
    """The program accepts sizes that are not declared, and computes something else."""
