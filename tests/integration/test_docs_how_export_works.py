"""The page that walks through an export shows the values that its snippets print.

``python -m tests.integration.test_docs_how_export_works`` writes them into the page.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs/how-export-works.md"
SNIPPET = re.compile(r"```python\n(?P<code>.*?)```(?P<shown>\n\n```text\n.*?```)?", re.DOTALL)


def with_values(page: str) -> str:
    """Return the page with the values that its snippets print, run in their order."""
    names: dict[str, Any] = {"__name__": "__main__"}

    def run(found: re.Match[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(found["code"], names)
        code = f"```python\n{found['code']}```"
        return f"{code}\n\n```text\n{printed.getvalue().strip()}\n```" if found["shown"] else code

    return SNIPPET.sub(run, page)


def test_the_page_shows_the_values_of_each_step():
    page = PAGE.read_text()
    assert with_values(page) == page


if __name__ == "__main__":
    PAGE.write_text(with_values(PAGE.read_text()))
