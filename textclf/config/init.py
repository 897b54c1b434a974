"""`textclf init`: a commented config, ready to train, for any table of texts and labels."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import yaml

from textclf.config.encoder_files import (
    EncoderFolder,
    encoder_paths,
    find_encoders,
    minutes_text,
    read_encoder_folder,
)
from textclf.config.load import check_source, raise_problems
from textclf.config.schema import option_rows
from textclf.config.suggest import (
    LARGE,
    DataProfile,
    Setting,
    encoder_training,
    percent,
    profile_table,
    recurring_words,
    suggest_encoder_settings,
    suggest_settings,
    suitable_tokenizer,
)
from textclf.config.vector_files import VectorFile, find_vector_files, vector_paths
from textclf.config.yaml_source import ConfigDumper, parse_yaml
from textclf.data.columns import ColumnRoles, find_columns, join_columns, read_table
from textclf.data.rows import DataOptions, LabelBuilder, check_labels, read_rows, split_labels, text_keys
from textclf.data.spelling import LIST_ADVICE, is_list_as_text, quoted, spelling_advice, spelling_groups
from textclf.data.split import split
from textclf.data.table_format import check_distinct
from textclf.errors import UserError
from textclf.io.files import write_pieces
from textclf.io.outputs import check_output
from textclf.io.sanitize import excerpt, is_encodable
from textclf.io.streams import expand_home, is_regular_file
from textclf.models.encoder.folder import encoder_files

MAX_LISTED_LABELS = 5

MAX_PRINTED_REMARKS = 2  # the others are in the config


class CompanionFile(NamedTuple):
    """A file in the folder of the training file whose name says validation or test."""

    key: str
    """`data.validation` or `data.test`."""
    path: str
    rows: int = 0
    repeated: int = 0
    """Number of rows whose text is also in the training file."""
    problem: str = ""
    """The reason why it cannot be used."""


@dataclass(frozen=True)
class CreatedConfig:
    """A config for a table, and the profile of the data that it is based on."""

    data: str
    """Path of the table."""
    path: Path | None
    """Path of the config; None if it is not written to a file."""
    profile: DataProfile
    text_columns: str | list[str]
    companions: list[CompanionFile]
    vectors: list[VectorFile]
    """Files of word vectors, the best first; not looked for if the config names an encoder."""
    encoders: list[EncoderFolder]
    """Pretrained encoders on this machine, those that know the language of the texts first; or that of the config."""
    encoder: EncoderFolder | None
    """The encoder of the config; None: the config has none."""
    columns: list[str]
    """The options of the command that name columns."""

    @property
    def remarks(self) -> list[str]:
        """Remarks on the data, a sentence or two each."""
        encoder = _encoder_remarks(self.encoder) if self.encoder else ()
        sentences = (*_text_remarks(self.profile), *encoder, *_companion_remarks(self.companions))
        return [excerpt(sentence, longest=250) for sentence in sentences]

    @property
    def yaml(self) -> str:
        """The config as YAML, each setting with its reason."""
        used = [companion for companion in self.companions if not companion.problem]
        has_validation_file = any(companion.key == "data.validation" for companion in used)
        if self.encoder:
            suggested = suggest_encoder_settings(self.profile, self.encoder, has_validation_file=has_validation_file)
        else:
            suggested = suggest_settings(
                self.profile, has_validation_file=has_validation_file, vectors=self.vectors
            )  # fmt: skip
        settings = [*_data_settings(self.data, self.profile, self.text_columns, used), *suggested]
        head = f"# By `textclf init`, from {_rows_read(self.profile)} of {excerpt(self.data)}."
        remarks = [f"# - {remark}" for remark in self.remarks]
        return "\n".join([f"{head} docs/config.md has every option.", *remarks, *_yaml_lines(settings), ""])

    def summary(self) -> list[str]:
        """Return a few lines about the data for the terminal."""
        profile, remarks = self.profile, self.remarks
        names = [self.text_columns] if isinstance(self.text_columns, str) else self.text_columns
        texts = " and ".join(f"'{excerpt(name)}'" for name in names)
        tokens = f"median {profile.median:,.0f} tokens, longest {profile.longest:,}"
        hidden = len(remarks) - MAX_PRINTED_REMARKS
        return [
            f"{excerpt(self.data)}: {_rows_read(profile)} have texts in {texts} ({tokens})",
            f"and labels in '{excerpt(profile.label)}' ({_label_shares(profile)})",
            *map(_vectors_line, self.vectors),
            *self._encoder_lines(),
            *remarks[:MAX_PRINTED_REMARKS],
            *([f"more remarks on top of the config: {hidden}"] if hidden > 0 else []),
        ]

    def document(self) -> dict[str, object]:
        """Return the description of the data as JSON values."""
        return {
            "config": None if self.path is None else str(self.path),
            "data": self.data,
            "found": asdict(self.profile),
            "beside": [companion._asdict() for companion in self.companions],
            "vectors": [file._asdict() for file in self.vectors],
            "encoders": [encoder._asdict() for encoder in self.encoders],
            "remarks": self.remarks,
        }

    def _encoder_lines(self) -> Iterator[str]:
        """Yield a line for the terminal on each encoder that cannot be used, and on the one that is proposed."""
        for encoder in self.encoders:
            if encoder.problem:
                problem = encoder.problem.replace(encoder.path, excerpt(encoder.path))
                yield f"not used: {excerpt(problem, longest=200)}"
        best = next((encoder for encoder in self.encoders if encoder.knows_language), None)
        if best and not self.encoder and self.profile.rows < LARGE:
            command = shlex.join(["textclf", "init", self.data, *self.columns, "--encoder", best.path])
            time = minutes_text(encoder_training(self.profile, best).minutes)
            yield f"an encoder is there that may score higher: {command} (trains in about {time})"

    def next_command(self) -> str:
        """Return the command that trains on the config."""
        return f"textclf train {shlex.quote(str(self.path))}"


def create_config(
    data: str,
    output: str | None = None,
    *,
    text: Sequence[str] = (),
    label: str | None = None,
    encoder: str | None = None,
    overwrite: bool = False,
) -> CreatedConfig:
    """Write a config that trains on a table as it stands.

    Args:
        data: path of the table.
        output: the file to write, or `-` to write none; None: NAME.yaml of the data, with an encoder
            NAME-encoder.yaml, in the working directory.
        text: the columns of the texts; none: one, found by its values.
        label: the column of the labels; None: found by its values.
        encoder: the folder of a pretrained encoder to train; None: a network from scratch.

    Raises:
        UserError: the table, or the encoder, cannot be read or trained on, or the config must not be written.
    """
    columns = [*(("--text", name) for name in text), *([("--label", label)] if label else [])]
    check_distinct(columns)
    data = expand_home(data)
    name = f"{_data_name(data)}{'-encoder' if encoder else ''}.yaml"
    path = None if output == "-" else Path(expand_home(output or name))
    sources = [data, *(companion for _, companion in _companion_paths(data))]
    folder = Path(expand_home(encoder)) if encoder else None
    check_output(path, [*map(Path, sources), *(encoder_files(folder) if folder else ())], overwrite=overwrite)
    if not is_encodable(data):
        raise UserError(f"{data}: the name is not UTF-8, so that no config can hold it. Rename the file.")
    table = read_table(Path(data))
    if len(text) > 1:
        table = join_columns(table, data, text)
    roles = find_columns(table, data, text=", ".join(text) or None, label=label)
    text_columns = [*text] if len(text) > 1 else roles.text.name
    profile, keys = profile_table(table, roles), text_keys(roles.text.values).near
    _check_trainable(data, profile, roles, keys)
    companions = [_read_companion(key, path, roles, text_columns, keys) for key, path in _companion_paths(data)]
    vectors, encoders, selected = [], [], None
    if folder:
        selected = read_encoder_folder(folder, roles.text.values)
        encoders = [selected]
    else:
        vectors = find_vector_files(_words(profile, roles)) if vector_paths() else []
        encoders = find_encoders(roles.text.values) if encoder_paths() else []
    created = CreatedConfig(
        data, path, profile, text_columns, companions, vectors, encoders, selected, [*chain.from_iterable(columns)]
    )
    source = parse_yaml(created.yaml, str(path or output))
    raise_problems(source, check_source(source)[1])
    if path:
        write_pieces(path, [created.yaml], overwrite=overwrite)
    return created


def _words(profile: DataProfile, roles: ColumnRoles) -> list[str]:
    return recurring_words(roles.text.values, suitable_tokenizer(profile.script, roles.text.values))


def _vectors_line(file: VectorFile) -> str:
    """Return a line for the terminal on a file of word vectors."""
    if file.problem:
        return f"not used: {excerpt(file.problem, longest=200)}"
    return f"{file.path} has {percent(file.coverage)} of the words that come at least twice"


def _data_name(data: str) -> str:
    """Return the name of the file, or of its folder if the file has a general name such as train.csv."""
    name = re.sub(r"(\.\w+?)(\.gz)?$", "", Path(data).name, flags=re.IGNORECASE)
    folder = Path(data).absolute().parent.name
    return folder if folder and name.lower() in ("train", "training", "data", "dataset", "all", "config") else name


def _check_trainable(data: str, profile: DataProfile, roles: ColumnRoles, keys: npt.NDArray[np.uint64]) -> None:
    """Raise a UserError if training would refuse the data, given the key of each text."""
    reader = LabelBuilder()
    reader.add(roles.label.values)
    labels = reader.labels()
    check_labels(labels, profile.label_separator, [Path(data)])
    name = excerpt(profile.label)
    if profile.unlabelled and profile.label_separator is None:
        first = next(row for row, label in enumerate(roles.label.values) if not label.strip())
        raise UserError(
            f"{data}: {profile.unlabelled:,} of {profile.rows:,} rows have no label in '{name}', the first is row "
            f"{first} (rows count from 0). Add the labels, drop the rows, or name another column with --label."
        )
    if len(profile.labels) < 2:
        held = ", ".join(excerpt(label) for label in profile.labels) or "nothing"
        raise UserError(f"{data}: '{name}' holds only {held}. There must be something to tell apart; name --label.")
    parts = split(labels, keys, fraction=0.1, seed=0, separator=profile.label_separator)
    if not len(parts.validation):
        raise UserError(
            f"{data}: no label in '{name}' has two different texts, to learn from one and validate on the other. "
            "Add rows, or name another column with --label."
        )


# Files beside the training file

_TRAIN = re.compile(r"(?<![a-zA-Z])(?:train|training)(?![a-zA-Z])", re.IGNORECASE)

_COMPANION_WORDS = {"data.validation": ("dev", "valid", "validation", "val"), "data.test": ("test", "testing")}


def _companion_paths(data: str) -> Iterator[tuple[str, str]]:
    """Yield option and path of each file whose name has a word such as `dev` or `test` in the place of `train`."""
    folder, name = Path(data).parent, Path(data).name
    match = _TRAIN.search(name)
    if match is None:
        return
    for key, words in _COMPANION_WORDS.items():
        names = [name[: match.start()] + _with_case_of(match.group(), word) + name[match.end() :] for word in words]
        paths = [str(folder / name) for name in names]
        yield from [(key, path) for path in paths if is_regular_file(path)][:1]


def _with_case_of(model: str, word: str) -> str:
    return word.upper() if model.isupper() else word.capitalize() if model[0].isupper() else word


def _read_companion(
    key: str, path: str, roles: ColumnRoles, text_columns: str | list[str], keys: npt.NDArray[np.uint64]
) -> CompanionFile:
    """Read a companion file and check if it can be used, given the key of each training text."""
    options = DataOptions(train=path, text=text_columns, label=roles.label.name, label_separator=roles.label.separator)
    training_keys = set(keys.tolist())
    labels: set[str] = set()
    rows = repeated = 0
    try:
        for chunk in read_rows(Path(path), options):
            labels |= {label for field in chunk.labels for label in split_labels(field, options.label_separator)}
            rows += len(chunk.texts)
            repeated += sum(text_key in training_keys for text_key in text_keys(chunk.texts).near.tolist())
    except UserError as error:
        return CompanionFile(key, path, problem=str(error))
    unknown = labels - set(roles.label.labels)
    # training refuses validation rows with unknown labels; in test rows they count as errors
    if unknown and (key == "data.validation" or unknown == labels):
        advice = spelling_advice(sorted(unknown), roles.label.labels)
        problem = f"its label '{excerpt(min(unknown))}' is in no training row looked at{advice and f'. {advice}'}"
        return CompanionFile(key, path, problem=problem)
    return CompanionFile(key, path, rows, repeated)


# The config as YAML


def _data_settings(
    data: str, profile: DataProfile, text_columns: str | list[str], companions: list[CompanionFile]
) -> Iterator[Setting]:
    more = "more than " if profile.more else ""
    yield Setting("data.train", data, f"{more}{profile.rows:,} rows; the path is relative to where textclf is started")
    for companion in companions:
        use = "chooses the best epoch" if companion.key == "data.validation" else "the result is measured on it"
        reason = f"beside it, with the same columns and {companion.rows:,} rows: {use}"
        yield Setting(companion.key, companion.path, reason)
    script = "" if profile.script == "Unknown" else f", in {profile.script} script"
    yield Setting("data.text", text_columns, f"{profile.rows - profile.repeated:,} different texts{script}")
    yield Setting("data.label", profile.label, _label_shares(profile))
    if profile.label_separator is not None:
        none = f", {profile.unlabelled:,} rows have none" if profile.unlabelled else ""
        labels_per_row = f"{sum(profile.labels.values()) / profile.rows:.1f} labels per row{none}"
        yield Setting("data.label_separator", profile.label_separator, labels_per_row)


def _yaml_lines(settings: Sequence[Setting]) -> Iterator[str]:
    """Yield the settings as lines of YAML, section by section, with aligned comments."""
    order = [row.key for row in option_rows()]
    settings = sorted(settings, key=lambda setting: order.index(setting.key))
    width = min(40, max(len(_yaml_line(setting)) for setting in settings))
    for section, members in groupby(settings, key=lambda setting: setting.key.partition(".")[0]):
        yield f"{section}:"
        for setting in members:
            yield f"{_yaml_line(setting).ljust(width)}   # {excerpt(setting.reason, longest=200)}"


def _yaml_line(setting: Setting) -> str:
    return f"  {'' if setting.active else '# '}{setting.key.partition('.')[2]}: {yaml_value(setting.value)}"


def yaml_value(value: object) -> str:
    """Return the value as YAML on one line."""
    # inside a list no document end mark follows a value, and nothing wraps
    text = _dump_flow([value])
    return (_dump_flow([value], style='"') if "\n" in text else text)[1:-1]


def _dump_flow(values: list[object], *, style: str | None = None) -> str:
    text: str = yaml.dump(
        values, Dumper=ConfigDumper, default_flow_style=True, default_style=style, allow_unicode=True, width=10**9
    )
    return text.removesuffix("\n")


# Sentences


def _text_remarks(profile: DataProfile) -> Iterator[str]:
    if profile.others:
        names = ", ".join(profile.others)
        yield f"Other columns that may be the label: {names}. `textclf init --label NAME` takes one."
    if profile.more:
        yield f"Only {_rows_read(profile)} were looked at; the figures below are theirs."
    lists = [label for label in profile.labels if is_list_as_text(label)]
    if lists:
        rows = sum(profile.labels[label] for label in lists)
        yield f"Rows with a list as text for a label: {rows:,}, such as {excerpt(lists[0])}. {LIST_ADVICE}"
    if profile.empty:
        yield f"Empty texts: {profile.empty:,}. They are kept, and all get the same probabilities."
    if profile.repeated:
        contradicting = f", {profile.contradicting:,} of them with another label" if profile.contradicting else ""
        yield f"Rows that repeat an earlier text: {profile.repeated:,}{contradicting}. A split keeps them on one side."
    alike = spelling_groups(profile.labels)
    if alike:
        listed = "; ".join(" and ".join(map(quoted, group)) for group in alike[:MAX_LISTED_LABELS])
        yield f"Labels that may be one: {listed}{'; ...' if len(alike) > MAX_LISTED_LABELS else ''}. Write them alike."
    rare = [label for label, rows in profile.labels.items() if rows == 1]
    if rare:
        listed = ", ".join(rare[:MAX_LISTED_LABELS]) + (", ..." if len(rare) > MAX_LISTED_LABELS else "")
        yield f"Labels with a single row, too few to learn or to measure: {len(rare):,} ({listed})."


def _encoder_remarks(encoder: EncoderFolder) -> Iterator[str]:
    if not encoder.knows_language:
        unknown = f", {percent(encoder.unknown)} of them unknown" if encoder.unknown else ""
        yield (
            f"{encoder.path} may not know the language of the texts: it splits a word into "
            f"{encoder.pieces_per_word:.1f} pieces{unknown}."
        )


def _companion_remarks(companions: list[CompanionFile]) -> Iterator[str]:
    for companion in companions:
        if companion.problem:
            yield f"{companion.path} is not used: {companion.problem}"
        elif companion.repeated:
            counts = f"{companion.repeated:,} of {companion.rows:,}"
            yield f"{counts} texts of {companion.path} are in the training file too."
    if "data.test" not in [companion.key for companion in companions if not companion.problem]:
        yield "Without data.test the result is measured on the validation rows, which also choose the best epoch."


def _rows_read(profile: DataProfile) -> str:
    return f"the first {profile.rows:,} rows" if profile.more else f"the {profile.rows:,} rows"


def _label_shares(profile: DataProfile) -> str:
    """Return the labels with their share of the rows, the most frequent first."""
    shares = [
        f"{excerpt(label, longest=24)} ({percent(rows / profile.rows)})" for label, rows in profile.labels.items()
    ]
    if len(shares) > MAX_LISTED_LABELS:
        shares = [*shares[:2], "...", shares[-1]]
    return f"{len(profile.labels):,} labels: {', '.join(shares)}"
