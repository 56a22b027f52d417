"""Runs of cases: the registry of engines and hooks, the runner, and the parts that make, cache and judge the stages of
one case.

A stage is made by ``stage_maker``, judged by ``judging`` against an ``Oracle`` (eager under the circumstances of the
mode), and kept by ``case_runner`` until no later mode builds on it. Verdicts and expectations turn its findings into
the result of an item.
"""
