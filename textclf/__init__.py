"""From a CSV of texts and labels to a small text classifier that can be trusted and shipped."""

__version__ = "0.1.0"
