"""Hooks of mkdocs: links from a page to a file outside `docs/` lead to the repository, and quoted programs hold no links."""

from __future__ import annotations

import posixpath
import re
from typing import Any

#: A line of measured differences quotes a program without marking it as code: `[0][0]`, `(args = ...)`.
_MEASURED = re.compile(r"^- \*\*.*$", re.MULTILINE)
_NO_LINK = re.compile(r"\[(?=\d+\])|\((?=args = )")
_LINK = re.compile(r"\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")
_ROLE = re.compile(r":(?:attr|class|exc|func|meth|mod):(?=<code>)")


def on_page_markdown(markdown: str, /, *, page: Any, config: Any, **_: Any) -> str:
    """Replace each relative link that leaves `docs/`: the pages are read on GitHub too, where such links work."""
    if page.file.src_uri == "differences.md":
        markdown = _MEASURED.sub(lambda line: _NO_LINK.sub(r"\\\g<0>", line[0]), markdown)
    folder = posixpath.dirname(page.file.src_uri)

    def replaced(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", folder, link[1]))
        if target.startswith("docs/"):
            return link[0]
        return f"]({config['repo_url']}/blob/main/{target}{link[2] or ''})"

    return _LINK.sub(replaced, markdown)


def on_page_content(html: str, /, **_: Any) -> str:
    """Remove the roles of reStructuredText that docstrings put before names: :func:`name`."""
    return _ROLE.sub("", html)
