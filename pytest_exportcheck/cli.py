"""The console command ``exportcheck``. Only ``diff``, which compares tensors, ``replay`` and ``reduce`` import torch.

``exportcheck inspect FILE`` describes a PT2 archive without running anything: only JSON is parsed; weights, sample
inputs and expressions are not loaded or evaluated, so a hostile file is safe to look at. ``exportcheck diff`` compares
two archives, which are read as data. ``exportcheck merge`` joins reports, ``exportcheck compare`` compares two,
``exportcheck html`` shows them as a page, ``exportcheck schema`` prints the JSON Schema of a report, ``exportcheck
explain`` what a known defect of torch or a check is. ``exportcheck replay`` and ``exportcheck
reduce`` run what a bundle holds, which may be code.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pytest_exportcheck import __version__
from pytest_exportcheck.errors import ExportcheckError
from pytest_exportcheck.reports.lines import Line, count

_PLUGIN = "a plugin with engines, edges or checks, as for pytest (may be repeated); installed ones are found"

#: The exit status of a command whose output is no longer read, as a shell reports a process that SIGPIPE ended.
CUT_SHORT = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the console command. Return the exit status: 0; 1 if merged reports contain a failure or lack items, if an
    item is newly broken, or if two programs differ; 2 if a file cannot be read or written, a name is unknown, or the
    newer of two reports is not complete; of ``replay``, the highest of 0 (fixed), 1 (still fails), 2 (fails differently)
    and 3 (cannot be replayed); 141 if the reader of the output stopped reading, as ``| head`` does.
    """
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit, and would print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CUT_SHORT


def _run(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="exportcheck",
        description="Inspect exported PyTorch programs and reports. To run the checks: pytest --exportcheck",
    )
    parser.add_argument("--version", action="version", version=f"pytest-exportcheck {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="show the contents of a .pt2 file without loading it")
    inspect.add_argument("file", type=Path)
    inspect.set_defaults(run=_inspect)
    merge = commands.add_parser(
        "merge", help="merge the reports that --exportcheck-json wrote, such as those of shards"
    )
    merge.add_argument("out", type=Path, metavar="OUT", help="the report to write")
    merge.add_argument("files", type=Path, metavar="IN", nargs="+", help="the reports to merge")
    merge.set_defaults(run=_merge)
    html = commands.add_parser("html", help="write reports as one HTML page, such as those of two versions of torch")
    html.add_argument("files", type=Path, metavar="REPORT", nargs="+", help="reports that --exportcheck-json wrote")
    html.add_argument("-o", "--output", type=Path, metavar="PAGE", required=True, help="the page to write")
    html.set_defaults(run=_html)
    _add_compare(commands)
    _add_diff(commands)
    explain = commands.add_parser("explain", help="explain a known defect of torch, or a check")
    explain.add_argument("name", metavar="NAME", help="the id of a known defect, or the name of a check")
    explain.set_defaults(run=_explain)
    replay = commands.add_parser("replay", help="run the findings of bundles (--exportcheck-repro-dir) again")
    replay.add_argument("folders", type=Path, metavar="FOLDER", nargs="+", help="the bundles to replay")
    replay.add_argument("-p", dest="plugins", metavar="PLUGIN", action="append", default=[], help=_PLUGIN)
    replay.add_argument(
        "--without-weights",
        action="store_true",
        help="give bundles that still fail random weights, if they still fail with them, and say whether that is so",
    )
    replay.set_defaults(run=_replay)
    reduce = commands.add_parser("reduce", help="shrink a bundle to a script of a few lines that shows its finding")
    reduce.add_argument("folder", type=Path, metavar="FOLDER", help="the bundle, which stays as it is")
    reduce.add_argument("--out", type=Path, metavar="FOLDER", help="the folder to write (default: FOLDER-reduced)")
    reduce.add_argument("--tries", type=_limit, default=600, metavar="N", help="programs to try at most (default: 600)")
    reduce.add_argument("--seconds", type=_limit, default=300, metavar="N", help="seconds at most (default: 300)")
    reduce.add_argument("-p", dest="plugins", metavar="PLUGIN", action="append", default=[], help=_PLUGIN)
    reduce.set_defaults(run=_reduce)
    schema = commands.add_parser("schema", help="print the JSON Schema of a report")
    schema.set_defaults(run=_schema)
    chosen = parser.parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
    except ExportcheckError as error:
        print(f"exportcheck: {_shown(str(error))}", file=sys.stderr)
        return 2
    return status


def _add_compare(commands: Any) -> None:
    compare = commands.add_parser(
        "compare", help="compare two reports that --exportcheck-json wrote, such as those of two versions of torch"
    )
    compare.add_argument("old", type=Path, metavar="OLD.json", help="the report of before")
    compare.add_argument("new", type=Path, metavar="NEW.json", help="the report of after")
    _add_outputs(compare)
    compare.set_defaults(run=_compare)


def _add_diff(commands: Any) -> None:
    diff = commands.add_parser("diff", help="compare two .pt2 files without running anything of them")
    diff.add_argument("old", type=Path, metavar="A.pt2", help="a saved program")
    diff.add_argument("new", type=Path, metavar="B.pt2", help="the program to compare with it")
    diff.add_argument("--program", default="", metavar="NAME", help="the program to compare, in files with several")
    diff.add_argument("--metadata", action="store_true", help="count differences of names, metadata and example inputs")
    diff.add_argument(
        "--contract",
        choices=("serdes", "decompose", "retrace"),
        default="serdes",
        help="the edge whose contract says what must be equal (default: serdes, where all must be)",
    )
    _add_outputs(diff)
    diff.set_defaults(run=_diff)


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-v", "--verbose", action="store_true", help="show every difference whole")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the result as JSON; - prints only that")
    parser.add_argument("--html", type=Path, metavar="PATH", help="write the result as a page")


def _inspect(chosen: argparse.Namespace) -> int:
    from pytest_exportcheck.reference.pt2.description import described

    print("\n".join(map(_shown, described(chosen.file))))
    return 0


def _merge(chosen: argparse.Namespace) -> int:
    from pytest_exportcheck.reports.merge import merge_files

    report, lines = merge_files(chosen.out, chosen.files)
    print("\n".join(lines))
    print(f"exportcheck: {count(len(chosen.files), 'report')} merged into {chosen.out}")
    return 1 if report.failed else 0


def _html(chosen: argparse.Namespace) -> int:
    from pytest_exportcheck.reports.html.report_page import page_of_files

    page_of_files(chosen.output, chosen.files)
    print(f"exportcheck: {count(len(chosen.files), 'report')} written to {chosen.output}")
    return 0


def _compare(chosen: argparse.Namespace) -> int:
    from pytest_exportcheck.reports.compare import compare_files, without_findings
    from pytest_exportcheck.reports.compare_text import comparison_lines, unfinished_text

    found = compare_files(chosen.old, chosen.new)
    if chosen.html:
        from pytest_exportcheck.reports.html.compare import compare_page
        from pytest_exportcheck.reports.html.page import write_page

        write_page(chosen.html, compare_page(found, old=str(chosen.old), new=str(chosen.new)))
    _put_out(
        chosen,
        without_findings(found),
        comparison_lines(found, old=str(chosen.old), new=str(chosen.new), verbose=chosen.verbose),
    )
    unfinished = unfinished_text(found, str(chosen.new))
    if unfinished:
        print(f"exportcheck: {_shown(unfinished)}", file=sys.stderr)
        return 2
    return 1 if found.newly_broken else 0


def _diff(chosen: argparse.Namespace) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns at its import if numpy is missing
        from pytest_exportcheck.difference.compare import difference_of_files
    from pytest_exportcheck.reports.diff import difference_lines

    found = difference_of_files(
        chosen.old, chosen.new, program=chosen.program, contract=chosen.contract, metadata=chosen.metadata
    )
    if chosen.html:
        from pytest_exportcheck.reports.html.diff import diff_page
        from pytest_exportcheck.reports.html.page import write_page

        write_page(chosen.html, diff_page(found))
    _put_out(chosen, found, difference_lines(found, verbose=chosen.verbose))
    return 1 if found.findings else 0


def _put_out(chosen: argparse.Namespace, found: object, lines: Iterable[Line]) -> None:
    """Show the lines, and write the JSON if it was asked for; or show only the JSON."""
    from pytest_exportcheck.reports.files import json_of, write_file

    if chosen.json == Path("-"):
        print(json_of(found).decode(), end="")
        return
    if chosen.json:
        write_file(chosen.json, json_of(found))
    for line in lines:
        print(_shown(line.text))


def _explain(chosen: argparse.Namespace) -> int:
    from pytest_exportcheck.explain import explained

    print("\n".join(explained(chosen.name)))
    return 0


def _replay(chosen: argparse.Namespace) -> int:
    from pytest_exportcheck.run.replay_command import replayed

    return replayed(chosen.folders, chosen.plugins, _print, drop_weights=chosen.without_weights)


def _reduce(chosen: argparse.Namespace) -> int:
    from pytest_exportcheck.bundles.reduction.search import Budget
    from pytest_exportcheck.run.reduce_command import reduce_folder

    budget = Budget(chosen.tries, chosen.seconds)
    reduce_folder(chosen.folder, chosen.out, chosen.plugins, budget, lambda line: print(_shown(line), flush=True))
    return 0


def _limit(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return number


def _schema(_: argparse.Namespace) -> int:
    from pytest_exportcheck.reports.json_report import json_schema

    print(json_schema().decode(), end="")
    return 0


def _print(line: str) -> None:
    print(_shown(line))


def _shown(line: str) -> str:
    """Escape characters that a terminal would obey or cannot show: names in a file may hold any characters."""
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)


if __name__ == "__main__":
    sys.exit(main())
