"""The settings of a run, as reports and bundles keep them."""

from __future__ import annotations

import platform
import sysconfig

import torch

from pytest_exportcheck import __version__
from pytest_exportcheck.options import Options
from pytest_exportcheck.records import RunSettings
from pytest_exportcheck.reports.encoding import printable


def run_settings(options: Options) -> RunSettings:
    """Return the settings that verdicts depend on, and the versions of this process."""
    return RunSettings(
        exportcheck=__version__,
        torch=str(torch.__version__),
        python=platform.python_version(),
        platform=sysconfig.get_platform(),
        profile=options.profile,
        seed=options.seed,
        threads=options.threads or torch.get_num_threads(),
        allow=tuple(map(printable, options.allow)),
        forbid=tuple(map(printable, options.forbid)),
    )
