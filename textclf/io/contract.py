"""The JSON files of a run, as types; those of a tuning are in `tuning_contract`.

A key that may be missing is `NotRequired`. Shares and probabilities are from 0 to 1, rows are counted from 0.
"""

from typing import Any, NotRequired, TypedDict

Metrics = dict[str, float | None]
"""Value by scikit-learn's name of the metric; None if it is undefined."""

Interval = list[float]
"""Lower and upper end of a 95 % interval."""

Intervals = dict[str, Interval]
"""Interval by metric; a metric that is undefined on most resamples has none."""


def defined(metrics: Metrics, name: str) -> float:
    """Return a metric that is never undefined, such as the accuracy."""
    value = metrics[name]
    if value is None:
        raise ValueError(f"{name} is not defined")
    return value


# metrics.json


class DataDocument(TypedDict):
    """The rows that were evaluated."""

    file: str | list[str]
    part: str
    """test, validation or all."""
    rows: int
    sha256: str | list[str]
    paths: NotRequired[list[str]]
    """Absolute paths of the files, links resolved, where they are not those of the config."""
    columns: NotRequired[list[str]]
    """Of the texts and of the labels, where they are not those of the run."""


class TruncationDocument(TypedDict):
    """Rows that are longer than `max_length`, and the share of tokens that is lost."""

    rows: int
    share_of_rows: float
    share_of_tokens: float


class GroupDocument(TypedDict):
    """The rows of a group; the rates are there for columns if there are two labels, None if no row counts."""

    name: str
    rows: int
    accuracy: float
    interval: Interval
    selection_rate: NotRequired[float | None]
    true_positive_rate: NotRequired[float | None]
    false_positive_rate: NotRequired[float | None]


class SliceDocument(TypedDict):
    """The rows in groups; the last three keys are there if at least two groups have rates."""

    by: str
    slices: list[GroupDocument]
    worst: str | None
    """Name of the group with the lowest accuracy among those of at least 10 rows; None if there are not two such."""
    label: NotRequired[str]
    gaps: NotRequired[dict[str, float]]
    """Largest difference between groups, by the name of the rate."""
    selection_ratio: NotRequired[float]


class LengthsDocument(TypedDict):
    """The histogram of the number of tokens per text."""

    counts: list[int]
    edges: list[int]
    max_length: int


LINEAR_BASELINE, NETWORK_ALONE = "tfidf_logistic_regression", "network_alone"
"""Keys of `baselines` and `comparisons`: the linear model, and of a blend its network, where each decides alone."""


class ThresholdDocument(TypedDict):
    """The probability from which a label is predicted, and the metrics with 0.5 instead."""

    value: float | dict[str, float]
    """One for all labels, or that of each label of rows with several."""
    metrics_at_half: Metrics


class ValidationDocument(TypedDict):
    """The best epoch with its validation scores, and the rows that it was chosen on."""

    rows: int
    best_epoch: int
    epochs: int
    loss: float
    accuracy: float
    unknown_words: float
    truncated_train: TruncationDocument
    train_labels: dict[str, int]


class DecisionDocument(TypedDict):
    """The temperature of the logits, the aim of the threshold, and whether the threshold reached it."""

    temperature: float
    """Of the network's logits; in a blend, before they are weighted."""
    expected_calibration_error_before: float | None
    """Without the temperature; None for a blend."""
    aim: str | None
    reached: bool
    blend: NotRequired[dict[str, float]]
    """The weight of each part's logits in the sum, by its name."""


class ExampleDocument(TypedDict):
    """A row with the problem."""

    row: int
    label: str
    text: str


class FindingDocument(TypedDict):
    """A problem with the data."""

    check: str
    part: str
    """train, validation or test."""
    count: int
    """Number of rows, or labels, that it concerns."""
    what: str
    advice: str
    rows: list[int]
    """The first of the rows."""
    examples: list[ExampleDocument]
    """The same rows with their texts; empty if texts must not be shown."""


class ScoresDocument(TypedDict):
    """Metrics with their intervals."""

    metrics: Metrics
    intervals: Intervals


class WithoutSeenDocument(ScoresDocument):
    """The scores on the rows whose text is not in the training data."""

    rows: int


class DifferenceDocument(TypedDict):
    """Differences between two models' metrics on the same rows, with their intervals."""

    difference: dict[str, float]
    intervals: Intervals


class ComparisonDocument(DifferenceDocument):
    """A model compared with another on the same rows."""

    mcnemar: dict[str, float]
    """McNemar's test: only_this_right and only_other_right, which count rows, and p_value."""


class MemberDocument(TypedDict):
    """One of several networks with different seeds."""

    seed: int
    best_epoch: int
    epochs: int
    loss: float
    accuracy: float
    metrics: Metrics


class EnsembleDocument(TypedDict):
    """An ensemble of all networks, compared with the best and with the mean of them."""

    over_best: ComparisonDocument
    over_mean: DifferenceDocument
    bytes: int
    bytes_of_best: int


class SeedsDocument(TypedDict):
    """Several networks with different seeds."""

    best: int
    """Seed of the network with the best validation score."""
    members: list[MemberDocument]
    mean: Metrics
    standard_deviation: Metrics
    ensemble: EnsembleDocument | None


# a key with a blank cannot be written in a class
_UnlabelledTexts = TypedDict("_UnlabelledTexts", {"unlabelled texts": NotRequired[int]})


class CompressionSettings(_UnlabelledTexts):
    """The compression method and its settings."""

    method: str
    student: NotRequired[str]
    keep: NotRequired[float]


class CompressionDocument(CompressionSettings):
    """The compression of a run, and its size."""

    of: str
    """Name of the original run."""
    bytes: dict[str, int]
    """original and compressed: bytes of model/."""


class LabelDocument(TypedDict):
    """The scores of a label, and its number of rows; None for a label without rows."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


class MetricsDocument(TypedDict):
    """metrics.json: every number of a report; an evaluation on another file has none of the keys about training."""

    format: int
    data: DataDocument
    metrics: Metrics
    labels: dict[str, LabelDocument]
    confusion_matrix: list[list[int]] | list[list[list[int]]]
    """Rows by true and predicted label, shape (labels, labels); with several labels per row shape (labels, 2, 2)."""
    unseen_labels: list[str]
    truncated: TruncationDocument
    unknown_words: float
    intervals: Intervals
    bootstrap: dict[str, float]
    """level of the intervals, and number of resamples."""
    slices: list[SliceDocument]
    lengths: LengthsDocument
    positive: NotRequired[str]
    """The positive one of two labels, which the threshold is for, and unless there are unseen labels `roc_auc` and
    `average_precision`."""
    threshold: NotRequired[ThresholdDocument]
    parity: NotRequired[float]
    """Largest difference between the probabilities of model/ and of the Keras model."""
    validation: NotRequired[ValidationDocument]
    decision: NotRequired[DecisionDocument]
    checks: NotRequired[list[FindingDocument]]
    without_seen: NotRequired[WithoutSeenDocument]
    baselines: NotRequired[dict[str, Metrics]]
    comparisons: NotRequired[dict[str, ComparisonDocument]]
    seeds: NotRequired[SeedsDocument]
    compression: NotRequired[CompressionDocument]


# The other files of a run


class WordDocument(TypedDict):
    """A word of a text with its weight for a label."""

    word: str
    weight: float
    known: bool
    """True for a word of the vocabulary."""
    share: float
    """The weight divided by the text's largest, -1 to 1."""


class ExplanationDocument(TypedDict):
    """The weights of a text's words for one label."""

    label: str
    probability: float
    words: list[WordDocument]
    log_odds: float
    without_words: float
    cut: int


class PredictionDocument(TypedDict):
    """The predicted label of a text, and the probability of each label."""

    label: str
    probability: float
    probabilities: dict[str, float]


class SampleDocument(TypedDict):
    """A row that the report shows in full."""

    row: int
    truth: str
    prediction: str
    probability: float
    text: str
    explained: list[ExplanationDocument]


class LabelWordDocument(TypedDict):
    """A word that speaks for a label, with its mean weight over a number of texts."""

    word: str
    weight: float
    texts: int


class SamplesDocument(TypedDict):
    """samples.json: the rows that the report shows in full, and the words that speak most for each label."""

    surely_wrong: list[SampleDocument]
    nearest: list[SampleDocument]
    words: dict[str, list[LabelWordDocument]]


class SplitDocument(TypedDict):
    """split.json: the rows of the training files that are held out for validation."""

    validation: list[int]
    rows: int
    """Number of rows of the training files."""
    sha256: list[str]
    """Of each training file."""


class EnvironmentDocument(TypedDict):
    """environment.json: versions, device, data and times."""

    textclf: str
    python: str
    platform: str
    packages: dict[str, str]
    device: str
    processors: NotRequired[int]
    """That training could use; absent from runs that older versions wrote."""
    seed: int
    data: dict[str, str]
    """sha256 by path."""
    seconds: dict[str, float]
    """By phase."""
    finished: NotRequired[str]
    """When the training ended, in ISO 8601; an earlier textclf wrote none."""
    rows_a_second: NotRequired[dict[str, float]]
    """By model, where models were compared."""


class EstimatorDocument(TypedDict):
    """estimator.json: the classes of a scikit-learn estimator, which labels stand for in the run."""

    format: int
    type: str
    """Type of the classes: str, int, float or bool."""
    labels: list[str]
    """The label of each class, in the order of `classes_`."""


class ProbeDocument(TypedDict):
    """Rows and their probabilities when the model was saved, with which loading it is checked."""

    token_ids: list[list[int]]
    probabilities: list[list[float]]


Threshold = float | list[float]
"""Least probability of the second of two labels; if a row may have several, of all labels or of each."""


class TokenizerDocument(TypedDict):
    """tokenizer.json of a pretrained encoder."""

    sha256: str
    pieces: int
    """Number of its pieces: the highest id and 1."""


class ModelDocument(TypedDict):
    """model.json: all that prediction needs besides model.onnx."""

    format: int
    textclf: str
    sha256: str
    """Of model.onnx."""
    text: dict[str, Any]
    vocabulary: list[str]
    labels: list[str]
    label_separator: str | None
    column: str | list[str]
    label_column: str
    threshold: Threshold
    network_limits: dict[str, Any] | None
    """What the network of a blend reads; null: it is no blend. From format 4 on, as the next."""
    part_thresholds: dict[str, Threshold]
    """The threshold of each part of a blend where it decides alone."""
    tokenizer: TokenizerDocument | None
    """Of the encoder; null: the model has none. From format 5 on."""
    probe: ProbeDocument
    checksum: NotRequired[str]
    """From format 2 on."""
