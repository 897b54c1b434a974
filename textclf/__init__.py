"""From a CSV of texts and labels to a small text classifier that can be trusted and shipped.

    from textclf import load, train, TextClassifier

`import textclf` imports no other package; what one of these names needs is imported when it is used.
"""

import logging
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textclf.api.estimator import TextClassifier
    from textclf.api.runs import load, train

__version__ = "0.1.0"

__all__ = ["TextClassifier", "load", "train"]

# From 1.29 on ONNX Runtime tells its maker what it runs, unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Without a handler of the program's own nothing is shown, not even warnings.
logging.getLogger(__name__).addHandler(logging.NullHandler())

_MODULES = {"TextClassifier": "api.estimator", "load": "api.runs", "train": "api.runs"}
"""The module of each name in `__all__`."""


def __getattr__(name: str) -> Any:
    """Import a name of `__all__` when it is used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
