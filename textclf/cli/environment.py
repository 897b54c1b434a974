"""The environment of the process, without what is meant for other programs and would stop or change this one."""

import os
import sys
import warnings

IGNORED = (
    "MPLBACKEND",  # a notebook names its own, which matplotlib may not find; the report needs no backend
    "MATPLOTLIBRC",
    "PYTHONWARNINGS",  # `error` would end a command at the first deprecated call inside a library
)


def ignore_foreign_settings() -> None:
    """Remove the variables in IGNORED, for the processes that are started from this one too."""
    if os.environ.get("PYTHONWARNINGS"):
        sys.warnoptions.clear()  # handed on to other processes
        warnings.simplefilter("ignore")
    for name in IGNORED:
        os.environ.pop(name, None)
