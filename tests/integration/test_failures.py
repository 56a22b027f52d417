"""What a user reads when something is broken: each fault is put into an engine that is otherwise right."""

from __future__ import annotations

import pytest

STATEFUL = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.arange(6.0).reshape(2, 3) + 1,))
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.twin = self.weight
        self.frozen = torch.nn.Parameter(torch.ones(3), requires_grad=False)
        self.register_buffer("total", torch.zeros(3))
        self.register_buffer("cache", torch.zeros(3), persistent=False)

    def forward(self, x):
        self.total.add_(x.sum(0))
        x.mul_(2)
        return {"y": x * self.weight, "pair": (x + 1, torch.rand(2))}
"""

WRAP = """
def load(self, file, *, extra_files=None):
    class Wrapped(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.__dict__.update(inner.__dict__)
            self.inner_forward = type(inner).forward
        def forward(self, x):
            {body}
    module = copy.deepcopy(self.saved.module())
    {edit}
    return Program(Wrapped(module))
"""


def fault(body: str = "return self.inner_forward(self, x)", edit: str = "pass") -> str:
    return WRAP.format(body=body.replace("\n", "\n            "), edit=edit)


@pytest.mark.parametrize(
    ("broken", "lines"),
    [
        (
            fault("y = self.inner_forward(self, x); y['y'] = y['y'] * 1.5; return y"),
            [
                "serdes broke outputs",
                "  outputs: output[[]'y'[]]: value  (on the example inputs and fresh inputs)",
                "    expected: 2 at [[]0, 0[]]",
                "    got:      3 at [[]0, 0[]]",
                "    6 of 6 elements differ, by at most 6",
            ],
        ),
        (
            fault("y = self.inner_forward(self, x); return {'y': y['y'].double(), 'pair': y['pair']}"),
            ["  outputs: output[[]'y'[]]: dtype*", "    expected: float32", "    got:      float64"],
        ),
        (
            fault("y = self.inner_forward(self, x); return {'y': y['y'], 'pair': list(y['pair'])}"),
            ["  outputs: output: structure*", "    expected: *tuple*", "    got:      *list*"],
        ),
        (
            fault("y = self.inner_forward(self, x); return {'y': y['y'].t().contiguous().t(), 'pair': y['pair']}"),
            ["  outputs: output[[]'y'[]]: stride*", "    expected: [[]3, 1[]]", "    got:      [[]1, 2[]]"],
        ),
        (
            fault("raise ValueError('no kernel')"),
            ["  outputs: the call: raised*", "    expected: outputs, as before", "    got:      ValueError: no kernel"],
        ),
        (
            fault("return self.inner_forward(self, x.clone())"),
            ["  effects: input args[[]0[]]: mutation lost*", "    got:      unchanged"],
        ),
        (
            fault("before = self.total.clone(); y = self.inner_forward(self, x); self.total.copy_(before); return y"),
            ["  effects: state total: mutation lost*"],
        ),
        (
            fault("torch.rand(1); return self.inner_forward(self, x)"),
            ["  outputs: output[[]'pair'[]][[]1[]]: value*", "  effects: random generator: generator*"],
        ),
        (
            fault(edit="module.twin = torch.nn.Parameter(module.weight.detach().clone())"),
            [
                "serdes broke state",
                "  state: weight: untied",
                "    expected: one tensor with twin",
                "    got:      separate tensors in separate storages",
                "    an optimizer would now update 2 tensors instead of 1",
            ],
        ),
        (
            fault(edit="del module.cache; module.register_buffer('cache', torch.zeros(3))"),
            ["  state: cache: persistence", "    expected: False", "    got:      True"],
        ),
        (
            fault(edit="module.frozen.requires_grad_(True)"),
            ["  state: frozen: requires_grad", "    expected: False", "    got:      True"],
        ),
        (
            fault(edit="w = module.frozen; del module.frozen; module.register_buffer('frozen', w.data)"),
            ["  state: frozen: kind", "    expected: parameter", "    got:      buffer"],
        ),
        (
            fault(edit="module.frozen.data[1] = 5"),
            ["  state: frozen: value", "    expected: 1 at [[]1[]]", "    got:      5 at [[]1[]]"],
        ),
        (fault(edit="del module.frozen"), ["  state: frozen: dropped", "    expected: parameter float32[[]3[]]*"]),
        (
            fault(edit="module.register_buffer('extra', torch.zeros(1))"),
            ["  state: extra: added", "    got:      buffer float32[[]1[]]*"],
        ),
    ],
    ids=[
        "value", "dtype", "list for tuple", "stride", "raises", "input mutation lost", "buffer mutation lost",
        "random stream", "untied", "persistence", "requires_grad", "parameter to buffer", "state value", "dropped",
        "added",
    ],
)  # fmt: skip
def test_a_fault_is_named_with_both_values(pytester, run_faulty, broken, lines):
    pytester.makepyfile(case_net=STATEFUL)
    result = run_faulty(broken, "-k", "Net[echo-nonstrict-serdes] or Net[echo-nonstrict]")
    result.assert_outcomes(passed=1, failed=1, deselected=8)
    result.stdout.fnmatch_lines(
        [
            *lines,
            'Reproduce with: pytest --exportcheck --exportcheck-engines=echo "case_net.py::Net[[]echo-nonstrict-serdes[]]"',
        ]
    )


def test_the_sound_engine_passes_the_same_case(echo, run_echo):
    echo.makepyfile(case_net=STATEFUL)
    run_echo().assert_outcomes(passed=10)


def test_reproduce_command_runs_from_where_pytest_was_started(pytester, run_faulty, monkeypatch):
    folder = pytester.mkdir("below")
    (pytester.path / "case_net.py").write_text(STATEFUL)
    pytester.makeini("[pytest]")
    monkeypatch.chdir(folder)
    result = run_faulty(fault("raise ValueError('no')"), "..", "-k", "Net[echo-nonstrict-serdes]")
    result.stdout.fnmatch_lines(['Reproduce with: * ["]../case_net.py::Net[[]echo-nonstrict-serdes[]]["]'])


def test_a_long_error_is_cut_and_whole_with_vv(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    broken = "def decompose(self, program, decomp_table=None):\n    raise ValueError('\\n'.join(map(str, range(99))))"
    short = run_faulty(broken, "-k", "Linear[echo-nonstrict-decompose]")
    short.stdout.fnmatch_lines(["*... 80 lines left out (-vv shows them) ..."])
    whole = run_faulty(broken, "-vv", "-k", "Linear[echo-nonstrict-decompose]")
    whole.stdout.fnmatch_lines(["*50", "*51"])


def test_an_engine_that_edits_its_input_is_named(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    result = run_faulty(
        """
def export(self, module, args, kwargs=None, *, dynamic_shapes=None, strict=False, pre_dispatch=True):
    torch.set_default_dtype(torch.float64)
    with torch.no_grad():
        module.layer.weight.zero_()
    module.layer.bias.requires_grad_(False)
    return Program(copy.deepcopy(module))
""",
        "--exportcheck-modes=nonstrict",
    )
    result.stdout.fnmatch_lines(
        [
            "  stage: module layer.weight: edited",
            "    expected: unchanged by the capture",
            "  stage: module layer.bias: edited",
            "    expected: requires_grad=True",
            "    got:      requires_grad=False",
            "  stage: default dtype: edited",
            "    expected: torch.float32",
            "    got:      torch.float64",
        ]
    )


def test_unsupported_is_skipped_with_its_reason(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    broken = """
def decompose(self, program, decomp_table=None):
    from pytest_exportcheck import Unsupported
    raise Unsupported("no table for this device")
"""
    result = run_faulty(broken, "-rs")
    result.assert_outcomes(passed=8, skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED * unsupported by echo: no table for this device"])


BROKEN_EXPORT = """
def export(self, module, args, kwargs=None, *, dynamic_shapes=None, strict=False, pre_dispatch=True):
    if strict:
        raise ValueError("no bytecode")
    return Program(copy.deepcopy(module))
"""


def test_what_lies_behind_a_broken_mode_is_blocked(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    result = run_faulty(BROKEN_EXPORT, "-rs")
    result.assert_outcomes(passed=7, failed=1, skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED [[]2[]] case_linear.py:4: blocked by strict"])


def test_no_selection_goes_green_over_a_broken_capture(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    result = run_faulty(BROKEN_EXPORT, "-k", "strict-serdes and not nonstrict")
    result.assert_outcomes(failed=1, deselected=9)
    result.stdout.fnmatch_lines(
        [
            "strict is broken; this mode builds on it, and it is not part of this run:",
            "  stage: strict: raised",
            "    got:      ValueError: no bytecode",
        ]
    )
