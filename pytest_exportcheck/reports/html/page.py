"""Any page in HTML: a template on ``base.html.j2``, rendered and written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pytest_exportcheck.atomic_file import write_whole
from pytest_exportcheck.errors import ReportError
from pytest_exportcheck.reports.encoding import visible

_FOLDER = Path(__file__).parent
#: A line of user code as a finding has it: the place, then the code.
_LINE = re.compile(r"(.*?:\d+ in [^:]+)(?:: (.*))?", re.DOTALL)
_START = b"<!doctype html>"


def page(template: str, *, title: str, **values: Any) -> bytes:
    """Render a template of this folder, which extends ``base.html.j2``. The same values give the same bytes.

    Every text is escaped; the page runs no script but ``script.js``, whose hash it names, and loads nothing.
    """
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words=_words, place=_place, source=_source)
    style, script = (Markup((_FOLDER / name).read_text(encoding="utf-8")) for name in ("style.css", "script.js"))
    given: Mapping[str, Any] = {
        "title": title,
        "style": style,
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **values,
    }
    return environment.get_template(template).render(given).encode()


def write_page(path: Path, content: bytes) -> None:
    """Write a page whole or not at all. A file that is not a page is not overwritten.

    Raises
    ------
    ReportError
        Where the file cannot be written, or would be lost.
    """
    try:
        if path.is_dir():
            raise ReportError(f"the page cannot be written to {path}: it is a folder. Name a file in it.")
        if path.is_file() and not _is_page(path):
            raise ReportError(f"{path} would be overwritten, but is not an HTML page. Delete it, or name another file.")
        write_whole(path, content)
    except OSError as error:
        raise ReportError(f"the page cannot be written to {path}: {error.strerror or error}.") from None


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(len(_START))
    return start.lower() in (_START, b"")


def _words(name: str) -> str:
    """Return the name of a status or a verdict as words."""
    return name.replace("_", " ")


def _place(line: str) -> str:
    """Return the file and the number of a line of user code: ``net.py:12 in forward``."""
    return _LINE.sub(r"\1", line)


def _source(line: str) -> str:
    """Return the code of a line of user code."""
    found = _LINE.fullmatch(line)
    return (found[2] or "") if found else ""


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
