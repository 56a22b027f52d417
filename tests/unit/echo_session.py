"""A cheap engine, small modules, and a runner that was told about its items: for the tests of the runner."""

from __future__ import annotations

import copy
import gc
import weakref

import torch

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Case, Origin
from pytest_exportcheck.run.runner import Runner

ORIGIN = Origin("shop", "case_shop.py", 7)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)
        self.register_buffer("total", torch.zeros(2))

    def forward(self, x):
        self.total.add_(x.sum(0))
        return self.layer(x)


def copied(module):
    """Another module that shares its weights, as those of programs do."""
    return copy.deepcopy(module, {id(each): each for each in (*module.parameters(), *module.buffers())})


class Program:
    """A program that is the module itself, or what a test makes of it."""

    def __init__(self, module):
        self._module = module

    def module(self):
        return self._module


class Echo:
    """Exports copies, notes what it was asked for, and remembers its programs weakly."""

    name = "echo"

    def __init__(self):
        self.calls, self.programs = [], []

    def _made(self, what, module):
        program = Program(module)
        self.calls.append(what)
        self.programs.append((what, weakref.ref(program)))
        return program

    def export(self, module, args, kwargs=None, *, dynamic_shapes=None, strict=False, pre_dispatch=True):
        return self._made("strict" if strict else "nonstrict", copied(module))

    def decompose(self, program, decomp_table=None):
        return self._made("decompose", copied(program.module()))

    def unflatten(self, program):
        self.calls.append("unflatten")
        return copied(program.module())

    def alive(self):
        gc.collect()
        return [what for what, program in self.programs if program() is not None]


class Doubling(torch.nn.Module):
    """Another module's state, and outputs that are wrong."""

    def __init__(self, module):
        super().__init__()
        self.__dict__.update(module.__dict__)
        self.real = type(module).forward

    def forward(self, x):
        return self.real(self, x) * 2


def case(build=Net, name="net", **options):
    return Case(name=name, build=build, origin=ORIGIN, args=lambda: (torch.randn(3, 2),), **options)


def modes(*texts):
    return [Mode.parse(text) for text in texts]


class Session:
    """A runner that was told about the items of one engine."""

    def __init__(self, engine, *cases, wanted, **options):
        self.engine = as_engine(engine)
        self.runner = Runner({self.engine.name: self.engine}, **options)
        self.items = [(each, self.engine.name, mode) for each in cases for mode in wanted]
        self.runner.select(self.items)

    def run(self, *texts, of=None):
        given = of or self.items[0][0]
        outcomes = [self.runner.run(given, self.engine.name, mode) for mode in modes(*texts)]
        return outcomes if len(outcomes) > 1 else outcomes[0]

    def run_all(self, order=None):
        return {(item[0].name, str(item[2])): self.runner.run(*item) for item in order or self.items}


def verdicts(outcomes):
    return {key: (outcome.status, outcome.reason, outcome.findings) for key, outcome in outcomes.items()}
