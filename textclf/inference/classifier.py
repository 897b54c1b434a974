"""The classifier: texts in, probabilities and labels out. Reads a `model/` folder without TensorFlow."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors

from textclf.errors import UserError, says_out_of_memory
from textclf.inference.labelled import LabelledTexts
from textclf.inference.model_folder import Description, read_model_files, write_model_files
from textclf.inference.prefetch import prefetch
from textclf.inference.texts import as_texts
from textclf.io.contract import ProbeDocument, Threshold
from textclf.io.processors import usable_processors
from textclf.io.sanitize import join_names
from textclf.models.ensemble import logits_name
from textclf.models.onnx.graph import PROBABILITIES
from textclf.text.encoding import UNKNOWN, TokenIds, WordEncoder, pad
from textclf.text.model_input import ModelInput, PieceEncoder, join_pieces
from textclf.text.piece_tokenizer import PieceTokenizer
from textclf.text.tokenizer import join_tokens, tokenize

if TYPE_CHECKING:
    from textclf.inference.explain import Explanation

# ONNX Runtime has a class for each kind of error, and no base class of its own for them
RUNTIME_ERRORS = tuple(
    member for member in vars(onnxruntime_errors).values() if isinstance(member, type) and issubclass(member, Exception)
)

BATCH_ROWS, BATCH_TOKENS = 256, 1 << 14  # at most; larger batches are hardly faster and take memory

FEW_ROWS, FULL_SHARE = 32, 0.7  # so little of a batch is padding; fewer rows take longer each than padding does

ENCODER_TOKENS = 1024  # at most in a batch of an encoder, whose layers have thousands of numbers for each token

WHOLE_TOKENS = 1 << 16  # at most in a batch of whole texts, of which the network reads BATCH_TOKENS

MAX_LOGIT = 700.0  # the exponential of more is no float64

PREFETCHED_CHUNKS = 2  # encoded ahead, while earlier chunks are computed

PROBE_ROWS, PROBE_TOKENS = 8, 500  # at most

NO_PROBE: ProbeDocument = {"token_ids": [], "probabilities": []}

PARITY_LIMIT = 1e-4  # a larger difference between two computations of the same probabilities is an error, not rounding


Probabilities = npt.NDArray[np.float64]

Score = Callable[[npt.NDArray[np.int32], npt.NDArray[np.int32], Sequence[str]], list[npt.NDArray[np.float32]]]
"""(padded token ids, shape (batch, width), lengths, shape (batch,), names) -> the outputs of these names.

They are `probabilities`, shape (batch, labels), and of a blend the logits of each part, shape (batch, outputs)."""


class Words(NamedTuple):
    """The words of a text that a model reads: its tokens after cleaning and truncation, for an encoder before it."""

    words: list[str]
    """At least one; an empty one for a text without words."""
    known: list[bool]
    """True for each word that the vocabulary has."""
    cut: int
    """Tokens that were cut off."""


class Classifier:
    """A trained model with its vocabulary and labels, which evaluates, predicts and explains without Keras."""

    def __init__(
        self, description: Description, score: Score, probe: ProbeDocument, *, tokenizer: PieceTokenizer | None = None,
        threads: int | None = None,
    ):  # fmt: skip
        self.description = description
        self.labels = description.labels
        self._input = model_input(description, tokenizer)
        self._score = score
        self._threads = ThreadPoolExecutor(threads or usable_processors())
        self._probe = probe
        self._encoding = Lock()  # the cache of words serves one thread at a time

    def __repr__(self) -> str:
        return f"<Classifier of {len(self.labels)} labels: {join_names(self.labels, most=5)}>"

    @property
    def tokenizer(self) -> PieceTokenizer | None:
        """The tokenizer of its encoder; None: it has no encoder."""
        return self._input.piece_encoder.tokenizer if self._input.piece_encoder else None

    def encode(self, texts: Sequence[str]) -> TokenIds:
        """Return the token ids of each text."""
        with self._encoding:
            return self._input.encode(texts)

    def words(self, text: str) -> Words:
        """Return the words of a text as the model reads them."""
        options = self.description.text
        if self._input.piece_encoder:  # an encoder reads whatever is in a word, and may tell its case
            words = tokenize(text, replace(options, tokenizer="word", lowercase=False)) or [""]
            return Words(words, [True] * len(words), 0)
        ids = self.encode([text]).flat
        tokens = tokenize(text, options)
        kept = tokens[-len(ids) :] if options.truncate == "start" else tokens[: len(ids)]
        return Words(kept or [""], (ids != UNKNOWN).tolist(), len(tokens) - len(kept))

    def join(self, words: Iterable[str]) -> str:
        """Return a text that consists of these words."""
        options = self.description.text
        return join_tokens(words, replace(options, tokenizer="word") if self._input.piece_encoder else options)

    def predict_proba(self, texts: Iterable[str]) -> Probabilities:
        """Return probabilities, shape (n, labels); a row adds up to 1 unless texts may have several labels.

        Args:
            texts: a list, a Series, an array or another iterable.

        Raises:
            TypeError, ValueError: they are not n texts.
        """
        return self.probabilities(self.encode(as_texts(texts)))

    def predict(self, texts: Iterable[str]) -> list[str] | list[list[str]]:
        """Return the label of each text; a list of labels for each, if texts may have several."""
        y_pred = self.predict_indices(texts)
        if self.description.label_separator is None:
            return [self.labels[index] for index in y_pred.tolist()]
        return [[self.labels[index] for index in np.flatnonzero(row)] for row in y_pred]

    def predict_indices(self, texts: Iterable[str]) -> npt.NDArray[np.int64]:
        """Return the index of each text's label, or 0 and 1 for each label, as `decide` returns them."""
        return decide(self.predict_proba(texts), self.description.label_separator, self.description.threshold)

    def table(self, texts: Iterable[str]) -> LabelledTexts:
        """Return the texts with their labels and probabilities, which a notebook shows as a table."""
        rows = as_texts(texts)
        return LabelledTexts(rows, *self.decide(self.predict_proba(rows)))

    def explain(self, text: str, label: str | None = None) -> "Explanation":
        """Return how much each word of a text speaks for a label.

        Args:
            label: None: the predicted one; if texts may have several, the most probable.

        Raises:
            UserError: the model does not know the label.
        """
        from textclf.inference.explain import explain  # which imports this module

        [explanations] = explain(self, as_texts([text], name="text"), label, option="label")
        return max(explanations, key=lambda explanation: explanation.probability)

    def predict_stream(self, chunks: Iterable[Sequence[str]]) -> Iterator[tuple[TokenIds, Probabilities]]:
        """Yield token ids and probabilities of each chunk of texts, while the next ones are read and encoded."""
        submitted = ((token_ids, self._submit(token_ids)) for token_ids in map(self.encode, chunks))
        for token_ids, result in prefetch(submitted, limit=PREFETCHED_CHUNKS):
            yield token_ids, result()[0]

    def probabilities(self, token_ids: TokenIds) -> Probabilities:
        """Return probabilities, shape (n, labels), for the token ids of n texts."""
        return self._submit(token_ids)()[0]

    def part_probabilities(self, token_ids: TokenIds) -> tuple[Probabilities, dict[str, Probabilities]]:
        """Return probabilities, and those of each part of a blend alone by its name, shape (n, labels) each."""
        parts = list(self.description.part_thresholds)
        probabilities, *logits = self._submit(token_ids, [PROBABILITIES, *map(logits_name, parts)])()
        multilabel = self.description.label_separator is not None
        alone = [probabilities_of(part, multilabel=multilabel) for part in logits]
        return probabilities, dict(zip(parts, alone, strict=True))

    def counted_ids(self, token_ids: TokenIds) -> TokenIds:
        """Return the token ids that the network reads, with UNKNOWN for what it does not know."""
        limits, pieces = self.description.network_limits, self._input.piece_encoder
        read = token_ids.limit(**limits._asdict()) if limits else token_ids
        return pieces.mark_unknown(read) if pieces else read

    @property
    def network_length(self) -> int:
        """The most tokens that the network reads of a text."""
        return self.description.network_length

    def _batches(self, token_ids: TokenIds) -> Iterator[npt.NDArray[np.int64]]:
        """Yield the row indices of each batch that is computed together."""
        if self._input.piece_encoder:
            read, batch_tokens = token_ids.count_pieces(self._input.first_piece), ENCODER_TOKENS  # (n,)
        else:
            read, batch_tokens = np.minimum(token_ids.lengths, self.network_length), BATCH_TOKENS  # (n,)
        return batches_by_length(token_ids.lengths, read, batch_tokens=batch_tokens)

    def _submit(
        self, token_ids: TokenIds, outputs: Sequence[str] = (PROBABILITIES,)
    ) -> Callable[[], list[Probabilities]]:
        """Start to compute in batches on all usable processors; return a function that waits for the outputs.

        Args:
            outputs: names of outputs of the graph; the first are the probabilities.
        """
        labels, logits = len(self.labels), self.description.shape.outputs
        arrays = [np.empty((len(token_ids), labels if name == PROBABILITIES else logits)) for name in outputs]

        def compute(rows: npt.NDArray[np.int64]) -> None:
            lengths = token_ids.lengths[rows]  # (batch,)
            padded = pad(token_ids.flat, token_ids.starts[rows], lengths)  # (batch, width)
            for array, values in zip(arrays, self._score(padded, lengths.astype(np.int32), outputs), strict=True):
                array[rows] = values  # (batch, columns)

        batches = [self._threads.submit(compute, rows) for rows in self._batches(token_ids)]

        def result() -> list[Probabilities]:
            for batch in batches:
                batch.result()
            arrays[0].clip(0, 1, out=arrays[0])  # ONNX Runtime's sigmoid can be 1.0000001, and the other then negative
            if self.description.label_separator is None:
                arrays[0] /= arrays[0].sum(axis=1, keepdims=True)  # float32 rounding; now exact to 1e-16
            return arrays

        return result

    def decide(
        self, probabilities: Probabilities, *, min_confidence: float = 0.0
    ) -> tuple[list[str], npt.NDArray[np.float64]]:
        """Return the label of each row, several labels joined by the separator, and the confidence, shape (n,).

        Args:
            min_confidence: a label with less confidence is left empty.
        """
        separator = self.description.label_separator
        y_pred = decide(probabilities, separator, self.description.threshold)
        labels, confidence = label_fields(y_pred, self.labels, separator), confidence_in(y_pred, probabilities)
        if min_confidence:
            labels = [label if sure else "" for label, sure in zip(labels, confidence >= min_confidence, strict=True)]
        return labels, confidence

    def probe_rows(self) -> TokenIds:
        """Return the rows that are stored with the model."""
        rows = [np.array(row, np.int32) for row in self._probe["token_ids"]]
        lengths = np.array([len(row) for row in rows])
        return TokenIds(np.concatenate(rows), lengths, lengths)

    def probe_difference(self) -> float:
        """Return the largest difference between the stored rows' probabilities now and when the model was saved."""
        probabilities = self.probabilities(self.probe_rows())
        return float(np.abs(probabilities - np.array(self._probe["probabilities"])).max())

    def check_probe(self, path: Path) -> float:
        """Check that the model computes what it computed when it was saved; return `probe_difference`.

        Args:
            path: of the run, for the message.

        Raises:
            UserError: the difference is larger than rounding.
        """
        difference = self.probe_difference()
        if not difference <= PARITY_LIMIT:
            raise UserError(
                f"{path}: probabilities differ by {difference:.1e} from those when it was saved; {PARITY_LIMIT:.0e} at "
                "most is rounding. Another ONNX Runtime may compute differently; train again, or install the old one."
            )
        return difference


def decide(probabilities: Probabilities, label_separator: str | None, threshold: Threshold) -> npt.NDArray[np.int64]:
    """Return y_pred: the index of each row's label, shape (n,); multilabel: 0 or 1 for each label, shape (n, labels).

    Args:
        threshold: of more than two labels the most probable is returned, whatever the threshold.
    """
    if label_separator is not None:
        return (probabilities >= np.asarray(threshold)).astype(np.int64)
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] >= threshold).astype(np.int64)
    return probabilities.argmax(axis=1)


def confidence_in(y_pred: npt.NDArray[np.int64], probabilities: Probabilities) -> npt.NDArray[np.float64]:
    """Return the probability of each row's y_pred, shape (n,); multilabel: of exactly this set, if independent.

    Args:
        y_pred: as `decide` returns it.
    """
    if y_pred.ndim == 1:
        return probabilities[np.arange(len(y_pred)), y_pred]
    return np.where(y_pred == 1, probabilities, 1 - probabilities).prod(axis=1)


def label_fields(y_pred: npt.NDArray[np.int64], labels: Sequence[str], label_separator: str | None) -> list[str]:
    """Return the label of each row; several are joined by the separator.

    Args:
        y_pred: as `decide` returns it.
    """
    names = np.array(labels, object)
    if label_separator is None:
        return list(names[y_pred])
    return [label_separator.join(names[row == 1]) for row in y_pred]


def probabilities_of(logits: npt.NDArray[Any], *, multilabel: bool) -> Probabilities:
    """Return the probabilities, shape (n, labels), for logits, shape (n, outputs); one output is the second label's."""
    logits = logits.astype(np.float64)
    if logits.shape[1] > 1 and not multilabel:
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
    probabilities = 1 / (1 + np.exp(-np.clip(logits, -MAX_LOGIT, MAX_LOGIT)))
    return probabilities if multilabel else np.hstack([1 - probabilities, probabilities])


def batches_by_length(
    lengths: npt.NDArray[np.int64], read: npt.NDArray[np.int64], *, batch_tokens: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the row indices of each batch, rows of similar length together.

    A batch has at most `batch_tokens` padded tokens that the network reads, and WHOLE_TOKENS in all. In a batch of more
    than FEW_ROWS rows, each is at least FULL_SHARE as long as the longest.

    Args:
        lengths: token ids of each text, shape (n,).
        read: those of them that the network reads, shape (n,).
    """
    order = np.lexsort((lengths, read))
    lengths, read = lengths[order], read[order]
    end = len(order)
    while end > 0:
        most_read = int(read[end - 1])
        rows = max(1, min(BATCH_ROWS, batch_tokens // most_read))
        rows = min(rows, max(FEW_ROWS, end - int(np.searchsorted(read, FULL_SHARE * most_read))))
        longest = int(lengths[max(0, end - rows) : end].max())
        start = max(0, end - max(1, min(rows, WHOLE_TOKENS // longest)))
        yield order[start:end]
        end = start


def model_input(description: Description, tokenizer: PieceTokenizer | None) -> ModelInput:
    """Return the encoding of texts for a model.

    Args:
        tokenizer: of its pretrained encoder; None: it has no encoder.
    """
    options, limits = description.text, description.network_limits
    words = None if tokenizer and limits is None else WordEncoder(description.vocabulary, options)
    if tokenizer is None:
        return ModelInput(words, None)
    read = limits or options
    return ModelInput(words, PieceEncoder(tokenizer, options, max_length=read.max_length, truncate=read.truncate))


def save_classifier(
    folder: Path, graph: bytes, description: Description, probe: TokenIds, *, tokenizer: PieceTokenizer | None = None
) -> Classifier:
    """Write a `model/` folder and return its classifier.

    Args:
        graph: the bytes of model.onnx.
        tokenizer: of its pretrained encoder; None: it has no encoder.
        probe: rows; PROBE_TOKENS of the first PROBE_ROWS are stored with their probabilities, so that `check` can
            compute them again.
    """
    score = load_scorer(graph, folder / "model.onnx", len(description.labels))
    rows = _shorten(probe.head(PROBE_ROWS), description)
    stored: ProbeDocument = {
        "token_ids": [rows.row(index).tolist() for index in range(len(rows))],
        "probabilities": Classifier(description, score, NO_PROBE, tokenizer=tokenizer).probabilities(rows).tolist(),
    }
    write_model_files(folder, graph, description, stored, tokenizer=tokenizer.data if tokenizer else None)
    return Classifier(description, score, stored, tokenizer=tokenizer)


def _shorten(rows: TokenIds, description: Description) -> TokenIds:
    """Return rows with PROBE_TOKENS words at most, and all their pieces."""
    words, pieces = rows, None
    if description.piece_count is not None:
        if description.network_limits is None:
            return rows
        first = description.first_piece
        words, pieces = rows.words(first), rows.pieces(first)
    words = words.limit(vocabulary=description.first_piece, max_length=PROBE_TOKENS, truncate=description.text.truncate)
    return join_pieces(words, pieces, first=description.first_piece) if pieces else words


def load_classifier(folder: Path, *, threads: int | None = None, few_texts: bool = False) -> Classifier:
    """Read the classifier of a run or of a bare `model/` folder.

    Args:
        threads: that compute batches; None: one for each processor that the process may use.
        few_texts: see `load_scorer`.

    Raises:
        UserError: there is none, it is damaged or not what textclf writes, or a newer textclf wrote it.
    """
    files = read_model_files(folder)
    score = load_scorer(
        files.graph, files.graph_path, len(files.description.labels), few_texts=few_texts and files.tokenizer is None
    )
    return Classifier(files.description, score, files.probe, tokenizer=files.tokenizer, threads=threads)


def load_scorer(graph: bytes, path: Path, labels: int, *, few_texts: bool = False) -> Score:
    """Load a graph into ONNX Runtime.

    Args:
        path: named in messages.
        labels: number of probabilities per row.
        few_texts: True to multiply a small vocabulary's vectors with each batch and not once for all, which takes as
            long as three batches do. The results are the same to the bit. Not for encoders, whose layers ONNX Runtime
            then computes in another way.

    Raises:
        UserError: ONNX Runtime cannot run it. The returned function raises it too, also for NaN and infinity.
    """
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1  # batches run in parallel, which is faster than several threads for one batch
    settings.log_severity_level = 4  # errors are raised, with the same words
    try:
        session = onnxruntime.InferenceSession(
            graph, settings, providers=["CPUExecutionProvider"],
            disabled_optimizers=["ConstantFolding"] if few_texts else None,
        )  # fmt: skip
    except RUNTIME_ERRORS as error:
        if says_out_of_memory(error):
            raise
        raise UserError(f"{path} is no graph that ONNX Runtime can run: {error}") from None

    def score(
        token_ids: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32], outputs: Sequence[str]
    ) -> list[npt.NDArray[np.float32]]:
        try:
            values = session.run(outputs, {"token_ids": token_ids, "lengths": lengths})
        except RUNTIME_ERRORS as error:
            if says_out_of_memory(error):
                raise
            raise UserError(f"{path}: ONNX Runtime cannot compute it: {error}") from None
        if values[0].shape != (len(lengths), labels) or not all(np.isfinite(array).all() for array in values):
            raise UserError(f"{path} gives no probabilities: NaN, infinity or another number of labels. Train again.")
        return values

    return score
