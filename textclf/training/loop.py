"""The training loop: batches of rows of similar length, the best epoch kept."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from textclf.config.schema import AugmentOptions, TrainingOptions
from textclf.errors import UserError
from textclf.inference.classifier import decide
from textclf.models.encoder.network import EncoderOptions
from textclf.models.registry import ModelOptions, logits_model
from textclf.text.encoding import PADDING, UNKNOWN, TokenIds, pad
from textclf.training.augmentation import Augmentation
from textclf.training.checkpoint import Checkpoint, Epoch, TrainingState, better
from textclf.training.devices import ONE, Devices, TrainStep

Array = npt.NDArray[Any]

Forward = Callable[[TokenIds], npt.NDArray[np.float32]]
"""From n rows of token ids to the outputs of a network, shape (n, outputs)."""

NO_AUGMENTATION = Augmentation(AugmentOptions())

# Padded tokens at most in a batch of several rows: a blend reads whole texts, which may be long, and the attention of a
# pretrained encoder takes gigabytes of memory for many.
FORWARD_TOKENS, ENCODER_FORWARD_TOKENS = 1 << 18, 1 << 13


@dataclass(frozen=True)
class Examples:
    """n rows as a network takes them."""

    token_ids: TokenIds
    targets: Array
    """Index of the label, shape (n,), or for several labels per row 0 and 1, shape (n, labels).

    In distillation float32 probabilities: of each label, shape (n, labels), or of the second of two, shape (n,)."""

    def __len__(self) -> int:
        return len(self.token_ids)


class Step(NamedTuple):
    """A step of the training, counted from 1."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    """Mean over the steps of this epoch."""


class TrainingCallback(Protocol):
    """A listener to the progress of a training."""

    def on_step(self, step: Step, /) -> None: ...

    def on_epoch(self, epoch: Epoch, /) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class FitResult:
    """The result of a training, whose network holds the weights of the best epoch."""

    history: list[Epoch]
    best: Epoch
    interrupted: bool
    """Ended by Ctrl-C."""


def fit(
    network: Any,
    train: Examples,
    validation: Examples,
    options: TrainingOptions,
    callback: TrainingCallback,
    *,
    checkpoint: Checkpoint | None = None,
    augmentation: Augmentation = NO_AUGMENTATION,
    encoder_rate: float | None = None,
    devices: Devices = ONE,
) -> FitResult:
    """Train the network and leave it with the weights of its best epoch.

    Ctrl-C ends training after the current step; the epoch in progress is then validated like a whole one.

    Args:
        checkpoint: file to resume from, and to save the progress to.
        augmentation: changes the training rows of each epoch.
        encoder_rate: learning rate of a pretrained encoder, of all layers but the last one; None: there is none.
        devices: those to train on, in whose scope this is called; the network was built in it.
    """
    lengths = np.tile(train.token_ids.lengths, augmentation.options.factor)
    steps = math.ceil(len(lengths) / options.batch_size)
    factors = () if encoder_rate is None else rate_factors(network, encoder_rate / options.learning_rate)
    if options.accumulate > steps * options.epochs:
        raise UserError(
            f"training.accumulate: found {options.accumulate}, and all epochs have {steps * options.epochs} batches: "
            "no step would be made. Set less."
        )
    optimizer = build_optimizer(
        options, total_steps=steps * options.epochs, rate_factors=factors, decays_vectors=encoder_rate is None
    )
    weights = loss_weights(train.targets, options.class_weight)
    if _is_softmax(network) and weights.ndim == 2:
        weights = weights[:, 0]  # probabilities that add up to 1 have one loss a row
    train_step = _make_train_step(network, optimizer, train.targets, weights, devices)
    tokens = FORWARD_TOKENS if encoder_rate is None else ENCODER_FORWARD_TOKENS
    forward = forward_function(logits_model(network), batch_size=options.batch_size, tokens=tokens)
    frozen = {id(variable) for variable in network.non_trainable_weights}
    variables = [*(each for each in network.variables if id(each) not in frozen), *optimizer.variables]
    state = devices.load(checkpoint, variables)
    devices.vary_dropout(network)
    rows_at_once = devices.batch_rows(options.batch_size)
    stops = 0.0
    with catch_interrupt() as interrupts:
        while not _is_finished(state, options):
            rng = np.random.default_rng([options.seed, state.epoch])
            token_ids = augmentation.epoch_rows(train.token_ids, seed=options.seed, epoch=state.epoch)
            for indices in islice(batches(lengths, options.batch_size, rng), state.step, None):
                rows = indices % len(train)  # augmented rows come after each other, all rows at a time
                padded = _pad_batch(token_ids.take(indices), rows_at_once)
                y_true, y_weights = (_fill_up(values[rows], len(padded)) for values in (train.targets, weights))
                loss, stopped = train_step(padded, y_true, y_weights, bool(interrupts))
                state.total += loss
                state.step += 1
                callback.on_step(Step(state.epoch, options.epochs, state.step, steps, state.total / state.step))
                if stopped:
                    break
                if checkpoint and checkpoint.due():
                    checkpoint.save(state, variables)
            scores = (0.0, 0.0)
            if devices.is_chief:
                scores = evaluate_logits(forward(validation.token_ids), validation.targets)
            val_loss, val_accuracy, stops = map(float, devices.sum(np.array([*scores, len(interrupts)])))
            rate, mean_loss = float(optimizer.learning_rate), state.total / state.step
            epoch = Epoch(state.epoch, rate, mean_loss, val_loss, val_accuracy)
            state.end_epoch(epoch)
            callback.on_epoch(epoch)
            if state.best_epoch is None or better(epoch, state.best_epoch, options.monitor):
                state.best, state.best_weights = epoch.epoch, [each.numpy() for each in network.trainable_weights]
            if stops:
                break
            if checkpoint:
                checkpoint.save(state, variables)
    callback.close()
    assert state.best_epoch is not None
    for variable, weights in zip(network.trainable_weights, state.best_weights, strict=True):
        variable.assign(weights)
    return FitResult(state.history, state.best_epoch, bool(stops))


def _is_finished(state: TrainingState, options: TrainingOptions) -> bool:
    epochs_without_gain = len(state.history) - state.best
    stopped_early = options.early_stopping and epochs_without_gain >= options.early_stopping
    return state.epoch > options.epochs or bool(stopped_early)


@contextlib.contextmanager
def catch_interrupt() -> Iterator[list[int]]:
    """Yield a list that a first Ctrl-C is added to; a second Ctrl-C interrupts as usual.

    Outside the main thread, which alone may set handlers, Ctrl-C is left to the main thread.
    """
    interrupts: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    previous = signal.getsignal(signal.SIGINT)

    def handle(number: int, _frame: object) -> None:
        interrupts.append(number)
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, handle)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, previous)


# Batches

BUCKET = 20  # batches whose rows are sorted by length together: little padding, and still well shuffled


def batches(
    lengths: npt.NDArray[np.int64], batch_size: int, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the row indices of each batch, rows of similar length together, in random order; every row once."""
    shuffled = rng.permutation(len(lengths))
    buckets = [shuffled[i : i + BUCKET * batch_size] for i in range(0, len(shuffled), BUCKET * batch_size)]
    ordered = np.concatenate([bucket[np.argsort(lengths[bucket], kind="stable")] for bucket in buckets])
    starts = np.arange(0, len(ordered), batch_size)
    for start in rng.permutation(starts):
        yield ordered[start : start + batch_size]


def _pad_batch(token_ids: TokenIds, rows: int) -> npt.NDArray[np.int32]:
    """Return padded token ids, shape (rows, width), blank rows last: a new shape costs XLA seconds to compile."""
    padded = pad(token_ids.flat, token_ids.starts, token_ids.lengths)  # (rows, width)
    blank = np.full((rows - len(token_ids), padded.shape[1]), PADDING, np.int32)
    blank[:, 0] = UNKNOWN  # cuDNN needs a token in every row
    return np.concatenate([padded, blank])


def _fill_up(values: Array, size: int) -> Array:
    """Return the values with zeros after them, up to `size`."""
    return np.concatenate([values, np.zeros((size - len(values), *values.shape[1:]), values.dtype)])


def padded_rows(token_ids: TokenIds, *, batch_size: int = 256) -> Iterator[npt.NDArray[np.int32]]:
    """Yield all rows padded, shape (batch_size or fewer, width) each, rows of similar length together."""
    by_length = np.argsort(token_ids.lengths, kind="stable")
    for start in range(0, len(by_length), batch_size):
        rows = by_length[start : start + batch_size]
        yield pad(token_ids.flat, token_ids.starts[rows], token_ids.lengths[rows])


def loss_weights(targets: Array, class_weight: str | None) -> npt.NDArray[np.float32]:
    """Return the weight of each target in the loss, of the targets' shape.

    Balanced is rows / (classes * rows of the class), as in scikit-learn's `compute_class_weight`.
    """
    if class_weight is None:
        return np.broadcast_to(np.float32(1), targets.shape)
    if targets.ndim == 1:
        counts = np.bincount(targets)  # (labels,)
        return (len(targets) / (len(counts) * counts))[targets].astype(np.float32)
    positive = targets.sum(axis=0)  # (labels,)
    counts = np.where(targets == 1, positive, len(targets) - positive)  # (n, labels)
    return (len(targets) / (2 * np.maximum(counts, 1))).astype(np.float32)


# Below here is TensorFlow


def build_optimizer(
    options: TrainingOptions, *, total_steps: int, rate_factors: Sequence[float] = (), decays_vectors: bool = True
) -> Any:
    """Return the Keras optimizer with its learning-rate schedule.

    Args:
        total_steps: batches of the whole training.
        rate_factors, decays_vectors: see `Adam`.
    """
    import keras

    from textclf.training.optimizers import Adam

    settings: dict[str, Any] = {"learning_rate": _learning_rate(options, total_steps)}
    if options.accumulate > 1:
        settings["gradient_accumulation_steps"] = options.accumulate
    if options.optimizer in ("adam", "adamw"):
        decay = options.weight_decay if options.optimizer == "adamw" else 0.0
        return Adam(decay=decay, decays_vectors=decays_vectors, rate_factors=rate_factors, **settings)
    classes = {"rmsprop": keras.optimizers.RMSprop, "sgd": keras.optimizers.SGD}
    return classes[options.optimizer](**settings)


def _learning_rate(options: TrainingOptions, total_steps: int) -> Any:
    """Return the learning rate, or its schedule over so many batches: Keras counts them, whatever is accumulated."""
    from keras.optimizers.schedules import CosineDecay, PolynomialDecay

    from textclf.training.optimizers import WarmUp

    rate, rising = options.learning_rate, round(options.warmup * total_steps)
    falling = max(1, total_steps - rising)
    if options.schedule == "constant" and not rising:
        return rate
    schedules = {
        "constant": lambda: PolynomialDecay(rate, falling, end_learning_rate=rate),
        "cosine": lambda: CosineDecay(rate, falling),
        "linear": lambda: PolynomialDecay(rate, falling, end_learning_rate=0.0),
    }
    schedule = schedules[options.schedule]()
    return WarmUp(schedule, rising) if rising else schedule


def rate_factors(network: Any, factor: float) -> list[float]:
    """Return the factor for each trainable variable of a network, and 1 for those of its last layer."""
    last = {id(variable) for variable in network.get_layer("logits").trainable_variables}
    return [1.0 if id(variable) in last else factor for variable in network.trainable_variables]


def cross_entropy(logits: Any, targets: Any, *, softmax: bool) -> Any:
    """Return the loss of each row, shape (n,), or with several labels per row of each label, shape (n, labels).

    Args:
        logits: shape (n, outputs).
        targets: as in `Examples`.
        softmax: the probabilities of a row add up to 1.
    """
    import tensorflow as tf

    if softmax and len(targets.shape) == 1:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    if softmax:
        return tf.nn.softmax_cross_entropy_with_logits(targets, logits)
    logits = logits if len(targets.shape) == 2 else logits[:, 0]
    return tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(targets, tf.float32), logits)


def evaluate_logits(logits: npt.NDArray[np.float32], targets: Array) -> tuple[float, float]:
    """Return the mean loss and the accuracy, for several labels per row the share of rows with all of them right."""
    multilabel, binary = targets.ndim == 2, logits.shape[1] == 1
    loss = cross_entropy(logits, targets, softmax=not multilabel and not binary).numpy()
    scores = (np.hstack([-logits, logits]) if binary and not multilabel else logits).astype(np.float64)  # (n, labels)
    y_pred = decide(scores, "," if multilabel else None, threshold=0.0)  # a logit of 0 is a probability of 0.5
    correct = y_pred == targets
    return float(loss.mean()), float((correct.all(axis=1) if multilabel else correct).mean())


def forward_tokens(options: ModelOptions) -> int:
    """Return the most padded tokens of a batch for `forward_function`, by the options of its network."""
    return ENCODER_FORWARD_TOKENS if isinstance(options, EncoderOptions) else FORWARD_TOKENS


def forward_function(network: Any, *, batch_size: int = 128, tokens: int = FORWARD_TOKENS) -> Forward:
    """Return a function that computes the outputs of a network for any number of rows.

    Args:
        tokens: most padded tokens of a batch, unless it is one row.
    """
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32)], autograph=False)
    def forward(padded: Any) -> Any:
        return network(padded, training=False)

    def forward_all(token_ids: TokenIds) -> npt.NDArray[np.float32]:
        outputs = np.empty((len(token_ids), network.output_shape[-1]), np.float32)
        by_length = np.argsort(token_ids.lengths, kind="stable")
        start = 0
        while start < len(by_length):
            rows = by_length[start : start + batch_size]
            padded_tokens = np.arange(1, len(rows) + 1) * token_ids.lengths[rows]  # of the first rows, ascending
            rows = rows[: max(1, np.searchsorted(padded_tokens, tokens, side="right"))]
            fits = batch_size * token_ids.lengths[rows[-1]] <= tokens
            padded = _pad_batch(token_ids.take(rows), batch_size if fits else len(rows))
            outputs[rows] = forward(padded).numpy()[: len(rows)]
            start += len(rows)
        return outputs

    return forward_all


def _is_softmax(network: Any) -> bool:
    import keras

    return network.get_layer("probabilities").activation is keras.activations.softmax


def _make_train_step(network: Any, optimizer: Any, targets: Array, weights: Array, devices: Devices) -> TrainStep:
    """Return a function that takes a step on a batch, of which each device has some rows."""
    import tensorflow as tf

    logits, softmax = logits_model(network), _is_softmax(network)
    variables = network.trainable_variables
    optimizer.build(variables)
    signature = [tf.TensorSpec((None, None), tf.int32)]
    signature += [tf.TensorSpec((None, *values.shape[1:]), values.dtype) for values in (targets, weights)]

    def step(token_ids: Any, targets: Any, weights: Any, batch_weight: Any) -> Any:
        with tf.GradientTape() as tape:
            losses = cross_entropy(logits(token_ids, training=True), targets, softmax=softmax) * weights
            loss = tf.reduce_sum(losses) / batch_weight
        # gradients of an embedding are of its rows, which cannot be added up over batches
        gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, variables)]
        optimizer.apply(gradients, variables)
        return loss

    return devices.make_step(step, signature)
