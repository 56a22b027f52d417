"""The fuzzer of one program: every declared size must give what eager gives, and every other size must be refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

from hypothesis import reject
from hypothesis.errors import UnsatisfiedAssumption

from pytest_exportcheck.fuzz.boundary_values import boundaries, smaller
from pytest_exportcheck.fuzz.captured import Captured
from pytest_exportcheck.fuzz.disagreement import Accepts, Differs, Disagreement, Refuses
from pytest_exportcheck.fuzz.hypothesis_driver import Draw, Explored, explore
from pytest_exportcheck.fuzz.outside import Direction, directions, is_declared
from pytest_exportcheck.fuzz.perturbations import variations_of, varied
from pytest_exportcheck.fuzz.setup import Ground, described
from pytest_exportcheck.fuzz.size_budget import Limits
from pytest_exportcheck.fuzz.size_facts import joined, without_hints
from pytest_exportcheck.fuzz.solver import Domain, solve
from pytest_exportcheck.fuzz.tried_sizes import SizesLog
from pytest_exportcheck.options import EXAMPLES, MOST_EXAMPLES, Fuzzing
from pytest_exportcheck.records import Change, FieldSurvival, Finding, Identity, Inputs, Observation, SizesTried
from pytest_exportcheck.reports.lines import count
from pytest_exportcheck.reports.wording import kind_of

Run: TypeAlias = Callable[[Inputs], Observation]
#: Judged differences between what eager did and what the program did with these inputs.
Compare: TypeAlias = Callable[[Inputs, Observation, Observation], Sequence[Finding]]


@dataclass(frozen=True)
class FuzzTarget:
    """The target of fuzzing: eager, and a program that should do the same. ``captured`` are the program's facts about
    sizes, if they are known. ``may_refuse_variations``: it may refuse layouts that eager accepts, as packages do.
    """

    eager: Run
    run: Run
    compare: Compare
    judge: Callable[[Sequence[Finding]], Sequence[Finding]]
    captured: Captured | None = None
    may_refuse_variations: bool = False


@dataclass(frozen=True)
class Fuzzed:
    """The result of fuzzing. ``statistics`` is hypothesis's text, ``examples`` the number of examples that ran, ``calls``
    are the inputs that showed the broken findings.
    """

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    statistics: str = ""
    ledger: tuple[FieldSurvival, ...] = ()
    examples: int = 0
    sizes: SizesTried | None = None
    calls: Mapping[Identity, Inputs] = field(default_factory=dict)


@dataclass
class _Tally:
    """The results of the examples so far. ``broken`` holds the last findings of each kind, which are the smallest ones
    when hypothesis is done.
    """

    broken: dict[type[Disagreement], Sequence[Finding]] = field(default_factory=dict)
    calls: dict[type[Disagreement], Inputs] = field(default_factory=dict)
    excused: dict[Identity, Finding] = field(default_factory=dict)
    tried: int = 0
    undeclared: int = 0
    refused: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    by_eager: dict[str, int] = field(default_factory=dict)
    filtered: int = 0
    unpinned: list[Mapping[str, int]] = field(default_factory=list)
    log: SizesLog = field(default_factory=SizesLog)

    def found(self, kind: type[Disagreement], findings: Sequence[Finding], call: Inputs) -> None:
        """Keep known and tolerated findings once; raise for broken ones."""
        broken = [each for each in findings if each.verdict == "broken"]
        for each in findings:
            if each.verdict != "broken":
                self.excused.setdefault(each.identity, each)
        if broken:
            self.broken[kind], self.calls[kind] = broken, call
            raise kind


#: Number of further examples for sizes below those that were found.
_POLISH = 150


#: The part of an item's time after which no more undeclared sizes are drawn.
_UNDECLARED = 0.25


def fuzz(ground: Ground, subject: FuzzTarget, *, key: str, options: Fuzzing, seconds: float | None = None) -> Fuzzed:
    """Run this many examples of declared sizes, and at most as many of others, pinned ones before them; no further ones
    after ``seconds``.
    """
    return _Fuzzer(ground, subject, key, options, seconds).run()


def at_call(ground: Ground, subject: FuzzTarget, call: Inputs, finding: Finding) -> tuple[Finding, ...]:
    """Judge one call as fuzzing did when it found this finding."""
    fuzzer = _Fuzzer(ground, subject, "", Fuzzing(examples=1), None)
    try:
        if finding.check == "sizes" and finding.change != "narrowed":
            fuzzer.undeclared_call(call, finding.place, finding.change)
        else:
            fuzzer.declared_call(call, dict(call.sizes), must_agree=True, pin="")
    except (Disagreement, UnsatisfiedAssumption):  # the second is raised for inputs that eager refuses
        pass
    return fuzzer.found()


class _Fuzzer:
    def __init__(self, ground: Ground, subject: FuzzTarget, key: str, options: Fuzzing, seconds: float | None) -> None:
        self._started = time.monotonic()
        self._seconds = seconds
        self._ground = ground
        self._subject = subject
        self._key = key
        self._examples = options.examples
        self._at_first = options.at_first
        captured = subject.captured
        self._facts = (
            joined(ground.facts, captured.facts)
            if captured
            else without_hints(ground.facts, ground.usual(ground.facts))  # their meaning in the program is not known
        )
        self._variations = variations_of(ground.example, options.also)
        self._tally = _Tally()
        self._usual = ground.usual(self._facts)
        self._limits = Limits(self._facts, ground.example, self._usual)
        self._made = f"the capture inferred: {captured.facts}" if captured else ""
        self._constants = _merged(captured.constants if captured else (), ground.constants)

    def run(self) -> Fuzzed:
        domain = solve(self._facts)
        if domain.empty or not self._facts.roots:
            reason = f"no size is left: {domain.empty}" if domain.empty else "no dim is dynamic in this program"
            return Fuzzed((), (f"fuzz: {reason}",))
        domain = self._limits.capped(domain)
        explored = [*self._explore_pinned(), *self._explore_drawn(domain)]
        statistics = "\n\n".join(filter(None, (each.statistics for each in explored)))
        return Fuzzed(
            self.found(),
            tuple(self._notes(domain, explored)),
            statistics,
            self._ledger(),
            self._tally.tried + self._tally.undeclared,
            self._tally.log.record(self._facts.roots, self._tally.refused - self._tally.accepted, self._tally.accepted),
            {each.identity: self._tally.calls[kind] for kind, found in self._tally.broken.items() for each in found},
        )

    def found(self) -> tuple[Finding, ...]:
        """Return the findings so far."""
        broken = self._tally.broken
        found = [finding for kind in (Differs, Refuses, Accepts) for finding in broken.get(kind, ())]
        return (*found, *self._tally.excused.values())

    def _explore_drawn(self, domain: Domain) -> tuple[Explored, Explored]:
        """Explore declared sizes, then others. Where a time is set, others go first: declared sizes use all the rest."""
        if self._seconds is None:
            return self._explore_declared(domain), self._explore_undeclared()
        undeclared = self._explore_undeclared()
        return self._explore_declared(domain), undeclared

    def _is_over(self, part: float = 1.0) -> bool:
        """Return True if this part of the time is used."""
        return self._seconds is not None and time.monotonic() - self._started >= self._seconds * part

    def _ledger(self) -> tuple[FieldSurvival, ...]:
        """Return how many of the ways out of the declared sizes the program refuses."""
        accepted = len(self._tally.accepted)
        refused = len(self._tally.refused - self._tally.accepted)
        return (FieldSurvival(field="sizes.undeclared_refused", kept=refused, dropped=accepted),)

    # --- declared sizes ---------------------------------------------------------------------

    def _explore_declared(self, domain: Domain) -> Explored:
        """Explore sizes of the domain, with a variation where variations are requested: none at first."""
        telling = boundaries(domain, self._usual, self._constants, max(10, self._at_first * 2 // 3))
        usual = {axis.name: axis.nearest(self._usual[axis.name]) for axis in domain.axes}
        first = [self._choices(domain, chosen, 0) for chosen in telling]
        first += [self._choices(domain, usual, number) for number in range(1, len(self._variations) + 1)]
        at: dict[type[Disagreement], dict[str, int]] = {}

        def test(draw: Draw) -> None:
            chosen = domain.choose(draw.number)
            number = draw.number(0, len(self._variations))
            sizes = domain.complete(chosen)
            if sizes is None or not self._limits.allow(sizes):
                self._tally.filtered += 1
                reject()
            try:
                self._declared(draw, sizes, number)
            except Disagreement as error:
                at[type(error)] = chosen
                raise

        explored = explore(
            test, key=self._key, first=first, examples=self._examples, failures=Disagreement, is_over=self._is_over
        )
        below = [point for found in at.values() for point in [found, *smaller(domain, found, usual, _POLISH)]]
        if explored.failed and len(domain.axes) > 1:
            again = [self._choices(domain, point, 0) for point in below]
            explore(test, key=f"{self._key} smaller", first=again, examples=len(again), failures=Disagreement)
        return explored

    def _choices(self, domain: Domain, chosen: Mapping[str, int], number: int) -> list[int]:
        """Return the numbers that must be drawn to get these sizes and this variation."""
        indices = [axis.index(chosen[axis.name]) for axis in domain.axes if axis.count != 1]
        return [*indices, number] if self._variations else indices

    def _explore_pinned(self) -> Iterator[Explored]:
        for number, pinned in enumerate(self._ground.pins):
            sizes = {**self._usual, **pinned}
            if not self._facts.holds(sizes):  # of hints, which promise nothing
                self._tally.unpinned.append(pinned)
                continue

            def test(draw: Draw, sizes: Mapping[str, int] = sizes) -> None:
                self._declared(draw, sizes, 0)

            yield explore(test, key=f"{self._key} pinned {number}", examples=1, failures=Disagreement)

    def _declared(self, draw: Draw, sizes: Mapping[str, int], number: int) -> None:
        """Run one example. Inputs that eager refuses are counted and dropped."""
        call = self._ground.inputs(self._facts, sizes, draw.value)
        must_agree = True
        if number:
            place, variation = self._variations[number - 1]
            call = varied(call, place, variation)
            must_agree = variation.declared and not self._subject.may_refuse_variations
        self.declared_call(call, sizes, must_agree=must_agree, pin=self._pin(sizes, number))

    def declared_call(self, call: Inputs, sizes: Mapping[str, int], *, must_agree: bool, pin: str) -> None:
        """Judge a call at declared sizes. ``must_agree``: the program must accept the inputs if eager does."""
        named = {name: sizes[name] for name in self._facts.roots if name in sizes}
        expected = self._subject.eager(call)
        if expected.raised:
            self._tally.log.add(named, "invalid")
            self._tally.by_eager[expected.raised.type] = self._tally.by_eager.get(expected.raised.type, 0) + 1
            reject()
        self._tally.tried += 1
        with self._tally.log.example(named):
            self._judge(call, expected, sizes, must_agree, pin)

    def _judge(self, call: Inputs, expected: Observation, sizes: Mapping[str, int], must_agree: bool, pin: str) -> None:
        got = self._subject.run(call)
        if not got.raised:
            self._tally.found(Differs, self._differences(call, expected, got, pin), call)
        elif must_agree:
            finding = Finding.of("sizes").at(
                ", ".join(sizes),
                "narrowed",
                "",
                f"accepted, as by eager: {described(self._facts)}",
                got.raised,
                "\n".join(filter(None, [self._made, pin])),
                error=got.raised,
                on=(got.site,),
            )
            self._tally.found(Refuses, self._subject.judge([finding]), call)

    def _differences(self, call: Inputs, expected: Observation, got: Observation, detail: str) -> list[Finding]:
        """Return the differences, without those that two runs of eager itself have."""
        findings = self._subject.compare(call, expected, got)
        if any(each.verdict == "broken" for each in findings):
            noise = {each.identity for each in self._subject.compare(call, expected, self._subject.eager(call))}
            findings = [each for each in findings if each.identity not in noise]
        return [_with_detail(each, detail) for each in findings]

    def _pin(self, sizes: Mapping[str, int], number: int) -> str:
        return "" if number else f"to test these sizes in every run, write in the case: sizes=[{dict(sizes)!r}]"

    # --- other sizes ------------------------------------------------------------------------

    def _explore_undeclared(self) -> Explored:
        ways = [way for way in directions(self._facts, self._ground.example, self._usual) if self._limits.hold(way)]
        if not ways:
            return Explored(failed=False)

        def test(draw: Draw) -> None:
            way = ways[draw.number(0, len(ways) - 1)]
            self._undeclared(way, draw.number(1, way.steps))

        first = [
            [*([number] if len(ways) > 1 else []), *([1] if way.steps > 1 else [])] for number, way in enumerate(ways)
        ]
        return explore(
            test,
            key=f"{self._key} undeclared",
            first=first,
            examples=self._examples,
            failures=Disagreement,
            is_over=partial(self._is_over, _UNDECLARED),
        )

    def _undeclared(self, way: Direction, number: int) -> None:
        sizes = way.at(number)
        if is_declared(self._facts, sizes, self._ground.example):
            reject()
        self.undeclared_call(self._ground.inputs_of(sizes), way.about, "accepted" if way.beyond else "unguarded")

    def undeclared_call(self, call: Inputs, about: str, taken: Change) -> None:
        """Judge a call at sizes that are not declared. ``taken`` is the change where the program computes otherwise."""
        got = self._subject.run(call)
        self._tally.undeclared += 1
        (self._tally.refused if got.raised else self._tally.accepted).add(about)
        if got.raised:
            return
        expected = self._subject.eager(call)
        if expected.raised:
            findings = [self._accepted(about, got, taken, "where_eager_refuses", f"eager raises {expected.raised}")]
        else:
            differences = self._differences(call, expected, got, "")
            worst = next((each for each in differences if each.verdict == "broken"), None)
            if worst is None:
                findings = [
                    self._accepted(about, got, "widened", "", "the program computes the same as eager at these sizes")
                ]
            else:
                what = f"{worst.check}: {worst.place}: {kind_of(worst)}: expected {worst.expected}, got {worst.actual}"
                findings = [self._accepted(about, got, taken, "and_computed_otherwise", what)]
        self._tally.found(Accepts, self._subject.judge(findings), call)

    def _accepted(self, about: str, got: Observation, change: Change, key: str, detail: str) -> Finding:
        expected = f"refused: declared are {described(self._facts)}"
        return Finding.of("sizes").at(about, change, key, expected, "accepted", detail, on=(got.site,))

    # --- notes ------------------------------------------------------------------------------

    def _notes(self, domain: Domain, explored: Sequence[Explored]) -> list[str]:
        notes: list[str] = []
        tally, names = self._tally, ", ".join(self._facts.roots)
        refused = sum(tally.by_eager.values())
        if refused:
            kinds = ", ".join(tally.by_eager)
            notes.append(f"fuzz: eager itself refused {refused} of {tally.tried + refused} inputs ({kinds})")
        notes += self._notes_on_time(explored)
        if domain.filters and tally.tried < min(self._examples, 10):
            facts = "; ".join(map(str, domain.filters))
            notes.append(
                f"fuzz: only {tally.tried} of {tally.tried + tally.filtered} drawn sizes of {names} met the conditions that cannot be "
                f"built into the drawing: {facts}. Pin more with sizes=."
            )
        if any(each.flaky for each in explored):
            notes.append(
                "fuzz: an example failed but passed when repeated: the model or the program is not deterministic"
            )
        notes += [
            f"fuzz: {_UNSHRUNK.format(each)}" for each in dict.fromkeys(each.unshrunk for each in explored) if each
        ]
        notes += [
            f"fuzz: pinned sizes do not fit what the capture inferred from hints: {dict(each)!r}"
            for each in tally.unpinned
        ]
        return [*notes, *self._limits.notes()]

    def _notes_on_time(self, explored: Sequence[Explored]) -> Iterator[str]:
        tried = self._tally.tried
        declared = explored[-2]
        if declared.stopped and tried < min(self._examples, EXAMPLES) and not self._tally.broken:
            yield (
                f"fuzz: its part of the time, {self._seconds:.1f} s, was enough for {count(tried, 'example')} of declared sizes; "
                f"without a time it tries {min(self._examples, EXAMPLES)}. Give more seconds with --exportcheck-fuzz-time."
            )
        if not declared.stopped and tried >= MOST_EXAMPLES == self._examples:
            yield f"fuzz: {MOST_EXAMPLES} examples are the most that an item tries"


_UNSHRUNK = "hypothesis ended the search for smaller sizes early ({}): smaller ones than the reported may fail too"


def _with_detail(finding: Finding, detail: str) -> Finding:
    return replace(finding, detail="\n".join(filter(None, [finding.detail, detail])))


def _merged(*groups: Sequence[int]) -> list[int]:
    """Return numbers of several groups, those that are in several first."""
    counted: dict[int, int] = {}
    for group in groups:
        for number in dict.fromkeys(group):
            counted[number] = counted.get(number, 0) + 1
    return sorted(counted, key=lambda number: (-counted[number], number))
