"""`textclf check`: what a config's data hold, or whether a saved model still gives what it gave."""

from pathlib import Path
from typing import Any

import numpy as np

from textclf.checks import check_data
from textclf.classifier import PARITY_LIMIT, load_classifier
from textclf.config import Config
from textclf.errors import UserError
from textclf.material import prepare
from textclf.run import Run


def check_config(config: Config, *, suspects: Path | None = None, raw: bool = False) -> dict[str, Any]:
    """What training on a config would see, and what is wrong with it; nothing is trained.

    Args:
        suspects: a file to write, its labels as they stand if `raw`; see `write_suspects`.

    Raises:
        UserError: the data cannot be learnt from.
    """
    material = prepare(config)
    sides, tokens = material.sides, material.train.token_ids.tokens
    written = {}
    if suspects is not None:
        from textclf.suspects import write_suspects  # scikit-learn takes seconds to import

        rows = write_suspects(suspects, material, config, raw=raw)
        written = {"suspects": {"file": suspects.as_posix(), "rows": rows}}
    return {
        "rows": {"train": len(sides.train), "validation": len(sides.validation), "measured": len(sides.measured)},
        "labels": dict(sorted(sides.train.labels.counts(config.data.label_separator).items())),
        "tokens": {
            "median": float(np.median(tokens)),
            "p95": float(np.quantile(tokens, 0.95)),
            "longest": int(tokens.max()),
        },
        "vocabulary": len(material.encoder.vocabulary),
        "truncated": material.train_extent.truncation(),
        "unknown_words": material.unknown,
        "findings": check_data(config, material).documents(),
    } | written


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
