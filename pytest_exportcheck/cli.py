"""The console command ``exportcheck``; no part of it imports torch.

``exportcheck inspect FILE`` tells what a PT2 archive says of itself without running anything: only JSON is parsed; weights,
sample inputs and expressions are not loaded or evaluated, so a hostile file is safe to look at. ``exportcheck merge`` joins
reports, ``exportcheck schema`` prints the JSON Schema of a report.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_exportcheck import __version__
from pytest_exportcheck.errors import ArchiveError, ExportcheckError
from pytest_exportcheck.reports.terminal import count

LARGEST_JSON = 1 << 30  # bytes; more is no program


def main(arguments: Sequence[str] | None = None) -> int:
    """The console command. Returns the exit status: 0; 1 where merged reports tell of a failure or lack items; 2 for a
    file that cannot be read or written."""
    parser = argparse.ArgumentParser(
        prog="exportcheck",
        description="Look at exported PyTorch programs. The checks themselves run by: pytest --exportcheck",
    )
    parser.add_argument("--version", action="version", version=f"pytest-exportcheck {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="show what a .pt2 file holds, without loading it")
    inspect.add_argument("file", type=Path)
    inspect.set_defaults(run=_inspect)
    merge = commands.add_parser("merge", help="join the reports that --exportcheck-json wrote, of shards or other runs")
    merge.add_argument("out", type=Path, metavar="OUT", help="the report to write")
    merge.add_argument("files", type=Path, metavar="IN", nargs="+", help="the reports to join")
    merge.set_defaults(run=_merge)
    schema = commands.add_parser("schema", help="print the JSON Schema of a report")
    schema.set_defaults(run=_schema)
    chosen = parser.parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
    except ExportcheckError as error:
        print(f"exportcheck: {error}", file=sys.stderr)
        return 2
    return status


def _inspect(chosen: argparse.Namespace) -> int:
    print("\n".join(_described(chosen.file)))
    return 0


def _merge(chosen: argparse.Namespace) -> int:
    from pytest_exportcheck.reports.merge import merge_files

    report, lines = merge_files(chosen.out, chosen.files)
    print("\n".join(lines))
    print(f"exportcheck: {count(len(chosen.files), 'report')} merged into {chosen.out}")
    return 1 if report.failed else 0


def _schema(_: argparse.Namespace) -> int:
    from pytest_exportcheck.reports.json_report import json_schema

    print(json_schema().decode(), end="")
    return 0


def _described(path: Path) -> Iterator[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            programs = [info for info in archive.infolist() if re.search(r"(^|/)models/[^/]+\.json$", info.filename)]
            if not programs:
                raise ArchiveError(f"{path} is a zip file but no PT2 archive: it holds no models/NAME.json.")
            for info in programs:
                yield from _program(path, info.filename, _json(path, archive, info))
            yield from _payloads(archive)
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror or error}.") from None
    except zipfile.BadZipFile as error:
        raise ArchiveError(f"{path} is no PT2 archive ({error}); torch.export.save writes one.") from None


def _json(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> dict[str, Any]:
    if info.file_size > LARGEST_JSON:
        raise ArchiveError(f"{path}: {info.filename} claims {info.file_size} bytes, which is no program.")
    try:
        content = json.loads(archive.read(info))
    except ValueError as error:
        raise ArchiveError(f"{path}: {info.filename} is no JSON ({error}); the file is damaged.") from None
    if not isinstance(content, dict) or "graph_module" not in content:
        raise ArchiveError(f"{path}: {info.filename} describes no program: it has no graph_module.")
    return content


def _program(path: Path, name: str, content: dict[str, Any]) -> Iterator[str]:
    version = content.get("schema_version", {})
    verifiers = ", ".join(content.get("verifiers", [])) or "none"
    yield f"{path}: {name}"
    yield f"  schema {version.get('major')}.{version.get('minor')}, written by torch {content.get('torch_version', '?')}"
    yield f"  verifiers: {verifiers}"
    signature = content["graph_module"].get("signature", {})
    yield from _specs("inputs", signature.get("input_specs", []))
    yield from _specs("outputs", signature.get("output_specs", []))
    ranges = content.get("range_constraints", {})
    yield f"  symbols: {len(ranges) or 'none'}"
    for symbol, bounds in ranges.items():
        yield f"    {symbol} in [{bounds.get('min_val')}, {bounds.get('max_val')}]"
    guards = content.get("guards_code", [])
    yield f"  guards: {len(guards) or 'none'}"
    yield from (f"    {guard}" for guard in guards)
    nodes = content["graph_module"].get("graph", {}).get("nodes", [])
    targets = Counter(node.get("target", "?").removeprefix("torch.ops.") for node in nodes)
    yield f"  nodes: {len(nodes)} at top level"
    yield from (f"    {count:>4} {target}" for target, count in targets.most_common(10))


def _specs(label: str, specs: Sequence[dict[str, Any]]) -> Iterator[str]:
    kinds = Counter(kind for spec in specs for kind in spec)
    yield f"  {label}: " + (", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none")
    for spec in specs:
        for kind, content in spec.items():
            if kind in ("user_input", "constant_input", "user_output"):
                yield f"    {kind} {_argument(content)}"


def _argument(content: dict[str, Any]) -> str:
    if "value" in content:
        return f"{content.get('name')} = {json.dumps(next(iter(content['value'].values()), None))}"
    argument = next(iter(content.get("arg", {}).values()), None)
    name = argument.get("name") or argument.get("as_name") if isinstance(argument, dict) else None
    return str(name) if name else json.dumps(content.get("arg"))


def _payloads(archive: zipfile.ZipFile) -> Iterator[str]:
    payloads = [info for info in archive.infolist() if re.search(r"/data/(weights|constants)/[^/]+$", info.filename)]
    raw = [info for info in payloads if not info.filename.endswith(".json")]
    yield f"  payloads: {len(raw)}, {sum(info.file_size for info in raw)} bytes"


if __name__ == "__main__":
    sys.exit(main())
