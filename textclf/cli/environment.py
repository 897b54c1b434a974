"""The environment of the process, without what is meant for other programs and would stop or change this one."""

import os
import sys
import warnings

from textclf.io.processors import usable_processors

IGNORED = (
    "MPLBACKEND",  # a notebook names its own, which matplotlib may not find; the report needs no backend
    "MATPLOTLIBRC",
    "PYTHONWARNINGS",  # `error` would end a command at the first deprecated call inside a library
)


def prepare_environment() -> None:
    """Remove the variables in IGNORED, and bound the threads of NumPy, for the processes started from here too."""
    if os.environ.get("PYTHONWARNINGS"):
        sys.warnoptions.clear()  # handed on to other processes
        warnings.simplefilter("ignore")
    for name in IGNORED:
        os.environ.pop(name, None)
    # NumPy's matrix products know of no CPU quota; read when it is imported, which is later
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(usable_processors()))
