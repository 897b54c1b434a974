"""Pruning: what counts least of a network goes, and what is left is trained on for a few epochs."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from textclf.compression import Compressed, Original, Plan, Settings, trained
from textclf.errors import UserError
from textclf.training import Watch

KEEP = 0.7
EPOCHS = 3  # of fine-tuning


def prune(original: Original, settings: Settings) -> dict[str, Iterator[Plan]]:
    """Networks with fewer words, dimensions and units, small in truth and not by zeros.

    Raises:
        UserError: the run is an ensemble.
    """
    if len(original.members) > 1:
        raise UserError("--method prune: an ensemble has several networks. Use distill, which makes one of them.")
    return {"prune": _plans(original, settings)}


def _plans(original: Original, settings: Settings) -> Iterator[Plan]:
    for keep in settings.keeps or (KEEP,):
        yield Plan(original.shrunk(keep).estimated_bytes("int8"), partial(_fine_tuned, original, keep))


def _fine_tuned(original: Original, keep: float, watch: Watch) -> Compressed:
    shrunk = original.shrunk(keep)
    training = replace(
        original.config.training, epochs=EPOCHS, early_stopping=None, checkpoint_minutes=None, seeds=1, ensemble=False
    )
    facts = {"method": "prune", "keep": keep}
    return trained(
        original, replace(original.config, training=training), shrunk, shrunk.material.train, watch, facts=facts
    )
