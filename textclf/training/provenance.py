"""The fingerprint of a training: it is resumed only with the same settings and data."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from textclf.config.load import load_saved_config
from textclf.config.pretrained import pretrained_files, pretrained_key
from textclf.config.schema import Config, option_values
from textclf.data.rows import PARTS
from textclf.data.source import SourceFile, changed_while_read, source_files
from textclf.errors import UserError
from textclf.io.contract import EnvironmentDocument
from textclf.io.files import read_json
from textclf.io.run_folder import Run
from textclf.io.staging import drop_all_but_checkpoint, staging_of
from textclf.models.encoder.network import EncoderOptions
from textclf.training.splits import Splits

logger = logging.getLogger(__name__)

PACKAGES = ("tensorflow", "keras", "numpy", "onnxruntime", "scikit-learn")


@dataclass(frozen=True)
class Fingerprint:
    """Everything that decides the result of a training."""

    settings: dict[str, Any]
    """Value of every option by its dotted key."""
    data: dict[str, str]
    """sha256 of each file by its path."""
    packages: dict[str, str]
    """Versions of the packages that compute; another version may change the last digits."""


def fingerprint(config: Config, splits: Splits | None = None) -> Fingerprint:
    """Return the fingerprint of training on a config now.

    Args:
        splits: the rows of the data files, whose digests are known; None: hash the files.

    Raises:
        UserError: a file is missing.
    """
    data = (
        [file for split in splits.parts().values() for file in split.rows.files] if splits else [*_data_files(config)]
    )
    if pretrained := pretrained_files(config):
        data += source_files([*map(str, pretrained)], key=pretrained_key(config))
    digests = {file.path.as_posix(): file.sha256 for file in data}
    return Fingerprint(option_values(config), digests, package_versions(config))


def package_versions(config: Config) -> dict[str, str]:
    """Return the versions of the packages that compute, and of the one that cuts texts into an encoder's pieces."""
    packages = (*PACKAGES, "tokenizers") if isinstance(config.model, EncoderOptions) else PACKAGES
    return {name: version(name) for name in packages}


def _data_files(config: Config) -> Iterator[SourceFile]:
    for part in PARTS:
        if patterns := getattr(config.data, part):
            yield from source_files(patterns, key=f"data.{part}")


def is_complete(run: Run, now: Fingerprint) -> bool:
    """Return True if nothing is left to train of the run.

    Raises:
        UserError: it is complete, and was trained with other settings or data.
    """
    if not run.complete or staging_of(run).checkpoint.exists():
        return False
    environment: EnvironmentDocument = read_json(run.environment)
    settings = option_values(load_saved_config(run.config))
    before = Fingerprint(settings, environment["data"], environment["packages"])
    check_unchanged(before, now, f"{run.path} is complete, and was trained", "Train anew with --overwrite.")
    return True


def resumable_staging(run: Run, now: Fingerprint) -> Run | None:
    """Return the unfinished training of the run, without its half-written files; None where there is none.

    Raises:
        UserError: it was started with other settings or data.
    """
    staging = staging_of(run)
    if not staging.checkpoint.exists():
        logger.info("nothing to resume; training begins at the start")
        return None
    advice = "Go on with what it was begun with, or begin anew with --overwrite."
    before = Fingerprint(**read_json(staging.fingerprint))
    check_unchanged(before, now, f"{staging.path} was begun", advice)
    drop_all_but_checkpoint(staging)
    return staging


def check_unchanged(before: Fingerprint, now: Fingerprint, subject: str, advice: str) -> None:
    """Refuse to continue with other settings or data, and warn of other package versions.

    Args:
        subject: beginning of the message, such as "runs/imdb was trained".

    Raises:
        UserError: something has changed.
    """
    # an older textclf had the first rules only, and trained on one device, which gives the same up to rounding
    added = {"text.rules": 1, "training.strategy": now.settings.get("training.strategy")}
    changed = [
        *(f"{key} is {new!r}, was {old!r}" for key, old, new in _differences(added | before.settings, now.settings)),
        *(f"{path} has changed" for path, _, _ in _differences(before.data, now.data)),
    ]
    if changed:
        raise UserError(f"{subject} with other settings or data: {'; '.join(changed)}. {advice}")
    for name, old, new in _differences(before.packages, now.packages):
        logger.warning("%s is %s now, was %s: the last digits may differ", name, new, old)


def check_same_data(before: Fingerprint, now: Fingerprint) -> None:
    """Refuse data files that changed between two readings.

    Raises:
        UserError: a file has another sha256.
    """
    for path, _, _ in _differences(before.data, now.data):
        raise UserError(changed_while_read(path))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return the key, the value before and the value now of each difference."""
    keys = dict.fromkeys([*before, *now])
    return [(key, before.get(key), now.get(key)) for key in keys if before.get(key) != now.get(key)]
