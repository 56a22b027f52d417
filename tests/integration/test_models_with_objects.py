"""Models with script objects: no false alarm on either engine, and a number that a capture makes a constant is found."""

from __future__ import annotations

from tests.integration.engine_runs import check_all
from tests.script_objects import needs_compiler

CASES = """
    import torch
    from pytest_exportcheck import export_case
    from tests.script_objects import load

    load()

    class Base(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.queue = torch.classes.exportcheck_test.Queue([])

    @export_case(args=lambda: (torch.randn(3),))
    class Grows(Base):
        def forward(self, x):
            torch.ops.exportcheck_test.push(self.queue, x)
            torch.ops.exportcheck_test.push(self.queue, x * 2)
            return torch.ops.exportcheck_test.pop(self.queue) + 1

    @export_case(args=lambda: (torch.randn(3),))
    class Counts(Base):
        def forward(self, x):
            self.queue.push(x)
            return x + self.queue.size()
"""


@needs_compiler
def test_models_with_a_script_object(pytester):
    pytester.makepyfile(case_script=CASES)
    modes = "nonstrict,nonstrict-decompose,nonstrict-serdes,nonstrict-interop,nonstrict-unflatten"
    ran = check_all(pytester, "-p", "no:xdist", f"--exportcheck-modes={modes}", "-rs")
    ran.stdout.fnmatch_lines(
        [
            "  outputs: output: value  (on fresh inputs)",
            "  Counts  F b b b b  F b b      *",
            "  Grows   . . . . u  . . .      .",
            "exportcheck: 2 cases, 18 items: 9 passed, 2 failed, 6 blocked, 1 unsupported",
        ]
    )
