"""The bag-of-words network: against the textbook's formulas, scikit-learn's features, and a large vocabulary."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.feature_extraction.text import TfidfTransformer

from textclf.config.schema import TrainingOptions
from textclf.models.architecture import InitialData, Shape
from textclf.models.mlp.features import pair_rows
from textclf.models.mlp.network import MlpOptions, build_mlp, mlp_weights
from textclf.models.registry import logits_model
from textclf.text.encoding import TokenIds
from textclf.training.checkpoint import Epoch
from textclf.training.loop import Examples, Step, batches, build_optimizer, fit, forward_function, padded_rows

Array = npt.NDArray[Any]
VOCABULARY = 12


class Silent:
    """A callback that does nothing."""

    def on_step(self, step: Step, /) -> None: ...

    def on_epoch(self, epoch: Epoch, /) -> None: ...

    def close(self) -> None: ...


def texts(count: int, seed: int = 0) -> TokenIds:
    """Texts of 3 to 8 words, some of which come again."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 9, count)
    return TokenIds(rng.integers(1, VOCABULARY, lengths.sum(), np.int32), lengths, lengths)


def counts(token_ids: TokenIds) -> Array:
    """Return the count of each word in each text, shape (texts, VOCABULARY), which the network never builds."""
    return np.stack([np.bincount(token_ids.row(row), minlength=VOCABULARY) for row in range(len(token_ids))])


# The textbook's network


def gradient_descent_step(theta: dict[str, Array], x: Array, t: Array, eta: float) -> dict[str, Array]:
    """The weights after one step of gradient descent on a batch of m texts, by back-propagation.

    Rumelhart, Hinton, Williams: Learning representations by back-propagating errors. Nature 323 (1986), 533-536; with
    rectified units and, as Bishop: Pattern Recognition and Machine Learning (2006), sections 4.3.4 and 5.2 to 5.3 have
    it, softmax and cross-entropy.

    Forwards, each layer from the one before it, of texts x with k labels:

        z1 = x W1 + b1      h1 = max(z1, 0)
        z2 = h1 W2 + b2     h2 = max(z2, 0)
        z3 = h2 W3 + b3     y  = exp(z3) / sum over k of exp(z3)
        E  = - (1 / m) sum over texts and k of t log y

    Backwards, d = dE / dz of each layer from the one behind it; max(z, 0) lets pass where z > 0:

        d3 = (y - t) / m
        d2 = (d3 W3') * (z2 > 0)
        d1 = (d2 W2') * (z1 > 0)

    The gradients, and one step against them:

        dE / dW1 = x' d1     dE / dW2 = h1' d2     dE / dW3 = h2' d3     dE / db = sum over texts of d
        W <- W - eta dE / dW                                             b <- b - eta dE / db
    """
    W1, b1, W2, b2, W3, b3 = (theta[name] for name in ("W1", "b1", "W2", "b2", "W3", "b3"))  # noqa: N806
    z1 = x @ W1 + b1
    h1 = np.maximum(z1, 0)
    z2 = h1 @ W2 + b2
    h2 = np.maximum(z2, 0)
    z3 = h2 @ W3 + b3
    y = np.exp(z3) / np.exp(z3).sum(axis=1, keepdims=True)
    d3 = (y - t) / len(x)
    d2 = (d3 @ W3.T) * (z2 > 0)
    d1 = (d2 @ W2.T) * (z1 > 0)
    gradients = {
        "W1": x.T @ d1, "b1": d1.sum(axis=0), "W2": h1.T @ d2, "b2": d2.sum(axis=0), "W3": h2.T @ d3,
        "b3": d3.sum(axis=0),
    }  # fmt: skip
    return {name: theta[name] - eta * gradients[name] for name in theta}


def textbook_weights(network: Any) -> dict[str, Array]:
    weights = mlp_weights(network)
    names = {
        "W1": "embedding", "b1": "hidden_1.bias", "W2": "hidden_2.kernel", "b2": "hidden_2.bias", "W3": "logits.kernel",
        "b3": "logits.bias",
    }  # fmt: skip
    return {symbol: weights[name].squeeze().astype(np.float64) for symbol, name in names.items()}


def test_training_takes_the_textbooks_steps() -> None:
    options = MlpOptions(type="mlp", features="count", hidden=[6, 5], dropout=0, input_dropout=0)
    network = build_mlp(options, Shape(VOCABULARY, 3, "softmax"))
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(0, 0.5, weight.shape) for weight in network.get_weights()])
    theta = textbook_weights(network)
    token_ids = texts(24)
    train = Examples(token_ids, rng.integers(0, 3, len(token_ids)))
    training = TrainingOptions(
        epochs=1, batch_size=6, optimizer="sgd", learning_rate=0.1, schedule="constant", early_stopping=None
    )
    fit(network, train, train, training, Silent())
    x, t = counts(token_ids), np.eye(3)[train.targets]
    for rows in batches(token_ids.lengths, training.batch_size, np.random.default_rng([training.seed, 1])):
        theta = gradient_descent_step(theta, x[rows], t[rows], training.learning_rate)
    after = textbook_weights(network)
    assert {name: np.abs(after[name] - theta[name]).max() for name in theta} == pytest.approx(
        dict.fromkeys(theta, 0), abs=1e-6
    )


# The features


def text_vectors(features: Any, ngrams: int, token_ids: TokenIds) -> Array:
    """The output of the first layer if each feature has a weight of 1: the features themselves."""
    rows = VOCABULARY + (4 if ngrams > 1 else 0)
    options = MlpOptions(type="mlp", features=features, ngrams=ngrams, buckets=4, hidden=[rows], embedding_dim=rows)
    network = build_mlp(
        options, Shape(VOCABULARY, 2, "softmax"), initial=InitialData(rows=padded_rows(token_ids, batch_size=7))
    )
    network.get_layer("embedding").set_weights([np.eye(rows)])
    if features == "embedding":
        network.get_layer("hidden_1").set_weights([np.eye(rows), np.zeros(rows)])
    import keras

    hidden = keras.Model(network.inputs, network.get_layer("hidden_1").output)
    return forward_function(hidden)(token_ids)


@pytest.mark.parametrize("ngrams", [1, 2])
def test_the_features_are_what_their_names_say(ngrams: int) -> None:
    token_ids = texts(30)
    expected = counts(token_ids)
    if ngrams == 2:
        pairs = [pair_rows(token_ids.row(row), vocabulary=VOCABULARY, buckets=4) for row in range(len(token_ids))]
        in_buckets = np.stack([np.bincount(row, minlength=VOCABULARY + 4)[VOCABULARY:] for row in pairs])
        expected = np.hstack([expected, in_buckets])
    tfidf = TfidfTransformer(sublinear_tf=True).fit_transform(expected).toarray()
    assert text_vectors("count", ngrams, token_ids) == pytest.approx(expected)
    assert text_vectors("binary", ngrams, token_ids) == pytest.approx((expected > 0).astype(float))
    assert text_vectors("embedding", ngrams, token_ids) == pytest.approx(
        expected / expected.sum(axis=1, keepdims=True), abs=1e-6
    )
    assert text_vectors("tfidf", ngrams, token_ids) == pytest.approx(tfidf, abs=1e-6)


def test_pairs_fill_the_buckets_evenly() -> None:
    ids = np.random.default_rng(0).integers(1, 9_999_999, 100_001)
    rows = pair_rows(ids, vocabulary=10_000_000, buckets=1 << 10)
    filled = np.bincount(rows - 10_000_000, minlength=1 << 10)
    assert len(filled) == 1 << 10
    assert filled.std() == pytest.approx(np.sqrt(filled.mean()), rel=0.1)  # as a fair draw has it


def test_a_large_vocabulary_makes_no_dense_rows() -> None:
    import tensorflow as tf

    options = MlpOptions(type="mlp", features="tfidf", ngrams=2)
    network = build_mlp(options, Shape(100_000, 1, "sigmoid"))
    [table] = network.get_layer("embedding").trainable_variables
    before = table.numpy()
    logits = logits_model(network)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(logits(tf.constant([[5, 99_999, 5, 7]])))
    [gradient] = tape.gradient(loss, [table.value])
    assert isinstance(gradient, tf.IndexedSlices)
    assert gradient.values.shape == (7, 64)  # four words, three pairs
    optimizer = build_optimizer(TrainingOptions(optimizer="sgd", schedule="constant"), total_steps=1)
    optimizer.apply([gradient], [table])
    assert len(np.flatnonzero((table.numpy() != before).any(axis=1))) <= 6
