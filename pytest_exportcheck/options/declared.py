"""The options of the command line and of the ini file, as pytest declares them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pytest

DEFAULT_FILES = ("case_*.py", "*_cases.py", "cases/**/*.py")
PROFILES = ("ship", "conformance")


#: Groups of properties of inputs that can be drawn besides their sizes.
ALSO = ("layout", "special", "dtype", "rank")

MOST_THREADS = 1024

#: Examples per item where neither a number nor a time is given.
EXAMPLES = 25

#: The most examples per item where a time is given and no number: hypothesis keeps each of them in memory.
MOST_EXAMPLES = 50_000

MOST_SECONDS = 1_000_000

#: Seconds for the load or a call of a package.
RUNTIME_SECONDS = 120

#: Megabytes of all packages that are kept together, and the most that can be given.
CACHE_SIZE, LARGEST_CACHE = 2000, 1_000_000_000
MEGABYTE = 1_000_000

#: The value of --exportcheck-runtime-cache by which nothing is kept.
NO_CACHE = "off"


#: The value of --exportcheck-fuzz without a number.
NO_NUMBER = "as many as usual"


def add_options(parser: pytest.Parser) -> None:
    """Declare the command-line options and the ini options."""
    group = parser.getgroup("exportcheck", "export round-trip conformance (pytest-exportcheck)")
    group.addoption(
        "--exportcheck",
        action="store_true",
        default=False,
        help="Check every case: capture, lower, save, load and capture again, and compare after every stage.",
    )
    group.addoption(
        "--exportcheck-modes",
        metavar="MODES",
        help="Comma-separated modes and globs, 'default' or 'all' (every mode of up to three stages). "
        "Example: nonstrict,strict-serdes. Ini: exportcheck_modes.",
    )
    group.addoption(
        "--exportcheck-engines",
        metavar="ENGINES",
        help="Comma-separated engine names and globs. Default: all, reference on a short set of modes as the second opinion. Ini: exportcheck_engines.",
    )
    group.addoption(
        "--exportcheck-runtime",
        metavar="RUNTIMES",
        help="Also compile every case for these runtimes, comma-separated, and compare what the packages compute: aoti, onnx, "
        "executorch, executorch_xnnpack, openvino. Ini: exportcheck_runtime.",
    )
    group.addoption(
        "--exportcheck-runtime-timeout",
        metavar="SECONDS",
        help=f"Seconds for the load or a call of a package (default {RUNTIME_SECONDS}); a compilation has ten times as long. Ini: "
        "exportcheck_runtime_timeout.",
    )
    group.addoption(
        "--exportcheck-runtime-cache",
        metavar="DIR",
        help="Folder for the packages of runtimes, which the next run takes from there if nothing has changed (default: in pytest's "
        f"cache; {NO_CACHE}: none). --cache-clear removes them. Ini: exportcheck_runtime_cache.",
    )
    group.addoption(
        "--exportcheck-require",
        metavar="NAMES",
        help="Fail the run unless each of these engines, modes and runtimes, comma-separated, was judged for every case. Without "
        "it, a missing package only skips items. Ini: exportcheck_require.",
    )
    group.addoption(
        "--exportcheck-source",
        metavar="SOURCE:NAME[,OPTION=VALUE...]",
        action="append",
        help="Also check a model from a source, such as torchvision:resnet18 (globs work) or timm:test_vit,batch=4. "
        "Sources: exportdb, import, timm, torchvision, transformers. May be repeated. Ini: exportcheck_sources.",
    )
    group.addoption(
        "--exportcheck-only-sources",
        action="store_true",
        default=False,
        help="Collect no files: only the models of --exportcheck-source, the modules of exportcheck_import and cases that hooks add.",
    )
    group.addoption(
        "--exportcheck-profile",
        choices=PROFILES,
        help="ship (default) judges your model: known defects of torch are warnings. conformance judges the "
        "engine: they fail. Ini: exportcheck_profile.",
    )
    group.addoption(
        "--exportcheck-expectations",
        metavar="PATH",
        help="TOML file of expected failures, for cases that you cannot decorate. Ini: exportcheck_expectations.",
    )
    group.addoption(
        "--exportcheck-update-expectations",
        action="store_true",
        default=False,
        help="Write the failures of this run to that file, and delete the entries that no longer fail.",
    )
    group.addoption(
        "--exportcheck-fuzz",
        metavar="N",
        nargs="?",
        const=NO_NUMBER,
        help="Also fuzz the sizes of every case with dynamic dims, in every mode: the program must agree with eager at "
        f"declared sizes and refuse others. N examples per item (default {EXAMPLES}); see docs/fuzzing.md.",
    )
    group.addoption(
        "--exportcheck-fuzz-time",
        metavar="SECONDS",
        help="Fuzz until so many seconds of fuzzing are used in this run (in each worker of pytest-xdist), which the items share. "
        "With --exportcheck-fuzz=N an item also ends after N examples. Ini: exportcheck_fuzz_time.",
    )
    group.addoption(
        "--exportcheck-fuzz-also",
        metavar="WHAT",
        help=f"Comma-separated variations of the inputs to draw in addition to sizes: {', '.join(ALSO)}.",
    )
    group.addoption(
        "--exportcheck-seed",
        metavar="N",
        type=int,
        default=0,
        help="Seed of weights and inputs (default 0). A case's own seed is added.",
    )
    group.addoption(
        "--exportcheck-threads",
        metavar="N",
        type=int,
        help="torch.set_num_threads for every run (default: as torch chooses; with pytest-xdist "
        "that number divided by the workers). Results may depend on the number.",
    )
    group.addoption(
        "--exportcheck-json",
        metavar="PATH",
        help="Write outcomes, findings, ledger and timings as JSON; see docs/report.md. "
        "Reports of several runs are joined by: exportcheck merge OUT IN [IN ...]. Ini: exportcheck_json.",
    )
    group.addoption(
        "--exportcheck-html",
        metavar="PATH",
        help="Write the report as one HTML page; see docs/report.md. Ini: exportcheck_html.",
    )
    group.addoption(
        "--exportcheck-repro-dir",
        metavar="DIR",
        help="Write a folder for every failing item that reproduces it without this repository: a script, the program or "
        "the module with its weights, and the inputs; see docs/debugging.md. Ini: exportcheck_repro_dir.",
    )
    group.addoption(
        "--exportcheck-golden",
        metavar="DIR",
        help="Also judge the golden programs in this folder: programs with inputs and outputs that your repository keeps, written "
        "by this or another version of torch; see docs/golden.md. Ini: exportcheck_golden.",
    )
    group.addoption(
        "--exportcheck-update-golden",
        action="store_true",
        default=False,
        help="Write a golden program of every case, delete those of cases that do not exist any more, and check nothing else.",
    )
    for name, (meaning, default) in _INI.items():
        kind: Literal["args", "string"] = "string" if isinstance(default, str) else "args"
        parser.addini(name, meaning, type=kind, default=default)


#: Ini option -> its meaning, and its default: a text, or a list of words.
_INI: Mapping[str, tuple[str, str | list[str]]] = {
    "exportcheck_modes": ("As --exportcheck-modes.", []),
    "exportcheck_engines": ("As --exportcheck-engines.", []),
    "exportcheck_runtime": ("As --exportcheck-runtime.", []),
    "exportcheck_runtime_timeout": ("As --exportcheck-runtime-timeout.", ""),
    "exportcheck_runtime_cache": ("As --exportcheck-runtime-cache; relative to the ini file.", ""),
    "exportcheck_runtime_cache_size": (
        "Megabytes that all packages of the cache may have together; those that were not used for longest are removed first.",
        str(CACHE_SIZE),
    ),
    "exportcheck_require": ("As --exportcheck-require.", []),
    "exportcheck_profile": ("As --exportcheck-profile.", "ship"),
    "exportcheck_sources": ("As --exportcheck-source, one or several.", []),
    "exportcheck_expectations": ("As --exportcheck-expectations; relative to the ini file.", ""),
    "exportcheck_repro_dir": ("As --exportcheck-repro-dir; relative to the ini file.", ""),
    "exportcheck_golden": ("As --exportcheck-golden; relative to the ini file.", ""),
    "exportcheck_files": (
        "Globs of Python files in which to look for cases, in addition to pytest's test modules.",
        list(DEFAULT_FILES),
    ),
    "exportcheck_allow": (
        "Fields that a stage may lose in this repository: check.field or stage:check.field; globs work. "
        "Example: serdes:metadata.custom.",
        [],
    ),
    "exportcheck_forbid": (
        "Fields that no stage may lose in this repository, even if the policy tolerates it; written as in exportcheck_allow.",
        [],
    ),
    "exportcheck_fuzz_time": ("As --exportcheck-fuzz-time, for runs with --exportcheck-fuzz.", ""),
    "exportcheck_json": ("As --exportcheck-json; relative to the ini file.", ""),
    "exportcheck_html": ("As --exportcheck-html; relative to the ini file.", ""),
    "exportcheck_import": ("Importable modules in which to look for cases.", []),
}
