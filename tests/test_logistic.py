"""The solver of the linear model: the minimum of scikit-learn's logistic regression, on any sparse features."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.sparse import csr_matrix, diags, hstack
from sklearn.linear_model import LogisticRegression

from textclf.text.encoding import RESERVED, UNKNOWN, Tokens
from textclf.text.ngrams import choose_ngrams
from textclf.training import logistic
from textclf.training.linear import LabelledWords, fit_linear
from textclf.training.logistic import ScaledFeatures, SparseFeatures, fit_logistic

Array = npt.NDArray[Any]

TEXTS, NGRAMS, WORDS, CHARACTERS = 300, 80, 50, 30


def sparse(rng: np.random.Generator, rows: int, columns: int, density: float) -> csr_matrix:
    """Return random numbers in a share of the cells, and zeros elsewhere."""
    values = rng.random((rows, columns)) * (rng.random((rows, columns)) < density)
    return csr_matrix(values, dtype=np.float32)


def features(*, characters: bool, seed: int = 0) -> ScaledFeatures:
    """Return random features, each with a scale of its own."""
    rng = np.random.default_rng(seed)
    ngrams, of_words = sparse(rng, TEXTS, NGRAMS, 0.1), sparse(rng, WORDS, CHARACTERS, 0.2)
    scale = rng.uniform(0.2, 1.5, NGRAMS + CHARACTERS * characters).astype(np.float32)
    return ScaledFeatures(SparseFeatures(ngrams, of_words), scale)


def written_down(scaled: ScaledFeatures) -> csr_matrix:
    """Return the features as one matrix, shape (texts, columns)."""
    ngrams, characters = scaled.features.ngrams, scaled.features.characters
    both = hstack([ngrams, ngrams[:, :WORDS] @ characters]).tocsr()
    return both[:, : len(scaled.scale)] @ diags(scaled.scale)


def labels(scaled: ScaledFeatures, *, noise: float = 0.5) -> Array:
    """Return labels that depend on the features."""
    rng = np.random.default_rng(1)
    matrix = written_down(scaled)
    scores = matrix @ rng.normal(size=matrix.shape[1])
    return (scores + rng.normal(0, noise, TEXTS) > np.quantile(scores, 0.7)).astype(np.int64)


@pytest.mark.parametrize("strength", [0.1, 8.0, 1000.0])
@pytest.mark.parametrize("characters", [False, True])
def test_minimum_is_scikit_learns(characters: bool, strength: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "TOLERANCE", 1e-5)
    scaled = features(characters=characters)
    target = labels(scaled)
    found = fit_logistic(scaled, target, strength=strength)
    expected = LogisticRegression(C=strength, solver="liblinear", tol=1e-8, max_iter=10_000)
    expected.fit(written_down(scaled).astype(np.float64), target)
    np.testing.assert_allclose(found, [*expected.coef_[0], *expected.intercept_], atol=2e-3 * np.abs(found).max())


def test_an_earlier_fit_is_a_good_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "TOLERANCE", 1e-4)
    scaled = features(characters=True)
    target = labels(scaled)
    weak = fit_logistic(scaled, target, strength=2.0)
    cold, warm = (fit_logistic(scaled, target, strength=8.0, start=start) for start in (None, weak))
    np.testing.assert_allclose(scaled.scores(warm), scaled.scores(cold), atol=0.05)
    again = fit_logistic(scaled, target, strength=8.0, start=warm)
    assert (again == warm).all()


def test_weights_of_characters_are_in_those_of_the_words() -> None:
    scaled = features(characters=True)
    parameters = np.random.default_rng(2).normal(size=NGRAMS + CHARACTERS + 1).astype(np.float32)
    expected = written_down(scaled) @ parameters[:-1] + parameters[-1]
    np.testing.assert_allclose(scaled.scores(parameters), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        scaled.features.ngrams @ scaled.weights(parameters) + parameters[-1], expected, atol=1e-4
    )
    values = np.random.default_rng(3).normal(size=TEXTS).astype(np.float32)
    transposed = [*(written_down(scaled).T @ values), values.sum()]
    np.testing.assert_allclose(scaled.transposed(values), transposed, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rare", [1, TEXTS - 1])
def test_a_label_of_one_text_is_learnt(rare: int) -> None:
    scaled = features(characters=False)
    target = (np.arange(TEXTS) < rare).astype(np.int64)
    scores = scaled.scores(fit_logistic(scaled, target, strength=1e6))
    assert ((scores > 0) == (target == 1)).all()
    assert np.isfinite(scores).all()


def test_texts_without_features_have_the_bias_alone() -> None:
    nothing = csr_matrix((4, 2), dtype=np.float32), csr_matrix((1, 0), dtype=np.float32)
    empty = ScaledFeatures(SparseFeatures(*nothing), np.ones(2, np.float32))
    parameters = fit_logistic(empty, np.array([1, 1, 1, 0]), strength=1e6)
    np.testing.assert_allclose(empty.scores(parameters), np.log(3), atol=0.02)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("min_texts", [1, 2])
def test_chosen_ngrams_come_with_their_counts(order: int, min_texts: int) -> None:
    rng = np.random.default_rng(order)
    counts = rng.integers(0, 9, 60)
    tokens = Tokens(rng.integers(UNKNOWN, RESERVED + 6, counts.sum()).astype(np.int32), counts)
    ngrams, counted = choose_ngrams(tokens, order=order, min_texts=min_texts)
    assert counted.shape == (60, len(ngrams))
    assert (counted != ngrams.count(tokens)).nnz == 0
    texts = np.bincount(counted.indices, minlength=len(ngrams))
    assert texts.min() >= min_texts


@pytest.mark.parametrize(("most", "shares"), [(160, True), (159, False)])
def test_words_that_look_alike_share_weight_unless_words_are_many(
    most: int, shares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textclf.training.linear.CHARACTER_WORDS", most)
    vocabulary = [f"{stem}{ending}" for stem in ("walk", "sing") for ending in "abcdefghijklmnopqrst"]
    token_ids = np.random.default_rng(0).permutation(np.repeat(np.arange(len(vocabulary)), 4))  # two in each text
    of_text = np.sort(token_ids.reshape(-1, 2), axis=1)
    words = Tokens(of_text.ravel().astype(np.int32) + RESERVED, np.full(len(of_text), 2))
    rows = LabelledWords(words, (of_text[:, 1] >= 20).astype(np.int64))
    assert fit_linear(rows, rows, labels=2, vocabulary=vocabulary).settings.characters == shares
