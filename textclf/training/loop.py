"""The training loop: batches of rows of similar length, best epoch kept."""

from __future__ import annotations

import contextlib
import math
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from textclf.config.schema import AugmentOptions, TrainingOptions
from textclf.models.registry import logits_model
from textclf.text.encoding import PADDING, UNKNOWN, TokenIds, pad
from textclf.training.augmentation import Augmentation
from textclf.training.checkpoint import Checkpoint, Epoch, TrainingState, better

Array = npt.NDArray[Any]


def row_weights(targets: Array, class_weight: str | None) -> npt.NDArray[np.float32]:
    """Weight of each target in the loss, of the targets' shape; balanced: rows / (classes * rows of the class)."""
    if class_weight is None:
        return np.broadcast_to(np.float32(1), targets.shape)
    if targets.ndim == 1:
        counts = np.bincount(targets)
        return (len(targets) / (len(counts) * counts))[targets].astype(np.float32)
    ones = targets.sum(axis=0)
    weight = np.where(targets == 1, ones, len(targets) - ones)
    return (len(targets) / (2 * np.maximum(weight, 1))).astype(np.float32)


def losses(logits: Any, targets: Any, *, softmax: bool) -> Any:
    """Cross-entropy of each row, shape (n,), or, of several labels a row, of each label, (n, labels).

    Args:
        logits: shape (n, outputs).
        targets: as `training.Examples` has them.
        softmax: whether the probabilities of a row add up to 1.
    """
    import tensorflow as tf

    if softmax and len(targets.shape) == 1:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    if softmax:
        return tf.nn.softmax_cross_entropy_with_logits(targets, logits)
    one_column = logits if len(targets.shape) == 2 else logits[:, 0]
    return tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(targets, tf.float32), one_column)


Forward = Callable[[TokenIds], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Examples:
    """n rows as the network takes them."""

    token_ids: TokenIds
    targets: Array
    """Index of the label, shape (n,), or for several labels a row 0 and 1, shape (n, labels).

    Of rows to train on also float32 shares, 0 to 1: those of each label, shape (n, labels), or of the second of two,
    shape (n,)."""

    def __len__(self) -> int:
        return len(self.token_ids)


class Step(NamedTuple):
    """Where training stands after a step."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    """Mean over the steps of this epoch."""


class TrainingCallback(Protocol):
    """Who is told how training goes."""

    def on_step(self, step: Step, /) -> None: ...

    def on_epoch(self, epoch: Epoch, /) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class FitResult:
    """What training found; the network holds the weights of the best epoch."""

    history: list[Epoch]
    best: Epoch
    interrupted: bool


AS_THEY_STAND = Augmentation(AugmentOptions())


def fit(
    network: Any,
    train: Examples,
    validation: Examples,
    options: TrainingOptions,
    callback: TrainingCallback,
    *,
    checkpoint: Checkpoint | None = None,
    augmentation: Augmentation = AS_THEY_STAND,
) -> FitResult:
    """Trains the network and leaves it with the weights of its best epoch.

    Ctrl-C ends training after the current step; the epoch begun is then scored like a whole one.

    Args:
        checkpoint: where to go on, and where to keep how far training has come.
        augmentation: what is done with the training rows each time that they come.
    """
    lengths = np.tile(train.token_ids.lengths, augmentation.options.factor)
    steps = math.ceil(len(lengths) / options.batch_size)
    optimizer = build_optimizer(options, total_steps=steps * options.epochs)
    weights = row_weights(train.targets, options.class_weight)
    if _softmax(network) and weights.ndim == 2:
        weights = weights[:, 0]  # of shares that add up to 1 there is one loss a row
    take_step = _step_function(network, optimizer, train.targets, weights)
    forward = forward_function(logits_model(network), together=options.batch_size)
    variables = [*network.variables, *optimizer.variables]
    at = checkpoint.load(variables) if checkpoint else TrainingState()
    with interruptible() as interrupted:
        while not _finished(at, options):
            rng = np.random.default_rng([options.seed, at.epoch])
            epoch_rows = augmentation.epoch_rows(train.token_ids, seed=options.seed, epoch=at.epoch)
            for numbers in islice(batches(lengths, options.batch_size, rng), at.step, None):
                rows = numbers % len(train)
                ids = _batch(epoch_rows.take(numbers), options.batch_size)
                at.total += take_step(ids, _filled(train.targets[rows], len(ids)), _filled(weights[rows], len(ids)))
                at.step += 1
                callback.on_step(Step(at.epoch, options.epochs, at.step, steps, at.total / at.step))
                if interrupted:
                    break
                if checkpoint and checkpoint.due():
                    checkpoint.save(at, variables)
            epoch = Epoch(at.epoch, float(optimizer.learning_rate), at.total / at.step, *score(forward, validation))
            at.end_epoch(epoch)
            callback.on_epoch(epoch)
            if at.best_epoch is None or better(epoch, at.best_epoch, options.monitor):
                at.best, at.best_weights = epoch.epoch, network.get_weights()
            if interrupted:
                break
            if checkpoint:
                checkpoint.save(at, variables)
    callback.close()
    assert at.best_epoch is not None
    network.set_weights(at.best_weights)
    return FitResult(at.history, at.best_epoch, bool(interrupted))


def _finished(at: TrainingState, options: TrainingOptions) -> bool:
    waited = len(at.history) - at.best
    return at.epoch > options.epochs or bool(options.early_stopping and waited >= options.early_stopping)


@contextlib.contextmanager
def interruptible() -> Iterator[list[int]]:
    """A list that Ctrl-C adds to; a second Ctrl-C interrupts as usual."""
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, _frame: object) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


BUCKET = 20  # batches whose rows are sorted by length together: little padding, and still well shuffled


def batches(
    lengths: npt.NDArray[np.int64], batch_size: int, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Row numbers of each batch, rows of similar length together, in random order; every row once."""
    shuffled = rng.permutation(len(lengths))
    buckets = [shuffled[i : i + BUCKET * batch_size] for i in range(0, len(shuffled), BUCKET * batch_size)]
    ordered = np.concatenate([bucket[np.argsort(lengths[bucket], kind="stable")] for bucket in buckets])
    starts = np.arange(0, len(ordered), batch_size)
    for start in rng.permutation(starts):
        yield ordered[start : start + batch_size]


def _batch(texts: TokenIds, size: int) -> npt.NDArray[np.int32]:
    """Padded ids of the texts and, up to `size`, of blank rows: where XLA compiles, each new size costs seconds."""
    padded = pad(texts.flat, texts.starts, texts.lengths)
    blank = np.full((size - len(texts), padded.shape[1]), PADDING, np.int32)
    blank[:, 0] = UNKNOWN  # cuDNN needs a token in every row
    return np.concatenate([padded, blank])


def _filled(values: Array, size: int) -> Array:
    """The values with zeros after them, up to `size`."""
    return np.concatenate([values, np.zeros((size - len(values), *values.shape[1:]), values.dtype)])


def padded_rows(token_ids: TokenIds, *, together: int = 256) -> Iterator[npt.NDArray[np.int32]]:
    """All rows padded, so many at a time, shape (rows, width) each; rows of similar length together."""
    by_length = np.argsort(token_ids.lengths, kind="stable")
    for start in range(0, len(by_length), together):
        rows = by_length[start : start + together]
        yield pad(token_ids.flat, token_ids.starts[rows], token_ids.lengths[rows])


# Below here is TensorFlow


def build_optimizer(options: TrainingOptions, *, total_steps: int) -> Any:
    """The Keras optimizer with its schedule."""
    import keras

    from textclf.training.optimizers import Adam, AdamW

    rate: Any = options.learning_rate
    if options.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, total_steps)
    kinds = {"adam": Adam, "adamw": AdamW, "rmsprop": keras.optimizers.RMSprop, "sgd": keras.optimizers.SGD}
    return kinds[options.optimizer](rate)


def forward_function(network: Any, *, together: int = 128) -> Forward:
    """A function that gives what the network's last layer does for every row, shape (n, outputs), so many at a time."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32)], autograph=False)
    def forward(padded: Any) -> Any:
        return network(padded, training=False)

    def all_rows(token_ids: TokenIds) -> npt.NDArray[np.float32]:
        outputs = np.empty((len(token_ids), network.output_shape[-1]), np.float32)
        by_length = np.argsort(token_ids.lengths, kind="stable")
        for start in range(0, len(by_length), together):
            rows = by_length[start : start + together]
            outputs[rows] = forward(_batch(token_ids.take(rows), together)).numpy()[: len(rows)]
        return outputs

    return all_rows


def score(forward: Forward, examples: Examples) -> tuple[float, float]:
    """Mean loss and accuracy of what `forward` gives as logits; several labels a row: all of them right."""
    logits = forward(examples.token_ids)
    found = losses(logits, examples.targets, softmax=examples.targets.ndim == 1 and logits.shape[1] > 1).numpy()
    if examples.targets.ndim == 2:
        right = ((logits > 0) == examples.targets).all(axis=1)
    else:
        chosen = logits.argmax(axis=1) if logits.shape[1] > 1 else logits[:, 0] > 0
        right = chosen == examples.targets
    return float(found.mean()), float(right.mean())


def _softmax(network: Any) -> bool:
    """Whether the probabilities of a row add up to 1."""
    import keras

    return network.get_layer("probabilities").activation is keras.activations.softmax


def _step_function(network: Any, optimizer: Any, targets: Array, weights: Array) -> Any:
    """A function of padded ids, targets and weights that moves the weights once and gives the loss."""
    import tensorflow as tf

    logits, softmax = logits_model(network), _softmax(network)
    variables = network.trainable_variables
    optimizer.build(variables)
    signature = [tf.TensorSpec((None, None), tf.int32)]
    signature += [tf.TensorSpec((None, *each.shape[1:]), each.dtype) for each in (targets, weights)]

    @tf.function(input_signature=signature, autograph=False)
    def step(token_ids: Any, targets: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            found = losses(logits(token_ids, training=True), targets, softmax=softmax) * weights
            loss = tf.reduce_sum(found) / tf.cast(tf.math.count_nonzero(weights), tf.float32)
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return lambda token_ids, targets, weights: float(step(token_ids, targets, weights))
