"""Every option of a config, once: its default, its range and its help."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args

from textclf.data.rows import DataOptions
from textclf.models.bilstm.network import BilstmOptions
from textclf.models.registry import MODELS, ModelOptions
from textclf.options import option, options
from textclf.text.tokenizer import TextOptions


@options
class TrainingOptions:
    """How the network learns."""

    epochs: int = option(default=10, help="passes over the training rows, at most", ge=1, le=10_000)
    batch_size: int = option(default=32, help="rows a step", ge=1, le=65536)
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = option(
        default="adam", help="rule by which the weights move"
    )
    learning_rate: float = option(default=0.001, help="size of a step", gt=0, le=100)
    schedule: Literal["constant", "cosine"] = option(
        default="cosine", help="cosine: the learning rate falls to 0 over all epochs"
    )
    early_stopping: int | None = option(
        default=2, help="epochs without a better validation score after which to stop; null: never", ge=1
    )
    monitor: Literal["val_loss", "val_accuracy"] = option(
        default="val_loss", help="validation score by which the best epoch is chosen"
    )
    class_weight: Literal["balanced"] | None = option(
        default=None, help="balanced: rare labels weigh more, in inverse proportion"
    )
    checkpoint_minutes: float | None = option(
        default=None, help="minutes between checkpoints within an epoch; null: one at the end of each", gt=0
    )
    device: Literal["auto", "cpu", "gpu"] = option(default="auto", help="auto: a GPU where TensorFlow finds one")
    seed: int = option(
        default=42,
        help="of the split, the first weights, the order of the rows, dropout and `augment`",
        ge=0,
        le=2**31 - 1,
    )
    seeds: int = option(
        default=1,
        help="networks to train: `seed`, `seed` + 1, ... for all but the split; the best on validation rows is kept",
        ge=1,
        le=100,
    )
    ensemble: bool = option(default=False, help="keep all of them as one model that averages their logits")

    def __post_init__(self) -> None:
        if self.ensemble and self.seeds == 1:
            raise ValueError("ensemble needs seeds: 2 or more, found 1")


AUGMENTATIONS = ("synonyms", "word_dropout", "swap", "deletion")
"""The changes of training rows, in the order in which they are made; each is the option that gives its share."""


@options
class AugmentOptions:
    """What is changed of the training rows, and of no others, each time that they come."""

    synonyms: float = option(
        default=0.0, help="share of the words replaced by a neighbour among the vectors of model.pretrained", ge=0, lt=1
    )
    similarity: float = option(default=0.7, help="synonyms: least cosine of two neighbours", gt=0, lt=1)
    word_dropout: float = option(default=0.0, help="share of the tokens that become the unknown word", ge=0, lt=1)
    swap: float = option(
        default=0.0, help="share of the tokens that change places with another of their text", ge=0, lt=1
    )
    deletion: float = option(default=0.0, help="share of the tokens left out; one of a text always stays", ge=0, lt=1)
    factor: int = option(
        default=1, help="times that each row comes in an epoch, each time changed in another way", ge=1, le=100
    )

    def __post_init__(self) -> None:
        if self.factor > 1 and not any(getattr(self, name) for name in AUGMENTATIONS):
            raise ValueError(f"factor: {self.factor} needs one of {', '.join(AUGMENTATIONS)} above 0")


DEFAULT_THRESHOLD = 0.5

AIM_PATTERN = r"^(f1|accuracy|(precision|recall)>=(0?\.\d+|1(\.0*)?))$"


@options
class DecisionOptions:
    """From probabilities to labels."""

    calibrate: bool = option(
        default=True, help="scale the logits by one number, fitted on validation rows, so that probabilities hold"
    )
    aim: str | None = option(
        default=None,
        help="what the threshold is chosen for on validation rows: f1, accuracy, precision>=0.9, recall>=0.9 (of the "
        "second of two labels, or over several labels a row); null: `threshold` as it stands",
        pattern=AIM_PATTERN,
        examples=["f1", "accuracy", "precision>=0.9", "recall>=0.9"],
    )
    threshold: float = option(
        default=DEFAULT_THRESHOLD,
        help="probability from which the second of two labels, or one of several, is given",
        gt=0,
        lt=1,
    )


@options
class ReportOptions:
    """What is measured beside the network."""

    baseline: bool = option(default=True, help="majority class, and TF-IDF with logistic regression, on the same rows")
    texts: bool = option(default=True, help="false: no text of the data in any file of the run")
    slices: list[str] = option(default=list, help="columns of the measured rows by which the score is shown too")
    suspects: bool = option(
        default=False, help="write suspects.csv: training rows that are probably labelled wrong (needs textclf[labels])"
    )


@options
class Config:
    """Everything that a training run depends on, besides the data and this program."""

    data: DataOptions = option(help="the rows")
    text: TextOptions = option(default=TextOptions, help="texts to token ids")
    model: ModelOptions = option(default=BilstmOptions, discriminator="type", help="the network")
    training: TrainingOptions = option(default=TrainingOptions, help="how it learns")
    augment: AugmentOptions = option(default=AugmentOptions, help="what is changed of the training rows")
    decision: DecisionOptions = option(default=DecisionOptions, help="from probabilities to labels")
    report: ReportOptions = option(default=ReportOptions, help="what is measured beside it")


TUNE_SECTION = "tune"
"""The section of a config file that is no part of a Config; see `space`."""


def option_values(config: Config) -> dict[str, Any]:
    """Every option's value by its dotted key."""
    sections = dataclasses.asdict(config)
    return {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}


class OptionRow(NamedTuple):
    """What there is to know of an option."""

    key: str
    """Dotted."""
    default: str
    """As YAML; empty where there is none."""
    help: str
    type: str
    """Of the sections of which there are several types, the one that has this option; else empty."""


def option_rows() -> Iterator[OptionRow]:
    """Every option, in order."""
    for section in dataclasses.fields(Config):
        for type_, variant in _variants(section.name).items():
            for field in dataclasses.fields(variant):
                key = f"{section.name}.{field.name}"
                yield OptionRow(key, _default_text(field), field.metadata["description"], type_)


def _variants(section: str) -> dict[str, Any]:
    """The options classes of a section by their type; of most there is one, without a name."""
    [kind] = [field.type for field in dataclasses.fields(Config) if field.name == section]
    names = {architecture.options: name for name, architecture in MODELS.items()}
    return {names[each]: each for each in get_args(kind)} or {"": kind}


def _default_text(field: Any) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return json.dumps(field.default_factory())
    return "" if field.default is dataclasses.MISSING else json.dumps(field.default)
