"""Faults of packages: each is found, and costs only its item."""

from __future__ import annotations

import re

import pytest

RUNTIME = '''
import math
import multiprocessing
import os
import signal
import sys
import threading
import time

import torch
from torch.utils import _pytree


class Saved:
    """A runtime whose package is the program itself, with a fault."""

    name, needs, extra = "saved", (), ""

    def compile(self, program, folder):
        torch.export.save(program, folder / "program.pt2")
        return {}

    def load(self, folder):
        def program():
            return torch.export.load(folder / "program.pt2")

        return self.faulty(program)

    def faulty(self, program):
        return flat(program())


def flat(program):
    module = program.module()

    def call(inputs):
        args, kwargs = _pytree.tree_unflatten(list(inputs), program.call_spec.in_spec)
        return _pytree.tree_leaves(module(*args, **kwargs))

    return call


class Transposed(Saved):
    name = "transposed"

    def faulty(self, program):
        changed = program()
        weight = changed.state_dict["linear.weight"].data
        weight.copy_(weight.t().clone())
        return flat(changed)


class Extra(Saved):
    name = "extra"

    def faulty(self, program):
        call = flat(program())
        return lambda inputs: [*call(inputs), torch.ones(1)]


class Nested(Saved):
    name = "nested"

    def faulty(self, program):
        call = flat(program())
        return lambda inputs: [tuple(call(inputs)), 0]


class Writes(Saved):
    """It uses its input as scratch memory."""

    name = "writes"

    def faulty(self, program):
        call = flat(program())

        def writing(inputs):
            outputs = [each.clone() for each in call(inputs)]
            inputs[0].mul_(2)
            return outputs

        return writing


class Keeps(Saved):
    """It works on copies: what the program writes to its inputs is lost."""

    name = "keeps"

    def faulty(self, program):
        call = flat(program())
        return lambda inputs: call([each.clone() for each in inputs])


def wrong_where(condition):
    """Return a fault: one is added to the first output where a condition on the first input holds."""

    def faulty(self, program):
        call = flat(program())

        def wrong(inputs):
            met = condition(inputs[0])
            outputs = list(call(inputs))
            return [outputs[0] + 1, *outputs[1:]] if met else outputs

        return wrong

    return faulty


class AtBatchOne(Saved):
    name, faulty = "batch_one", wrong_where(lambda x: x.shape[0] == 1)


class Expanded(Saved):
    name, faulty = "expanded", wrong_where(lambda x: 0 in x.stride())


class Infinite(Saved):
    """It computes NaN instead of an infinity."""

    name = "infinite"

    def faulty(self, program):
        call = flat(program())
        return lambda inputs: [each.masked_fill(each.isinf(), float("nan")) for each in call(inputs)]


class AtSizeZero(Saved):
    name = "size_zero"

    def faulty(self, program):
        call = flat(program())

        def at_least_one(inputs):
            outputs = list(call(inputs))
            return outputs if inputs[0].shape[0] else [torch.zeros(1, 3), *outputs[1:]]

        return at_least_one


class AnyDtype(Saved):
    """It reads the bytes of a float64 tensor as if they were of float32."""

    name = "any_dtype"

    def faulty(self, program):
        call = flat(program())

        def reread(each):
            if each.dtype is torch.float64:
                return each.contiguous().view(torch.float32).reshape(-1)[: each.numel()].reshape(each.shape)
            return each

        return lambda inputs: call([reread(each) for each in inputs])


class Tires(Saved):
    """The third call of a loaded package is wrong."""

    name = "tires"

    def faulty(self, program):
        call, calls = flat(program()), []

        def tiring(inputs):
            calls.append(inputs)
            outputs = list(call(inputs))
            return [outputs[0] + 1, *outputs[1:]] if len(calls) > 2 else outputs

        return tiring


class Reuses(Saved):
    """Its outputs are in memory that the next call overwrites; they are read before that."""

    name = "reuses"

    def faulty(self, program):
        call, memory = flat(program()), {}

        def reusing(inputs):
            return [
                memory.setdefault((number, each.shape), each.clone()).copy_(each)
                for number, each in enumerate(call(inputs))
            ]

        return reusing


class Threads(Saved):
    """It leaves a thread that never ends."""

    name = "threads"

    def faulty(self, program):
        threading.Thread(target=time.sleep, args=(10_000,)).start()
        return flat(program())


class Spawns(Saved):
    """It computes in a process that it spawns."""

    name = "spawns"

    def faulty(self, program):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            one = pool.apply(math.sqrt, (1,))
        call = flat(program())
        return lambda inputs: [each * one for each in call(inputs)]


class Segfaults(Saved):
    name = "segfaults"

    def faulty(self, program):
        return lambda inputs: os.kill(os.getpid(), signal.SIGSEGV)


class Exits(Saved):
    name = "exits"

    def faulty(self, program):
        return lambda inputs: sys.exit("no licence for this model")
'''

CONFTEST = """
import faulty_runtimes


def exportcheck_runtimes():
    found = [faulty_runtimes.Saved, *faulty_runtimes.Saved.__subclasses__()]
    return [each() for each in found]
"""

CASE = """
import torch

from pytest_exportcheck import export_case

BATCH = {0: torch.export.Dim("batch", max=8)}


@export_case(args=lambda: (torch.randn(2, 3),), dynamic_shapes={"x": BATCH})
class Stateful(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)
        self.register_buffer("calls", torch.ones(3))

    def forward(self, x):
        self.calls.add_(1)
        return self.linear(x), x * self.calls


@export_case(args=lambda: (torch.randn(2, 3), torch.zeros(2, 3)), dynamic_shapes={"x": BATCH, "sum": BATCH})
class Writing(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)

    def forward(self, x, sum):
        sum.add_(x)
        return self.linear(x), x * 2
"""

#: Runtime -> the statuses of its items, and what the text of a failure says.
FOUND = {
    "saved": ("passed", "passed", ""),
    "transposed": ("failed", "failed", "outputs: output[0]: value"),
    "segfaults": ("failed", "failed", "segfaults ended its process at the call of its package (signal SIGSEGV)."),
    "extra": ("failed", "failed", "the package of extra returned 3 outputs, expected 2."),
    "nested": ("failed", "failed", "TypeError: a value of type builtins.tuple cannot be given to another process"),
    "exits": ("failed", "failed", "SystemExit: no licence for this model"),
    "writes": ("failed", "failed", "effects: input args[0]: mutation added  (on the example inputs and fresh inputs)"),
    "keeps": ("passed", "failed", "effects: input args[1]: mutation lost  (on the example inputs and fresh inputs)"),
    "batch_one": ("failed", "failed", "outputs: output[0]: value  (on batch=1)"),
    "size_zero": ("failed", "failed", "outputs: output[0]: shape  (on batch=0)"),
    "expanded": (
        "failed",
        "failed",
        "outputs: output[0]: value  (on args[0] expanded from its first row)",
    ),
    "any_dtype": (
        "passed",  # eager itself refuses x in float64
        "failed",
        "effects: input args[1]: mutated to another value  (on args[1] as float64)",
    ),
    "tires": ("passed", "failed", "outputs: output[0]: value"),
    "infinite": ("passed", "passed", ""),
    "reuses": ("passed", "passed", ""),
    "threads": ("passed", "passed", ""),
    "spawns": ("passed", "passed", ""),
}


@pytest.mark.slow
def test_every_fault_of_a_package_is_found_and_the_next_items_are_judged_rightly(
    whole_torch: None, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(faulty_runtimes=RUNTIME, case_model=CASE)
    result = pytester.runpytest(
        "--exportcheck",
        "--exportcheck-engines=torch",
        "--exportcheck-modes=nonstrict",
        f"--exportcheck-runtime={','.join(FOUND)}",
        "-v",
    )
    text = result.stdout.str()
    outcomes = {name: tuple(_outcome(case, name, text) for case in ("Stateful", "Writing")) for name in FOUND}
    assert outcomes == {name: statuses[:2] for name, statuses in FOUND.items()}
    assert [name for name, (_, _, said) in FOUND.items() if said not in text] == []


def _outcome(case: str, name: str, text: str) -> str:
    found = re.search(rf"::{case}\[torch-nonstrict-{name}\] (PASSED|FAILED)", text)
    return found[1].lower() if found else "not run"


@pytest.mark.slow
def test_special_values_are_tried_on_request(whole_torch: None, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(faulty_runtimes=RUNTIME, case_model=CASE)
    result = pytester.runpytest(
        "--exportcheck",
        "--exportcheck-engines=torch",
        "--exportcheck-modes=nonstrict",
        "--exportcheck-runtime=infinite",
        "--exportcheck-fuzz=2",
        "--exportcheck-fuzz-also=special",
        "-k",
        "Writing and infinite and not fuzz",
    )
    result.assert_outcomes(failed=1)
    said = "  outputs: output[0]: value  (on args[0] with inf and args[0] with -inf)"
    assert said in result.stdout.lines
