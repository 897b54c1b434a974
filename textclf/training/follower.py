"""The workers that are not the chief: they train along, and write nothing."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from textclf.config.schema import Config
from textclf.training.dataset import Dataset, prepare
from textclf.training.devices import Devices
from textclf.training.provenance import Fingerprint, check_unchanged, fingerprint

BEGIN = b"begin"
"""What the chief broadcasts first, unless nothing is left to train."""


class SilentCallback:
    """A training callback that does nothing."""

    def on_step(self, _step: object, /) -> None: ...

    def on_epoch(self, _epoch: object, /) -> None: ...

    def close(self) -> None: ...


def follow(config: Config, devices: Devices, fit_networks: Callable[[Dataset], Any]) -> None:
    """Read the data and train along with the chief, if it has anything to train.

    Args:
        fit_networks: trains all networks of the config.

    Raises:
        UserError: the data is at fault or differs from the chief's, or another worker is gone.
    """
    if devices.broadcast(b"") != BEGIN:
        return
    with _only_warnings():
        dataset = prepare(config)
        agree(devices, fingerprint(config, dataset.splits))
        fit_networks(replace(dataset, splits=dataset.splits.without_keys(keep_words=False)))


def agree(devices: Devices, own: Fingerprint) -> None:
    """Refuse to train with other settings or data than the chief's.

    Raises:
        UserError: something differs.
    """
    if devices.strategy:  # a batch is dealt by the number of all devices
        own = replace(own, settings={**own.settings, "GPUs": len(devices.strategy.extended.worker_devices)})
    chief = Fingerprint(**json.loads(devices.broadcast(json.dumps(asdict(own)).encode()) or b"{}"))
    check_unchanged(chief, own, "the chief was started", "Start all workers with the same config and files.")


@contextmanager
def _only_warnings() -> Iterator[None]:
    logger = logging.getLogger("textclf")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
