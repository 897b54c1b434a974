"""The environment of the process: variables for other programs that would stop or change a command are removed."""

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
    """Remove the variables in IGNORED and limit the threads of NumPy, for this process and those that it starts."""
    if os.environ.get("PYTHONWARNINGS"):
        sys.warnoptions.clear()  # multiprocessing hands them on
        warnings.simplefilter("ignore")
    for name in IGNORED:
        os.environ.pop(name, None)
    # OpenBLAS ignores CPU quotas, and reads this when NumPy is imported, which is later
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(usable_processors()))
