"""The tables of docs/differences.md: how many programs of each population passed each check, and what the others lack."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.differential.captures import CHECKS
from tests.differential.roundtrips import LOSSLESS, PAIRS

CAPTURED = ("captured", *CHECKS)
LOWERED = ("core ATen", "{}", "post-dispatch")
FILES = (*PAIRS, LOSSLESS)
STAGES = (*CAPTURED, *LOWERED, *FILES)


@dataclass
class Tally:
    """What became of the models of one population: ``wrong`` has (stage, reason) -> names."""

    name: str
    tried: int = 0
    runs: int = 0
    had: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    good: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    wrong: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    at_fault: int = 0

    def note(self, stage: str, reason: str, name: str) -> None:
        """Group models whose reasons differ in the name of a class only."""
        grouped = re.sub(r"(<class '(?:\w+\.)+)\w+'>", r"\1...'>", reason)
        self.wrong.setdefault((stage, grouped), []).append(name)

    def add(self, name: str, found: Mapping[str, str], ours: Mapping[str, str]) -> None:
        """``ours`` is what of it is the reference engine's fault. With a half of torch's, only what its own pair handles counts."""
        self.runs += 1
        for stage, reason in found.items():
            if stage in PAIRS[1:3] and found[PAIRS[0]]:
                continue
            self.had[stage] += 1
            self.good[stage] += not reason
            if reason:
                self.note(stage, reason, name)
        self.at_fault += any(ours.values())


_LISTS = "The lists name the programs that a column does not count, with the first difference or the error."


def table(tallies: Sequence[Tally], stages: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a table with these columns, and of the lists below it."""
    yield f"| population | tried | torch runs | {' | '.join(stages)} |"
    yield "|---" * (len(stages) + 3) + "|"
    for each in tallies:
        cells = (f"{each.good[stage]}/{each.had[stage]}" for stage in stages)
        yield f"| {each.name} | {each.tried} | {each.runs} | {' | '.join(cells)} |"
    yield from ("", _LISTS)
    for each in tallies:
        if each.wrong:
            yield from ("", f"### {each.name}", "")
        for (stage, reason), names in sorted(each.wrong.items()):
            yield f"- **{stage}**: {', '.join(names)}: {' '.join(reason.replace('|', '/').split())}"


#: The lines of the page after which each table begins, in their order.
MARKS = ("<!-- table -->", "<!-- strict table -->")


def write(page: Path, mark: str, text: str) -> None:
    """Replace the part of a page from a mark to the next one."""
    before, _, after = page.read_text().partition(mark)
    following = [each for each in MARKS[MARKS.index(mark) + 1 :] if each in after]
    rest = after[after.index(following[0]) :] if following else ""
    page.write_text(f"{before}{mark}\n{text}\n" + (f"\n{rest}" if rest else ""))
