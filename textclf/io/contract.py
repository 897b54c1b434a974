"""The JSON files of a run and of a tuning, as types.

A key that may be missing is `NotRequired`. Shares and probabilities are from 0 to 1, rows are counted from 0.
"""

from typing import Any, NotRequired, TypedDict

Metrics = dict[str, float | None]
"""Value by the name that scikit-learn gives the metric; None where it is not defined."""

Interval = list[float]
"""Lower and upper end of a 95 % interval."""

Intervals = dict[str, Interval]
"""By the name of the metric; a metric that is hardly ever defined has none."""


def defined(metrics: Metrics, name: str) -> float:
    """Return a metric that is defined on any rows, such as the accuracy."""
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


class LabelDocument(TypedDict):
    """The scores of one label."""

    precision: float
    recall: float
    f1: float
    support: int
    """Rows that have the label."""


class TruncationDocument(TypedDict):
    """Rows that are longer than the limit, and what that loses."""

    rows: int
    share_of_rows: float
    share_of_tokens: float


class BootstrapDocument(TypedDict):
    """The resamples behind the intervals."""

    level: float
    resamples: int


class GroupDocument(TypedDict):
    """The rows of one group; the rates only for the groups of a column and two labels, None without such rows."""

    name: str
    rows: int
    accuracy: float
    interval: Interval
    selection_rate: NotRequired[float | None]
    true_positive_rate: NotRequired[float | None]
    false_positive_rate: NotRequired[float | None]


class SliceDocument(TypedDict):
    """The rows in groups; the last three keys only where groups have rates to compare."""

    by: str
    slices: list[GroupDocument]
    worst: str | None
    label: NotRequired[str]
    gaps: NotRequired[dict[str, float]]
    """Largest difference between groups, by the name of the rate."""
    selection_ratio: NotRequired[float]


class LengthsDocument(TypedDict):
    """The histogram of the tokens of a text."""

    counts: list[int]
    edges: list[int]
    max_length: int


class ThresholdDocument(TypedDict):
    """The threshold from which a label is given, and what 0.5 would give."""

    value: float
    metrics_at_half: Metrics


class ValidationDocument(TypedDict):
    """The epoch that was kept, with its scores, and the rows that it was chosen on."""

    rows: int
    best_epoch: int
    epochs: int
    loss: float
    accuracy: float
    unknown_words: float
    truncated_train: TruncationDocument
    train_labels: dict[str, int]


class DecisionDocument(TypedDict):
    """The temperature of the logits, and the aim of the threshold."""

    temperature: float
    expected_calibration_error_before: float | None
    aim: str | None
    reached: bool


class ExampleDocument(TypedDict):
    """A row that a finding is about."""

    row: int
    label: str
    text: str


class FindingDocument(TypedDict):
    """Something that is wrong with the data."""

    check: str
    part: str
    """train, validation or test."""
    count: int
    """Rows, or labels, that it concerns."""
    what: str
    advice: str
    rows: list[int]
    """The first of the rows."""
    examples: list[ExampleDocument]
    """The same rows, where texts may be shown."""


class ScoresDocument(TypedDict):
    """Metrics with their intervals."""

    metrics: Metrics
    intervals: Intervals


class WithoutSeenDocument(ScoresDocument):
    """The scores on the rows whose text training did not see."""

    rows: int


class McNemarDocument(TypedDict):
    """McNemar's test of two models on the same rows."""

    only_this_right: int
    only_other_right: int
    p_value: float


class DifferenceDocument(TypedDict):
    """The differences of two models' metrics on the same rows, with their intervals."""

    difference: dict[str, float]
    intervals: Intervals


class ComparisonDocument(DifferenceDocument):
    """Two models on the same rows."""

    mcnemar: McNemarDocument


class MemberDocument(TypedDict):
    """One of the networks that differ in their seed."""

    seed: int
    best_epoch: int
    epochs: int
    loss: float
    accuracy: float
    metrics: Metrics


class EnsembleDocument(TypedDict):
    """All networks together, compared with one: scores and bytes."""

    over_best: ComparisonDocument
    over_mean: DifferenceDocument
    bytes: int
    bytes_of_best: int


class SeedsDocument(TypedDict):
    """The networks that differ in their seed."""

    best: int
    """Seed of the one with the best score on the validation rows."""
    members: list[MemberDocument]
    mean: Metrics
    standard_deviation: Metrics
    ensemble: EnsembleDocument | None


class CompressedBytes(TypedDict):
    """Bytes of model/."""

    original: int
    compressed: int


_UnlabelledTexts = TypedDict("_UnlabelledTexts", {"unlabelled texts": NotRequired[int]})  # no name of a field


class CompressionSettings(_UnlabelledTexts):
    """The method by which a run was made smaller, with its settings."""

    method: str
    student: NotRequired[str]
    keep: NotRequired[float]


class CompressionDocument(CompressionSettings):
    """The run that was made smaller, and by how much."""

    of: str
    bytes: CompressedBytes


class MetricsDocument(TypedDict):
    """metrics.json: every number of a report. Without the keys that may be missing: an evaluation on other data."""

    format: int
    data: DataDocument
    metrics: Metrics
    labels: dict[str, LabelDocument]
    confusion_matrix: list[list[int]] | list[list[list[int]]]
    """Rows by label and prediction, shape (labels, labels); multilabel: shape (labels, 2, 2)."""
    unseen_labels: list[str]
    truncated: TruncationDocument
    unknown_words: float
    intervals: Intervals
    bootstrap: BootstrapDocument
    slices: list[SliceDocument]
    lengths: LengthsDocument
    threshold: NotRequired[ThresholdDocument]
    parity: NotRequired[float]
    """Largest difference between a probability of model/ and of the Keras model."""
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
    """The weight as a share of the text's largest, -1 to 1."""


class ExplanationDocument(TypedDict):
    """The weights of a text's words for one label."""

    label: str
    probability: float
    words: list[WordDocument]
    log_odds: float
    without_words: float
    cut: int


class SampleDocument(TypedDict):
    """A row that the report shows in full."""

    row: int
    truth: str
    prediction: str
    probability: float
    text: str
    explained: list[ExplanationDocument]


class LabelWordDocument(TypedDict):
    """A word that speaks for a label, with its mean weight over some texts."""

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
    """Of the training files."""
    sha256: list[str]
    """Of each training file."""


class EnvironmentDocument(TypedDict):
    """environment.json: versions, device, data and times."""

    textclf: str
    python: str
    platform: str
    packages: dict[str, str]
    device: str
    seed: int
    data: dict[str, str]
    """sha256 by path."""
    seconds: dict[str, float]
    """By phase."""
    rows_a_second: NotRequired[dict[str, float]]
    """By model, where models were compared."""


class ProbeDocument(TypedDict):
    """Some rows and the probabilities that they had when the model was saved."""

    token_ids: list[list[int]]
    probabilities: list[list[float]]


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
    column: str
    label_column: str
    threshold: float
    probe: ProbeDocument
    checksum: NotRequired[str]
    """From format 2 on."""


# A tuning

Settings = dict[str, Any]
"""Value of an option by its dotted key."""


class TrialScores(TypedDict):
    """The outcome of a trial; no scores if it was pruned."""

    score: float | None
    """Mean over the folds of the validation score that is monitored, each fold's best."""
    deviation: float | None
    """Standard deviation over several folds."""
    loss: float | None
    accuracy: float | None
    epochs: int
    """Epochs trained, of all folds."""
    best_epochs: list[int]
    """Epoch with the best score, of each fold."""


class TrialDocument(TrialScores):
    """A trial: settings, and their scores."""

    number: int
    state: str
    """complete or pruned."""
    settings: Settings
    steps: list[float]
    """Scores by which it was compared with other trials."""


class OwnSettings(TypedDict):
    """The settings of the config as it stands, and the complete trial that tried them, if any."""

    settings: Settings
    trial: int | None


class BestSettings(TypedDict):
    """The best settings, and the trial that tried them."""

    settings: Settings
    trial: int


class BestRunDocument(ScoresDocument):
    """The scores of the run with the best settings."""

    data: DataDocument


class TuningDocument(TypedDict):
    """tuning.json: every number of a tuning's report."""

    format: int
    monitor: str
    folds: int
    space: dict[str, Any]
    """Candidates by dotted key, as a config has them: a list, or low, high, step and log."""
    trials: list[TrialDocument]
    own: OwnSettings
    best: BestSettings
    importance: dict[str, float]
    """Share of the scores' variance by dotted key."""
    validation_rows: int
    measured: BestRunDocument
