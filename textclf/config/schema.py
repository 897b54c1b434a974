"""The options of a config: default, range and help, each declared once.

The options of `data`, `text` and `model` stand beside their code, in data/rows.py, text/tokenizer.py and
models/*/network.py.
"""

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
    """Options of the training loop."""

    epochs: int = option(default=10, help="most passes over the training rows", ge=1, le=10_000)
    batch_size: int = option(default=32, help="rows per batch, of all devices together", ge=1, le=65536)
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = option(default="adam", help="Keras optimizer")
    learning_rate: float = option(default=0.001, help="learning rate of the optimizer", gt=0, le=100)
    schedule: Literal["constant", "cosine", "linear"] = option(
        default="cosine", help="cosine, linear: the learning rate falls to 0 over all epochs"
    )
    warmup: float = option(
        default=0.0, help="share of all steps in which the learning rate rises from 0 first", ge=0, lt=1
    )
    weight_decay: float = option(default=0.004, help="weight decay of adamw", ge=0, lt=1)
    accumulate: int = option(
        default=1,
        help="batches whose gradients make one step together, where larger ones need too much memory; what is left "
        "over at the end makes none",
        ge=1,
        le=1024,
    )
    early_stopping: int | None = option(
        default=2, help="patience: epochs without a better `monitor` after which training stops; null: never", ge=1
    )
    monitor: Literal["val_loss", "val_accuracy"] = option(
        default="val_loss", help="validation metric of the network alone that chooses the best epoch"
    )
    class_weight: Literal["balanced"] | None = option(
        default=None, help="balanced: weights of labels inversely proportional to their rows, as in scikit-learn"
    )
    checkpoint_minutes: float | None = option(
        default=None,
        help="extra checkpoints within an epoch, every so many minutes; one at each epoch's end is always written",
        gt=0,
    )
    device: Literal["auto", "cpu", "gpu"] = option(default="auto", help="auto: a GPU if TensorFlow finds one")
    strategy: Literal["auto", "one", "mirrored", "workers"] = option(
        default="auto",
        help="one: train on one device; mirrored: on all GPUs of the machine; workers: on those of all processes that "
        "TF_CONFIG or Slurm names; auto: workers under TF_CONFIG, mirrored with two GPUs or more, else one",
    )
    seed: int = option(
        default=42,
        help="seed of the split, the initial weights, the order of the rows, dropout and `augment`",
        ge=0,
        le=2**31 - 1,
    )
    seeds: int = option(
        default=1,
        help="networks to train, with `seed`, `seed` + 1, ... on one split; the best on validation rows is kept",
        ge=1,
        le=100,
    )
    ensemble: bool = option(default=False, help="keep all `seeds` networks as one model that averages their logits")

    def __post_init__(self) -> None:
        if self.accumulate > 1 and self.strategy in ("mirrored", "workers"):
            raise ValueError(
                f"strategy: {self.strategy} needs accumulate: 1, found {self.accumulate}; devices share a batch anyway"
            )
        if self.ensemble and self.seeds == 1:
            raise ValueError("ensemble needs seeds: 2 or more, found 1")


AUGMENTATIONS = ("synonyms", "word_dropout", "swap", "deletion")
"""The options of AugmentOptions that change a share of the tokens, in the order in which they are applied."""


@options
class AugmentOptions:
    """Options of data augmentation: random changes of the training rows, drawn anew in each epoch."""

    synonyms: float = option(
        default=0.0,
        help="share of the words replaced by a neighbour among the word vectors of model.pretrained",
        ge=0,
        lt=1,
    )
    similarity: float = option(default=0.7, help="synonyms: least cosine similarity of a neighbour", gt=0, lt=1)
    word_dropout: float = option(default=0.0, help="share of the tokens replaced by the unknown word", ge=0, lt=1)
    swap: float = option(default=0.0, help="share of the tokens swapped with another token of the text", ge=0, lt=1)
    deletion: float = option(default=0.0, help="share of the tokens removed; at least one is kept", ge=0, lt=1)
    factor: int = option(default=1, help="copies of each row per epoch, with different changes", ge=1, le=100)

    def __post_init__(self) -> None:
        if self.factor > 1 and not any(getattr(self, name) for name in AUGMENTATIONS):
            raise ValueError(f"factor: {self.factor} needs one of {', '.join(AUGMENTATIONS)} above 0")


DEFAULT_THRESHOLD = 0.5

AIM_PATTERN = r"^(f1|accuracy|(precision|recall)>=(0?\.\d+|1(\.0*)?))$"


@options
class DecisionOptions:
    """Options of the step from probabilities to labels."""

    calibrate: bool = option(
        default=True,
        help="temperature scaling of the network's logits, fitted on validation rows, for calibrated probabilities",
    )
    positive: str | None = option(
        default=None,
        help="the positive one of two labels, which ROC AUC, average precision, `aim` and `threshold` are about; "
        "null: the second in alphabetical order",
        min_length=1,
    )
    aim: str | None = option(
        default=None,
        help="objective of the threshold, which is chosen on validation rows: f1, accuracy, precision>=0.9, "
        "recall>=0.9 (of the positive one of two labels; multilabel: one for each label); null: `threshold` is used",
        pattern=AIM_PATTERN,
        examples=["f1", "accuracy", "precision>=0.9", "recall>=0.9"],
    )
    threshold: float = option(
        default=DEFAULT_THRESHOLD,
        help="least probability at which the positive one of two labels is predicted; multilabel: each label",
        gt=0,
        lt=1,
    )


@options
class ReportOptions:
    """Options of the report."""

    baseline: bool = option(
        default=True, help="score the majority class, and TF-IDF with logistic regression, on the same rows"
    )
    texts: bool = option(default=True, help="false: no file of the run contains a text of the data")
    slices: list[str] = option(
        default=list, help="columns of the evaluated rows; metrics are shown for each of their values"
    )
    suspects: bool = option(
        default=False,
        help="write suspects.csv, and with texts suspects.json for Label Studio: training rows that are probably "
        "labelled wrong (needs cleanlab)",
    )
    license: str | None = option(
        default=None, help="licence of the model, as model hubs name it, for its card README.md", min_length=1,
        examples=["apache-2.0"],
    )  # fmt: skip


@options
class Config:
    """All settings of a training run."""

    data: DataOptions = option(help="files, columns and split")
    text: TextOptions = option(default=TextOptions, help="from texts to token ids")
    model: ModelOptions = option(default=BilstmOptions, discriminator="type", help="the network")
    training: TrainingOptions = option(default=TrainingOptions, help="the training loop")
    augment: AugmentOptions = option(default=AugmentOptions, help="random changes of the training rows")
    decision: DecisionOptions = option(default=DecisionOptions, help="from probabilities to labels")
    report: ReportOptions = option(default=ReportOptions, help="what the report shows beside the network")


TUNE_SECTION = "tune"
"""The section of a config file that is not part of a Config: the search space of `textclf tune`."""


def option_values(config: Config) -> dict[str, Any]:
    """Return the value of every option by its dotted key."""
    sections = dataclasses.asdict(config)
    return {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}


class OptionRow(NamedTuple):
    """An option in a table of all options."""

    key: str
    """The dotted key."""
    default: str
    """The default as YAML; empty if there is none."""
    help: str
    type: str
    """The type of the section that has this option, such as `mlp`; empty for a section without types."""


def option_rows() -> Iterator[OptionRow]:
    """Yield every option, in the order of the config."""
    for section in dataclasses.fields(Config):
        for section_type, options_class in section_types(section.name).items():
            for field in dataclasses.fields(options_class):
                key = f"{section.name}.{field.name}"
                yield OptionRow(key, _default_as_yaml(field), field.metadata["description"], section_type)


def section_types(section: str) -> dict[str, Any]:
    """Return the options classes of a section by their type; a section without types has one, under an empty name."""
    [annotation] = [field.type for field in dataclasses.fields(Config) if field.name == section]
    names = {architecture.options: name for name, architecture in MODELS.items()}
    return {names[options_class]: options_class for options_class in get_args(annotation)} or {"": annotation}


def _default_as_yaml(field: Any) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return json.dumps(field.default_factory())
    return "" if field.default is dataclasses.MISSING else json.dumps(field.default)
