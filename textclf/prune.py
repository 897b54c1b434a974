"""Pruning: what counts least of a network goes, and what is left is trained on for a few epochs."""

from collections.abc import Iterator

from textclf.compression import Original, Plan, Settings, plan
from textclf.errors import UserError

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
        facts = {"method": "prune", "keep": keep}
        training = {"epochs": EPOCHS}
        yield plan(original, original.shrunk(keep), lambda: original.material.train, training=training, facts=facts)
