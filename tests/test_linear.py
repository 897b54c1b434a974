"""The linear part of a joined model: its table of n-grams, and its logits against scikit-learn's TF-IDF."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from scipy.sparse import lil_matrix
from sklearn.feature_extraction.text import TfidfTransformer

from textclf.compression.linear_part import find_ngrams, smaller_linear, smaller_shapes
from textclf.models.architecture import Shape
from textclf.models.linear.gram_table import EMPTY, LOAD, build_gram_table
from textclf.models.linear.network import build_linear, linear_constants, linear_weights
from textclf.models.linear.onnx import check_constants, graph_constants, write_logits
from textclf.models.onnx.graph import MESSAGES, ForeignGraph, Graph, read_graph, read_model
from textclf.models.onnx.protobuf import write
from textclf.models.onnx.quantization import Storage, dequantize, quantize, quantized_bytes
from textclf.text.encoding import TokenIds, Tokens, pad

Array = npt.NDArray[Any]

VOCABULARY = 30
SHAPES = {
    "two labels": Shape(VOCABULARY, 1, "sigmoid"),
    "more labels": Shape(VOCABULARY, 5, "softmax"),
    "several a row": Shape(VOCABULARY, 5, "sigmoid"),
}


def draw_grams(count: int, words: int, seed: int = 0, vocabulary: int = 30_000) -> Array:
    """Distinct n-grams of 2 to `words` words, in random order, shape (count, words)."""
    rng = np.random.default_rng(seed)
    grams = rng.integers(2, vocabulary, (2 * count + 100, words))
    if words == 3:
        grams[::2, 2] = 0
    return rng.permutation(np.unique(grams, axis=0))[:count]


# The table of n-grams


@pytest.mark.parametrize("words", [2, 3])
@pytest.mark.parametrize("count", [0, 1, 5, 1000, 100_000])
def test_each_ngram_has_a_slot_of_its_own(count: int, words: int) -> None:
    grams = draw_grams(2 * count, words)
    known, unknown = grams[:count], grams[count:]
    table = build_gram_table(known)
    slots = table.find(known)
    assert len(np.unique(slots)) == count
    assert slots.min(initial=0) >= 0
    assert slots.max(initial=-1) < len(table.fingerprints)
    assert (table.find(unknown) == EMPTY).all()
    assert (table.fingerprints != EMPTY).sum() == count
    assert len(table.fingerprints) <= count / LOAD + 1
    again = build_gram_table(known)
    assert all(np.array_equal(one, other) for one, other in zip(table, again, strict=True))


def test_order_and_number_of_words_matter() -> None:
    table = build_gram_table(np.array([[4, 5, 0], [4, 5, 6], [7, 7, 0]]))
    others = [[5, 4, 0], [4, 6, 5], [5, 6, 0], [7, 7, 7], [7, 0, 0], [0, 0, 0], [4, 5, 1]]
    assert (table.find(np.array(others)) == EMPTY).all()


def test_pairs_of_the_most_frequent_words_fit_too() -> None:
    words = np.arange(2, 202)
    grid = np.stack(np.meshgrid(words, words), axis=-1).reshape(-1, 2)
    assert len(np.unique(build_gram_table(grid).find(grid))) == len(grid)


def test_an_ngram_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"n-grams \[4 5\] and \[4 5\] have equal hashes"):
        build_gram_table(np.array([[4, 5], [5, 4], [4, 5]]))


# The logits


class Linear(NamedTuple):
    """A linear model: its features, their idf and weights."""

    words: list[int]
    grams: Array
    idf: Array
    weights: Array
    bias: Array
    ngrams: int

    def logits(self, texts: list[list[int]], shape: Shape) -> Array:
        """The logits by scikit-learn's transformer, shape (texts, outputs)."""
        features = [(word,) for word in self.words] + [tuple(gram[gram > 0].tolist()) for gram in self.grams]
        column = {feature: index for index, feature in enumerate(features)}
        counts = lil_matrix((len(texts), len(features)))
        for row, text in enumerate(texts):
            for size in range(1, self.ngrams + 1):
                for start in range(len(text) - size + 1):
                    if (feature := tuple(text[start : start + size])) in column:
                        counts[row, column[feature]] += 1
        transformer = TfidfTransformer(sublinear_tf=True).fit(counts)
        transformer.idf_ = self.idf
        scores = transformer.transform(counts.tocsr()) @ self.weights + self.bias
        return -np.log1p(np.exp(-scores)) if shape.activation == "softmax" else scores

    def constants(self, vocabulary: int) -> dict[str, Array]:
        count = len(self.words)
        word_idf, word_weights = np.zeros(vocabulary), np.zeros((vocabulary, len(self.bias)))
        word_idf[self.words], word_weights[self.words] = self.idf[:count], self.weights[:count]
        return linear_constants(
            word_weights=word_weights,
            word_idf=word_idf,
            grams=self.grams,
            gram_weights=self.weights[count:],
            gram_idf=self.idf[count:],
            bias=self.bias,
        )


def draw_linear(shape: Shape, ngrams: int, grams: int = 60, seed: int = 0) -> Linear:
    """A model with random weights of most words, and of n-grams if `ngrams` is 2 or 3."""
    rng = np.random.default_rng(seed)
    words = list(range(2, shape.vocabulary - 3))
    drawn = draw_grams(grams if ngrams > 1 else 0, max(2, ngrams), seed, shape.vocabulary)
    features = len(words) + len(drawn)
    return Linear(
        words, drawn, rng.uniform(1, 9, features), rng.normal(0, 3, (features, shape.outputs)),
        rng.normal(0, 1, shape.outputs), ngrams,
    )  # fmt: skip


def draw_texts(seed: int = 0, vocabulary: int = VOCABULARY, length: int = 400) -> list[list[int]]:
    """A long text among short ones, in which words and n-grams come again, some unknown, some without weight."""
    rng = np.random.default_rng(seed)
    short = [rng.integers(1, vocabulary, size).tolist() for size in (1, 2, 3, 5, 8, 13)]
    repeated = [[2, 3] * 6, [4] * 9, [1], [1, 1, 1], [vocabulary - 1] * 2, [5], [1, 6, 1]]
    return [*short, rng.integers(1, vocabulary, length).tolist(), *repeated]


def onnx_model(shape: Shape, constants: Any, metadata: Any) -> bytes:
    """An ONNX model whose output is the logits."""
    graph = Graph(constants)
    logits = write_logits(graph, constants, metadata, activation=shape.activation)
    document = read_model(graph.finish(logits, activation="sigmoid", outputs=shape.outputs, metadata=metadata))
    document["graph"]["node"][-1]["input"] = [logits]
    del document["graph"]["output"][0]["type"]["tensor_type"]["shape"]
    return b"".join(write(document, "model", MESSAGES))


def onnx_logits(model: bytes, padded: Array) -> Array:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    lengths = np.count_nonzero(padded, axis=1).astype(np.int32)
    [logits] = session.run(None, {"token_ids": padded, "lengths": lengths})
    return np.asarray(logits)


def padded_texts(texts: list[list[int]]) -> Array:
    lengths = np.array([len(text) for text in texts])
    ids = TokenIds(np.concatenate(texts).astype(np.int32), lengths, lengths)
    return np.asarray(pad(ids.flat, ids.starts, ids.lengths))


CASES = [pytest.param(shape, ngrams, id=f"{name}-{ngrams}") for name, shape in SHAPES.items() for ngrams in (1, 2, 3)]


@pytest.mark.parametrize(("shape", "ngrams"), CASES)
def test_keras_and_onnx_give_scikit_learns_logits(shape: Shape, ngrams: int, tmp_path: Path) -> None:
    import keras

    linear, texts = draw_linear(shape, ngrams), draw_texts()
    expected, padded = linear.logits(texts, shape), padded_texts(texts)
    network = build_linear(shape, linear.constants(VOCABULARY), ngrams=ngrams)
    assert np.abs(np.asarray(network(padded)) - expected).max() < 1e-5
    constants, metadata = graph_constants(network)
    model = onnx_model(shape, constants, metadata)
    assert np.abs(onnx_logits(model, padded) - expected).max() < 1e-5
    for text, row in zip(texts, expected, strict=True):  # padding changes nothing
        assert np.abs(onnx_logits(model, np.array([text], np.int32)) - row).max() < 1e-5
    network.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    weights = linear_weights(network)
    for name, array in linear_weights(loaded).items():
        assert array.dtype == weights[name].dtype
        assert np.array_equal(array, weights[name])
    assert np.array_equal(loaded.predict(padded, verbose=0), network.predict(padded, verbose=0))


@pytest.mark.parametrize("count", [0, 1, 5, 100_000])
def test_tables_of_all_sizes(count: int) -> None:
    shape = Shape(2000, 1, "sigmoid")
    linear = draw_linear(shape, 2, grams=count)
    texts = draw_texts(vocabulary=2000)
    texts += [[9, *gram.tolist(), 9] for gram in linear.grams[:50]]
    expected, padded = linear.logits(texts, shape), padded_texts(texts)
    network = build_linear(shape, linear.constants(2000), ngrams=2)
    assert np.abs(np.asarray(network(padded)) - expected).max() < 1e-5
    assert np.abs(onnx_logits(onnx_model(shape, *graph_constants(network)), padded) - expected).max() < 1e-5


# A smaller part


def texts_with(texts: list[list[int]], gram: Array) -> int:
    """The number of texts that have an n-gram."""
    spelled = " ".join(map(str, gram[gram > 0].tolist()))
    return sum(f" {spelled} " in f" {' '.join(map(str, text))} " for text in texts)


@pytest.mark.parametrize(("shape", "ngrams"), [case for case in CASES if case.values[1] > 1])
@pytest.mark.parametrize(
    ("vocabulary", "keep"), [(VOCABULARY, 1.0), (VOCABULARY + 9, 1.0), (VOCABULARY, 0.3), (20, 0.5)]
)
def test_a_smaller_part_keeps_the_first_words_and_the_ngrams_that_count_most(
    shape: Shape, ngrams: int, vocabulary: int, keep: float
) -> None:
    texts, drawn = draw_texts(length=100), draw_linear(shape, ngrams, grams=300)
    linear = drawn._replace(idf=drawn.idf.round(1), weights=drawn.weights.round(1))  # the same in float32
    network = build_linear(shape, linear.constants(VOCABULARY), ngrams=ngrams)
    words = Tokens(np.concatenate(texts).astype(np.int32), np.array([len(text) for text in texts]))
    known = find_ngrams(network, words)
    first, grams = len(linear.words), linear.grams
    influence = linear.idf[first:] * np.abs(linear.weights[first:]).max(axis=1) * [texts_with(texts, g) for g in grams]
    ranked = [index for index in np.argsort(-influence, kind="stable") if influence[index]]
    assert {tuple(gram) for gram in known.token_ids} == {tuple(grams[index]) for index in ranked}
    usable = [index for index in ranked if grams[index].max() < vocabulary][: round(keep * len(ranked))]
    readable_words = [word for word in linear.words if word < vocabulary]
    kept = [*range(len(readable_words)), *(first + index for index in usable)]
    expected = linear._replace(
        words=readable_words, grams=grams[usable], idf=linear.idf[kept],
        weights=linear.weights[kept],
    )  # fmt: skip
    small = smaller_linear(network, known, shape._replace(vocabulary=vocabulary), keep=keep)
    readable = [[word if word < vocabulary else 1 for word in text] for text in texts]
    assert np.abs(np.asarray(small(padded_texts(readable))) - expected.logits(readable, shape)).max() < 1e-5
    if vocabulary >= VOCABULARY:  # all words of the n-grams are known, and all n-grams are in the texts or zero
        estimated = smaller_shapes(graph_constants(network)[0], vocabulary=vocabulary, keep=len(usable) / len(grams))
        for name, array in graph_constants(small)[0].items():
            assert estimated[name] == pytest.approx(array.shape, abs=2)


# The files


def good(ngrams: int = 2) -> tuple[Shape, dict[str, Array], dict[str, str]]:
    shape = SHAPES["more labels"]
    network = build_linear(shape, draw_linear(shape, ngrams).constants(VOCABULARY), ngrams=ngrams)
    constants, metadata = graph_constants(network)
    return shape, dict(constants), dict(metadata)


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
@pytest.mark.parametrize("ngrams", [1, 3])
def test_a_file_is_written_again_byte_by_byte(ngrams: int, storage: Storage) -> None:
    shape, constants, metadata = good(ngrams)
    stored = quantize(constants, storage)
    model = onnx_model(shape, stored, metadata)
    assert onnx_model(shape, *check_constants(shape, *read_graph(model))) == model
    assert sum(array.nbytes for array in stored.values()) == sum(
        quantized_bytes(name, array.shape, storage) for name, array in constants.items()
    )


@pytest.mark.parametrize("outputs", [1, 5, 77])
def test_int8_changes_logits_little(outputs: int) -> None:
    shape = Shape(VOCABULARY, outputs, "softmax" if outputs > 1 else "sigmoid")
    linear, padded = draw_linear(shape, 2), padded_texts(draw_texts())
    network = build_linear(shape, linear.constants(VOCABULARY), ngrams=2)
    constants, metadata = graph_constants(network)
    exact = onnx_logits(onnx_model(shape, constants, metadata), padded)
    stored = quantize(constants, "int8")
    assert {name for name, array in stored.items() if array.dtype == np.int8} == {"table", "idf"}
    rounded = onnx_logits(onnx_model(shape, stored, metadata), padded)
    assert 0 < np.abs(rounded - exact).max() < 0.2
    network.set_weights(list(dequantize(quantize(linear_weights(network), "int8")).values()))
    assert np.abs(np.asarray(network(padded)) - rounded).max() < 1e-5


HOSTILE: dict[str, tuple[Callable[[dict[str, Array], dict[str, str]], object], str]] = {
    "no order": (lambda _, metadata: metadata.clear(), "its ngrams are '', no whole number from 1 to 3"),
    "an order too many": (
        lambda _, metadata: metadata.update(ngrams="4"),
        "its ngrams are '4', no whole number from 1 to 3",
    ),
    "no n-grams": (lambda constants, _: constants.pop("displacements"), "its constant 'displacements' is missing"),
    "no fingerprints": (lambda constants, _: constants.pop("fingerprints"), "its constant 'fingerprints' is missing"),
    "no table": (lambda constants, _: constants.pop("table"), "its constant 'table' is missing"),
    "n-grams behind the table": (
        lambda constants, _: constants.update(fingerprints=np.zeros(9999, np.int32)),
        r"its constant 'table' has float32 of shape \(94, 5\), not float32, float16, int8 of \(10029, 5\)",
    ),
    "words only, but a longer table": (
        lambda _, metadata: metadata.update(ngrams="1"),
        r"its constant 'table' has float32 of shape \(94, 5\), not float32, float16, int8 of \(30, 5\)",
    ),
    "displacements in float": (
        lambda constants, _: constants.update(displacements=constants["displacements"].astype(np.float32)),
        r"its constant 'displacements' has float32 of shape \(20,\), not int32 of \(20,\)",
    ),
    "fingerprints of two axes": (
        lambda constants, _: constants.update(fingerprints=constants["fingerprints"][:, None]),
        r"its constant 'fingerprints' has int32 of shape \(64, 1\), not int32 of \(64,\)",
    ),
    "NaN": (
        lambda constants, _: constants.update(idf=constants["idf"] * np.nan),
        "its constant 'idf' holds NaN or infinity",
    ),
}


@pytest.mark.parametrize(("damage", "message"), HOSTILE.values(), ids=HOSTILE)
def test_strange_constants_are_refused(damage: Any, message: str) -> None:
    shape, constants, metadata = good()
    damage(constants, metadata)
    with pytest.raises(ForeignGraph, match=message):
        check_constants(shape, constants, metadata)


def test_no_numbers_in_the_table_lead_out_of_it() -> None:
    shape, constants, metadata = good()
    extreme = np.array([np.iinfo(np.int32).min, -1, 0, np.iinfo(np.int32).max], np.int32)
    for name in ("displacements", "fingerprints"):
        constants[name] = np.resize(extreme, constants[name].shape)
    model = onnx_model(shape, *check_constants(shape, constants, metadata))
    assert np.isfinite(onnx_logits(model, padded_texts(draw_texts()))).all()
