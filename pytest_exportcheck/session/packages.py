"""The packages of runtimes that a session takes from earlier runs and keeps for later ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_exportcheck.options import Options
from pytest_exportcheck.runtimes.package_cache import PackageCache
from pytest_exportcheck.session.messages import outbox

_CACHE: pytest.StashKey[PackageCache] = pytest.StashKey()

#: Name of the folder in pytest's cache.
_NAME = "exportcheck-packages"


def package_cache(config: pytest.Config, options: Options) -> PackageCache:
    """Return the cache of a session, which is cleared first with ``--cache-clear``: pytest itself clears only its own folder."""
    if _CACHE not in config.stash:
        cache = config.stash[_CACHE] = _made(config, options)
        given = options.runtime_cache is not None and options.runtime_cache.folder
        if given and outbox(config) is None and config.getoption("cacheclear", False):
            cache.clear()
    return config.stash[_CACHE]


def notices(config: pytest.Config) -> list[str]:
    """Return the lines about runtimes for the end of the summary."""
    cache = config.stash.get(_CACHE, None)
    return [f"exportcheck: {line}" for line in cache.notices.lines] if cache else []


def _made(config: pytest.Config, options: Options) -> PackageCache:
    wanted = options.runtime_cache
    pytests: Any = getattr(config, "cache", None)  # None without the plugin cacheprovider
    if wanted is None or (pytests is None and not wanted.folder):
        return PackageCache()
    if wanted.folder:
        return PackageCache(lambda: Path(wanted.folder), limit=wanted.size)
    return PackageCache(lambda: Path(pytests.mkdir(_NAME)), limit=wanted.size)
