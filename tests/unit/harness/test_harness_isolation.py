"""Exceptions as text: the user's line, torch's line, and what to do about an error that does not say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_exportcheck.harness.isolation import causes_of, last_line_of_model, raised_from
from pytest_exportcheck.reports.wording import sentences


def error_of(run):
    with pytest.raises(Exception) as caught:
        run()
    return caught.value


def test_an_error_inside_torch_has_the_users_line_and_torchs():
    weight: Any = None
    raised = raised_from(error_of(lambda: torch.nn.functional.conv2d(torch.ones(1), weight)))
    assert raised.where.endswith("torch.nn.functional.conv2d(torch.ones(1), weight)))")
    assert raised.inside == ""  # an operator has no frame of its own
    raised = raised_from(error_of(lambda: torch.nn.functional.interpolate(torch.ones(1, 1, 2), size=3, mode="cubic")))
    assert "in <lambda>: raised = raised_from(" in raised.where
    assert raised.inside.startswith("torch/nn/functional.py:")
    assert "in interpolate: raise NotImplementedError(" in raised.inside
    assert raised.detail == f"torch raised this at {raised.inside}"


def test_an_error_of_the_user_has_no_line_of_torch():
    assert raised_from(error_of(lambda: 1 / 0)).detail == ""


def test_lines_of_pythons_own_library_are_not_the_users():
    raised = raised_from(error_of(lambda: __import__("json").loads("{")))
    assert raised.where.endswith('__import__("json").loads("{")))')


@pytest.mark.parametrize("name", ["class", "import", "lambda", "None", "del"])
@pytest.mark.parametrize("kind", ["module", "parameter", "buffer"])
@pytest.mark.parametrize("strict", [False, True])
def test_a_python_keyword_in_a_path_is_named(name, kind, strict):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Module()
            if kind == "module":
                self.inner.add_module(name, torch.nn.Linear(2, 2))
            elif kind == "parameter":
                self.inner.register_parameter(name, torch.nn.Parameter(torch.ones(2)))
            else:
                self.inner.register_buffer(name, torch.ones(2))

        def forward(self, x):
            held = getattr(self.inner, name)
            return held(x) if kind == "module" else held * x

    error = error_of(lambda: torch.export.export(Net(), (torch.ones(2),), strict=strict).module())
    path = f"inner.{name}" + (".weight" if kind == "module" else "")
    assert [*sentences(causes_of(error))] == [
        f"{name!r}, in the path {path!r} of the module, is a Python keyword: torch writes the path into code that Python cannot "
        "parse. Rename that submodule, parameter or buffer (the key of a ModuleDict, say)."
    ]


def test_other_errors_have_no_cause():
    assert causes_of(error_of(lambda: 1 / 0)) == ()
    assert causes_of(error_of(lambda: compile("self.class", "<string>", "exec"))) == ()


def test_the_last_line_of_the_model_is_where_it_last_called_something():
    def forward():
        x = torch.ones(2)
        y = x.sum()  # the last line
        raise ValueError(y)

    assert last_line_of_model(forward).endswith(" in forward: y = x.sum()  # the last line")
    assert last_line_of_model(lambda: None) == ""


def test_a_capture_that_fails_after_the_model_ran_names_the_last_line(pytester):
    pytester.makepyfile(
        case_net="""
        import torch
        from pytest_exportcheck import export_case

        @export_case(args=lambda: (torch.randn(3, 4), 2))
        class Net(torch.nn.Module):
            def forward(self, x, n: int):
                return x.reshape(-1, n) * torch.ones(n)
        """
    )
    result = pytester.runpytest(
        "--exportcheck", "--exportcheck-engines=torch", "--exportcheck-modes=nonstrict_postdispatch"
    )
    result.stdout.fnmatch_lines(
        [
            "    got:      IndexError: list index out of range",
            "    the last line of the model that ran: *case_net.py:7 in forward: return x.reshape(-1, n) [*] torch.ones(n)",
            "    torch raised this at torch/fx/experimental/symbolic_shapes.py:* in issue_guard: *",
        ]
    )


def test_a_hook_of_the_import_system_is_not_a_line_of_the_model():
    """An operator may import at its first call; setuptools hooks into that from a folder next to the libraries."""
    file = Path(torch.__file__).parents[1] / "_distutils_hack" / "__init__.py"
    names: dict[str, Any] = {}
    exec(compile("def find():\n    return len('')", str(file), "exec"), names)

    def forward():
        names["find"]()  # the last line
        raise ValueError("no")

    assert last_line_of_model(forward).endswith(" in forward: names['find']()  # the last line".replace("'", '"'))
