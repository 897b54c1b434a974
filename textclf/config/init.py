"""`textclf init`: a commented config for a table that nobody has described, ready to train on."""

import dataclasses
import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import yaml

from textclf.config.load import load_config
from textclf.config.schema import option_rows
from textclf.config.suggest import DataProfile, Setting, percent, profile_table, suggest_settings
from textclf.config.yaml_source import ConfigDumper
from textclf.data.columns import ColumnRoles, find_columns, read_table
from textclf.data.rows import DataOptions, LabelReader, check_labels, read_rows, split_labels, text_keys
from textclf.data.split import split
from textclf.errors import UserError
from textclf.io.files import temporary_faults, write_text
from textclf.io.sanitize import is_whole, plain
from textclf.io.streams import is_file


class CompanionFile(NamedTuple):
    """A file beside the training file, named like one of validation or test rows."""

    key: str
    path: str
    rows: int = 0
    seen: int = 0
    """Rows whose text is also in the training file."""
    problem: str = ""
    """Why it cannot be used."""


class ConfigDraft(NamedTuple):
    """A config to write."""

    data: str
    found: DataProfile
    siblings: list[CompanionFile]
    text: str


def draft_config(data: str, *, text: str | None = None, label: str | None = None) -> ConfigDraft:
    """A config that trains on a file as it stands, with the columns that are named, or else those that look like it.

    Raises:
        UserError: the file cannot be read, or holds nothing to train on.
    """
    if not is_whole(data):
        raise UserError(f"{data}: the name is not UTF-8, so that no config can hold it. Rename the file.")
    table = read_table(Path(data))
    roles = find_columns(table, data, text=text, label=label)
    found, keys = profile_table(table, roles), text_keys(roles.text.values).near
    _check(data, found, roles, keys)
    siblings = [_look_at(key, path, roles, keys) for key, path in _siblings(data)]
    draft = ConfigDraft(data, found, siblings, _config_text(data, found, siblings))
    with temporary_faults(), tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        write_text(config, draft.text)
        load_config(config)
    return draft


def write_config(draft: ConfigDraft, path: Path) -> None:
    """Writes the config."""
    write_text(path, draft.text)


def config_path(data: str, output: str | None, *, overwrite: bool) -> Path:
    """The file to write: the one that is named, else NAME.yaml in the working directory.

    Raises:
        UserError: it exists and is not to be overwritten.
    """
    path = Path(output or f"{_name(data)}.yaml")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists. Replace it with --overwrite, or choose another file with --output.")
    return path


def _name(data: str) -> str:
    """The data's name: the file's, or, where that says only what part of the data it is, the folder's."""
    name = re.sub(r"(\.\w+?)(\.gz)?$", "", Path(data).name, flags=re.IGNORECASE)
    folder = Path(data).absolute().parent.name
    return folder if folder and name.lower() in ("train", "training", "data", "dataset", "all", "config") else name


def _check(data: str, found: DataProfile, roles: ColumnRoles, keys: npt.NDArray[np.uint64]) -> None:
    """Refuses what training would refuse, given the key of each text."""
    reader = LabelReader()
    reader.add(roles.label.values)
    labels = reader.labels()
    check_labels(labels, found.label_separator, [Path(data)])
    name = plain(found.label)
    if found.unlabelled and found.label_separator is None:
        first = next(row for row, label in enumerate(roles.label.values) if not label.strip())
        raise UserError(
            f"{data}: {found.unlabelled:,} of {found.rows:,} rows have no label in '{name}', the first is row {first} "
            "(rows count from 0). Add the labels, drop the rows, or name another column with --label."
        )
    if len(found.labels) < 2:
        held = ", ".join(plain(label) for label in found.labels) or "nothing"
        raise UserError(f"{data}: '{name}' holds only {held}. There must be something to tell apart; name --label.")
    parts = split(labels, keys, fraction=0.1, seed=0, separator=found.label_separator)
    if not len(parts.validation):
        raise UserError(
            f"{data}: no label in '{name}' has two different texts, to learn from one and validate on the other. "
            "Add rows, or name another column with --label."
        )


# Files beside the training file

_TRAIN = re.compile(r"(?<![a-zA-Z])(?:train|training)(?![a-zA-Z])", re.IGNORECASE)

_OTHERS = {"validation": ("dev", "valid", "validation", "val"), "test": ("test", "testing")}


def _siblings(data: str) -> Iterator[tuple[str, str]]:
    """Setting and path of each file beside the training file that is named like it but for the word train."""
    folder, name = str(Path(data).parent), Path(data).name
    word = _TRAIN.search(name)
    if word is None:
        return
    for part, words in _OTHERS.items():
        names = [name[: word.start()] + _in_case_of(word.group(), other) + name[word.end() :] for other in words]
        paths = [str(Path(folder, name)) for name in names]
        yield from [(f"data.{part}", path) for path in paths if is_file(path)][:1]


def _in_case_of(model: str, word: str) -> str:
    return word.upper() if model.isupper() else word.capitalize() if model[0].isupper() else word


def _look_at(key: str, path: str, roles: ColumnRoles, keys: npt.NDArray[np.uint64]) -> CompanionFile:
    """The file beside it, and whether its rows can be measured on, given the key of each training text."""
    options = DataOptions(
        train=path, text=roles.text.name, label=roles.label.name, label_separator=roles.label.separator
    )
    trained = set(keys.tolist())
    names: set[str] = set()
    rows = seen = 0
    try:
        for chunk in read_rows([Path(path)], options):
            names |= {name for field in chunk.labels for name in split_labels(field, options.label_separator)}
            rows += len(chunk.texts)
            seen += sum(text in trained for text in text_keys(chunk.texts).near.tolist())
    except UserError as error:
        return CompanionFile(key, path, problem=str(error))
    unknown = names - set(roles.label.labels)
    # training refuses validation rows with such labels; of test rows it counts them as wrong
    if unknown and (key == "data.validation" or unknown == names):
        return CompanionFile(key, path, problem=f"its label '{plain(min(unknown))}' is in no training row looked at")
    return CompanionFile(key, path, rows, seen)


# The file


def _config_text(data: str, found: DataProfile, siblings: list[CompanionFile]) -> str:
    """The config as YAML, each setting with its reason."""
    used = [sibling for sibling in siblings if not sibling.problem]
    validated = any(sibling.key == "data.validation" for sibling in used)
    lines = [*_data_settings(data, found, used), *suggest_settings(found, has_validation_file=validated)]
    head = f"# By `textclf init`, from {_looked_at(found)} of {plain(data)}. docs/config.md has every option."
    return "\n".join([head, *(f"# - {remark}" for remark in remarks(found, siblings)), *_sections(lines), ""])


def _data_settings(data: str, found: DataProfile, siblings: list[CompanionFile]) -> Iterator[Setting]:
    more = "more than " if found.more else ""
    yield Setting("data.train", data, f"{more}{found.rows:,} rows; the path is relative to where textclf is started")
    for sibling in siblings:
        use = "chooses the best epoch" if sibling.key == "data.validation" else "the result is measured on it"
        yield Setting(sibling.key, sibling.path, f"beside it, with the same columns and {sibling.rows:,} rows: {use}")
    script = "" if found.script == "Unknown" else f", in {found.script} script"
    yield Setting("data.text", found.text, f"{found.rows - found.repeated:,} different texts{script}")
    yield Setting("data.label", found.label, _labels(found))
    if found.label_separator is not None:
        none = f", {found.unlabelled:,} rows have none" if found.unlabelled else ""
        several = f"{sum(found.labels.values()) / found.rows:.1f} labels a row{none}"
        yield Setting("data.label_separator", found.label_separator, several)


def _sections(lines: Sequence[Setting]) -> Iterator[str]:
    """The settings as lines of YAML, section by section, the comments in a column."""
    order = [row.key for row in option_rows()]
    lines = sorted(lines, key=lambda line: order.index(line.key))
    width = min(40, max(len(_yaml_line(line)) for line in lines))
    for section, inside in groupby(lines, key=lambda line: line.key.partition(".")[0]):
        yield f"{section}:"
        for line in inside:
            yield f"{_yaml_line(line).ljust(width)}   # {plain(line.why, longest=200)}"


def _yaml_line(line: Setting) -> str:
    return f"  {'' if line.active else '# '}{line.key.partition('.')[2]}: {yaml_value(line.value)}"


def yaml_value(value: Any) -> str:
    """The value as YAML on one line."""
    # as the item of a list, which no mark ends and nothing wraps
    text = _flow([value])
    return (_flow([value], style='"') if "\n" in text else text)[1:-1]


def _flow(values: list[Any], *, style: str | None = None) -> str:
    text: str = yaml.dump(
        values, Dumper=ConfigDumper, default_flow_style=True, default_style=style, allow_unicode=True, width=10**9
    )
    return text.removesuffix("\n")


def remarks(found: DataProfile, siblings: list[CompanionFile]) -> list[str]:
    """What a careful reader should know about the data."""
    return [plain(remark, longest=250) for remark in (*_text_remarks(found), *_file_remarks(siblings))]


def _text_remarks(found: DataProfile) -> Iterator[str]:
    if found.others:
        yield f"Other columns that may be the label: {', '.join(found.others)}. `textclf init --label NAME` takes one."
    if found.more:
        yield f"Only {_looked_at(found)} were looked at; the figures below are theirs."
    if found.empty:
        yield f"Empty texts: {found.empty:,}. They are kept, and all get the same probabilities."
    if found.repeated:
        other = f", {found.contradicting:,} of them with another label" if found.contradicting else ""
        yield f"Rows that repeat an earlier text: {found.repeated:,}{other}. A split keeps them on one side."
    alone = [label for label, rows in found.labels.items() if rows == 1]
    if alone:
        some = ", ".join(alone[:5]) + (", ..." if len(alone) > 5 else "")
        yield f"Labels with a single row, too few to learn or to measure: {len(alone):,} ({some})."


def _file_remarks(siblings: list[CompanionFile]) -> Iterator[str]:
    for sibling in siblings:
        if sibling.problem:
            yield f"{sibling.path} is not used: {sibling.problem}"
        elif sibling.seen:
            yield f"{sibling.seen:,} of {sibling.rows:,} texts of {sibling.path} are in the training file too."
    if "data.test" not in [sibling.key for sibling in siblings if not sibling.problem]:
        yield "Without data.test the result is measured on the validation rows, which also choose the best epoch."


def _looked_at(found: DataProfile) -> str:
    return f"the first {found.rows:,} rows" if found.more else f"the {found.rows:,} rows"


def _labels(found: DataProfile) -> str:
    """The labels with their shares, the most frequent first."""
    shown = [f"{plain(label, longest=24)} ({percent(rows / found.rows)})" for label, rows in found.labels.items()]
    if len(shown) > 5:
        shown = [*shown[:2], "...", shown[-1]]
    return f"{len(found.labels):,} labels: {', '.join(shown)}"


# What is said


def summary(draft: ConfigDraft) -> list[str]:
    """What was found, in a few lines for the terminal."""
    found = draft.found
    said = remarks(found, draft.siblings)
    tokens = f"{found.median:,.0f} tokens in the middle, {found.longest:,} at most"
    return [
        f"{plain(draft.data)}: {_looked_at(found)} have texts in '{plain(found.text)}' ({tokens})",
        f"and labels in '{plain(found.label)}' ({_labels(found)})",
        *said[:2],
        *([f"more remarks on top of the config: {len(said) - 2}"] if len(said) > 2 else []),
    ]


def document(draft: ConfigDraft, path: Path | None) -> dict[str, Any]:
    """What was found, as plain values."""
    return {
        "config": None if path is None else str(path),
        "data": draft.data,
        "found": dataclasses.asdict(draft.found),
        "beside": [sibling._asdict() for sibling in draft.siblings],
        "remarks": remarks(draft.found, draft.siblings),
    }


def next_command(path: Path) -> str:
    """What to run now."""
    return f"textclf train {shlex.quote(str(path))}"
