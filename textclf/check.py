"""`textclf check`: what a config's data hold, or whether a saved model still gives what it gave."""

from typing import Any

import numpy as np

from textclf.classifier import PARITY_LIMIT, load_classifier
from textclf.config import Config
from textclf.errors import UserError
from textclf.material import prepare
from textclf.run import Run


def check_config(config: Config) -> dict[str, Any]:
    """What training on a config would see: rows, labels, lengths, truncation, vocabulary; nothing is trained.

    Raises:
        UserError: the data cannot be learnt from.
    """
    material = prepare(config)
    sides, tokens = material.sides, material.train.token_ids.tokens
    return {
        "rows": {"train": len(sides.train), "validation": len(sides.validation), "measured": len(sides.measured)},
        "labels": dict(sorted(sides.train.labels.counts(config.data.label_separator).items())),
        "tokens": {
            "median": float(np.median(tokens)),
            "p95": float(np.quantile(tokens, 0.95)),
            "longest": int(tokens.max()),
        },
        "empty_texts": int((tokens == 0).sum()),
        "vocabulary": len(material.encoder.vocabulary),
        "truncated": material.train_extent.truncation(),
        "unknown_words": material.validation_extent.unknown_share(),
    }


def check_run(run: Run) -> dict[str, Any]:
    """Whether the saved model still gives the probabilities that it gave when it was saved.

    Raises:
        UserError: it does not, or cannot be read.
    """
    classifier = load_classifier(run.path)
    difference = classifier.probe_difference()
    if not difference <= PARITY_LIMIT:
        raise UserError(
            f"{run.path}: probabilities differ by {difference:.1e} from those when it was saved; {PARITY_LIMIT:.0e} at "
            "most is rounding. Another ONNX Runtime may compute differently; train again, or install the old one."
        )
    return {
        "labels": classifier.labels,
        "vocabulary": len(classifier.description.vocabulary),
        "probe_difference": difference,
    }
