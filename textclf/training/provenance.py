"""What a training began with, so that it goes on only with the same settings and data."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from textclf.config.load import load_saved_config
from textclf.config.schema import Config, option_values
from textclf.data.rows import PARTS
from textclf.data.source import SourceFile, changed_while_read, source_files
from textclf.errors import UserError
from textclf.io.contract import EnvironmentDocument
from textclf.io.files import read_json
from textclf.io.run_folder import Run
from textclf.io.staging import drop_all_but_checkpoint, stage_of
from textclf.training.dataset import Splits

logger = logging.getLogger(__name__)

PACKAGES = ("tensorflow", "keras", "numpy", "onnxruntime", "scikit-learn")


@dataclass(frozen=True)
class Fingerprint:
    """All that decides how a training ends."""

    settings: dict[str, Any]
    """Every option's value by its dotted key."""
    data: dict[str, str]
    """sha256 of each file that is read, by its path."""
    packages: dict[str, str]
    """Versions of what computes; another one may change the last digits."""


def fingerprint(config: Config, splits: Splits | None = None) -> Fingerprint:
    """Return what a training on the config starts from.

    Args:
        splits: the rows of the files, where they were read already, with the digests; None: the files are read now.

    Raises:
        UserError: a file is missing.
    """
    data = [file for part in splits.parts().values() for file in part.rows.files] if splits else [*_data_files(config)]
    if config.model.pretrained:
        data += source_files(config.model.pretrained, key="model.pretrained")
    return Fingerprint(option_values(config), {file.path.as_posix(): file.sha256 for file in data}, package_versions())


def package_versions() -> dict[str, str]:
    """Those of the packages that compute."""
    return {name: version(name) for name in PACKAGES}


def _data_files(config: Config) -> Iterator[SourceFile]:
    for part in PARTS:
        if patterns := getattr(config.data, part):
            yield from source_files(patterns, key=f"data.{part}")


def check_same_data(before: Fingerprint, now: Fingerprint) -> None:
    """Refuse data files that changed between two readings.

    Raises:
        UserError: a file has another sha256.
    """
    for path, _, _ in _changes(before.data, now.data):
        raise UserError(changed_while_read(path))


def is_complete(run: Run, now: Fingerprint) -> bool:
    """Whether the run is what training would give, with nothing of it left to do.

    Raises:
        UserError: it is complete, and was trained with other settings or data.
    """
    if not run.complete or stage_of(run).checkpoint.exists():
        return False
    environment: EnvironmentDocument = read_json(run.environment)
    before = Fingerprint(option_values(load_saved_config(run.config)), environment["data"], environment["packages"])
    check_unchanged(before, now, f"{run.path} is complete, and was trained", "Train anew with --overwrite.")
    return True


def resumable_staging(run: Run, now: Fingerprint) -> Run | None:
    """The unfinished training of the run, cleared of what was half done; None where there is none.

    Raises:
        UserError: it was begun with other settings or data.
    """
    stage = stage_of(run)
    if not stage.checkpoint.exists():
        logger.info("nothing to resume; training begins at the start")
        return None
    advice = "Go on with what it was begun with, or begin anew with --overwrite."
    check_unchanged(Fingerprint(**read_json(stage.begun)), now, f"{stage.path} was begun", advice)
    drop_all_but_checkpoint(stage)
    return stage


def check_unchanged(before: Fingerprint, now: Fingerprint, what: str, advice: str) -> None:
    """Refuses to go on with other settings or data, and warns of other versions.

    Raises:
        UserError: something has changed; it says of `what`.
    """
    changed = [
        *(f"{key} is {new!r}, was {old!r}" for key, old, new in _changes(before.settings, now.settings)),
        *(f"{path} has changed" for path, _, _ in _changes(before.data, now.data)),
    ]
    if changed:
        raise UserError(f"{what} with other settings or data: {'; '.join(changed)}. {advice}")
    for name, old, new in _changes(before.packages, now.packages):
        logger.warning("%s is %s now, was %s: the last digits may differ", name, new, old)


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Key, value before and value now of what differs."""
    keys = dict.fromkeys([*before, *now])
    return [(key, before.get(key), now.get(key)) for key in keys if before.get(key) != now.get(key)]
