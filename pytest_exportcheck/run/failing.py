"""The level of a finding for which an item fails."""

from __future__ import annotations

from pytest_exportcheck.engines.protocol import Engine
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.policy import BLOCKING, contract_for, loosest
from pytest_exportcheck.records import Finding
from pytest_exportcheck.run.judging import contract_stage, contract_stage_of


def level_of(engine: Engine, mode: Mode, finding: Finding, unstable: tuple[str, ...]) -> str:
    """Return how strictly the contract judges the check of a finding at a stage; empty where it has no level."""
    if mode.is_fuzz:
        stages = [contract_stage_of(engine, each) for each in mode.unfuzzed.stages]
        return str(loosest(stages, BLOCKING, unstable=unstable).get(finding.check, ""))
    like = contract_stage(engine, mode)
    contract = contract_for(like, unstable=unstable, path=mode.stages, added=like != mode.last)
    return str(contract.get(finding.check, ""))
