"""What a training began with, so that it goes on only with the same settings and data."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from textclf.config import Config, option_values, saved_config
from textclf.data import PARTS
from textclf.errors import UserError
from textclf.run import Run, read_json
from textclf.seen import SeenFile, see_files
from textclf.stage import drop_all_but_checkpoint, stage_of

logger = logging.getLogger(__name__)

PACKAGES = ("tensorflow", "keras", "numpy", "onnxruntime", "scikit-learn")


@dataclass(frozen=True)
class Beginning:
    """All that decides how a training ends."""

    settings: dict[str, Any]
    """Every option's value by its dotted key."""
    data: dict[str, str]
    """sha256 of each file that is read, by its path."""
    packages: dict[str, str]
    """Versions of what computes; another one may change the last digits."""


def beginning(config: Config) -> Beginning:
    """What a training on the config begins with now.

    Raises:
        UserError: a file is missing.
    """
    digests = {file.path.as_posix(): file.sha256 for file in _files(config)}
    return Beginning(option_values(config), digests, package_versions())


def package_versions() -> dict[str, str]:
    """Those of the packages that compute."""
    return {name: version(name) for name in PACKAGES}


def _files(config: Config) -> Iterator[SeenFile]:
    for part in PARTS:
        if patterns := getattr(config.data, part):
            yield from see_files(patterns, key=f"data.{part}")
    if config.model.pretrained:
        yield from see_files(config.model.pretrained, key="model.pretrained")


def complete_already(run: Run, now: Beginning) -> bool:
    """Whether the run is what training would give, with nothing of it left to do.

    Raises:
        UserError: it is complete, and was trained with other settings or data.
    """
    if not run.complete or stage_of(run).checkpoint.exists():
        return False
    environment = read_json(run.environment)
    before = Beginning(option_values(saved_config(run.config)), environment["data"], environment["packages"])
    check_unchanged(before, now, f"{run.path} is complete, and was trained", "Train anew with --overwrite.")
    return True


def stage_to_resume(run: Run, now: Beginning) -> Run | None:
    """The unfinished training of the run, cleared of what was half done; None where there is none.

    Raises:
        UserError: it was begun with other settings or data.
    """
    stage = stage_of(run)
    if not stage.checkpoint.exists():
        logger.info("nothing to resume; training begins at the start")
        return None
    advice = "Go on with what it was begun with, or begin anew with --overwrite."
    check_unchanged(Beginning(**read_json(stage.begun)), now, f"{stage.path} was begun", advice)
    drop_all_but_checkpoint(stage)
    return stage


def check_unchanged(before: Beginning, now: Beginning, what: str, advice: str) -> None:
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
