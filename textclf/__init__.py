"""From a CSV of texts and labels to a small text classifier that can be trusted and shipped."""

import os

__version__ = "0.1.0"

# From 1.29 on ONNX Runtime tells its maker what it runs, unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
