"""Engines that have captures, edges and artifacts of their own: there is something to call, and nothing else is asked for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.unit.echo_session import Session, case, copied, modes

WANTED = "expected an artifact: an object with a method callable() that returns a function of the model's arguments."


class Own:
    def __init__(self, module, **attributes):
        self.module = module
        self.__dict__.update(attributes)

    def callable(self):
        return self.module


def captured(module, args, kwargs, shapes):
    return Own(copied(module))


def optimised(own):
    assert type(own) is Own
    return Own(own.module)


def findings(mode, capture=captured, edge=optimised):
    engine = SimpleNamespace(name="full", captures={"nonstrict": capture}, edges={"serdes": edge})
    return Session(engine, case(), wanted=modes(mode)).run(mode).findings


def test_artifacts_need_something_to_call_only():
    assert findings("nonstrict-serdes-serdes") == ()


@pytest.mark.parametrize(
    ("mode", "given", "maker"),
    [
        ("nonstrict", {"capture": lambda *given: None}, "capture 'nonstrict'"),
        ("nonstrict-serdes", {"edge": lambda own: None}, "edge 'serdes'"),
    ],
    ids=["capture", "edge"],
)
def test_what_is_no_artifact_is_the_engine_s_fault_and_none_of_the_plugin(mode, given, maker):
    (finding,) = findings(mode, **given)
    assert (finding.check, finding.change) == ("stage", "raised")
    assert finding.error.message == f"{maker} of engine 'full' returned None, {WANTED}"


def test_saving_again_that_raises_is_the_engine_s_fault_and_none_of_the_plugin():
    def resave():
        raise ValueError("the disk is full")

    (finding,) = findings("nonstrict-serdes-serdes", edge=lambda own: Own(own.module, resave=resave))
    assert (finding.check, finding.change) == ("stage", "raised")
    assert (finding.error.type, finding.error.message) == ("ValueError", "the disk is full")
