"""The network of a pretrained encoder: against the textbook, in Keras and in ONNX, alone and in a batch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from encoder_reference import ReferenceEncoder
from tiny_encoders import write_tiny_encoder

from textclf.inference.classifier import RUNTIME_ERRORS
from textclf.models.architecture import RESERVED, Constants, InitialData, Metadata, Shape
from textclf.models.encoder.folder import read_encoder
from textclf.models.encoder.network import (
    EncoderOptions,
    build_body,
    build_encoder,
    build_head,
    encoder_sizes,
    encoder_weights,
    trained_layers,
)
from textclf.models.encoder.onnx import check_constants, graph_constants, write_logits
from textclf.models.encoder.sizes import EncoderSizes, EncoderWeights, PoolingOfPieces, encoder_weight_shapes
from textclf.models.encoder.weights import read_weights
from textclf.models.onnx.graph import ForeignGraph, Graph, read_graph
from textclf.models.onnx.protobuf import Field, WireError, read, write
from textclf.models.onnx.quantization import Storage, dequantize, quantize
from textclf.models.registry import logits_model

Array = npt.NDArray[Any]

FAMILIES = ["bert", "roberta", "xlm-roberta", "distilbert"]
OPTIONS = EncoderOptions(type="encoder", encoder="folder")
SIZES = EncoderSizes(
    pieces=30, positions=12, hidden=16, layers=3, heads=4, intermediate=32, epsilon=1e-12, pooling="mean"
)
SHAPE = Shape(SIZES.pieces + RESERVED, 3, "softmax")
TEXTS = [[5, 7, 9, 11, 13, 9], [3], [1, 2, 8, 20], []]
STORAGES: list[Storage] = ["float32", "float16", "int8"]


def token_ids(texts: list[list[int]]) -> npt.NDArray[np.int32]:
    """The padded token ids of texts, given as pieces; a text without any is one token that stands for nothing."""
    rows = [[piece + RESERVED for piece in text] or [1] for text in texts]
    width = max(map(len, rows))
    return np.array([row + [0] * (width - len(row)) for row in rows], np.int32)


def random_weights(sizes: EncoderSizes, seed: int = 0) -> dict[str, npt.NDArray[np.float32]]:
    """Weights so large that every part of the network shows in the result."""
    rng = np.random.default_rng(seed)
    shapes = encoder_weight_shapes(sizes).items()
    return {name: rng.normal(name.endswith(".gamma"), 0.3, shape).astype(np.float32) for name, shape in shapes}


def network_of(sizes: EncoderSizes = SIZES, weights: Any = None, **options: Any) -> Any:
    encoder = EncoderWeights(sizes, weights or random_weights(sizes))
    shape = Shape(sizes.pieces + RESERVED, 3, "softmax")
    return build_encoder(
        EncoderOptions(type="encoder", encoder="folder", **options), shape, initial=InitialData(encoder=encoder)
    )


def write_graph(constants: Constants, metadata: Metadata) -> bytes:
    graph = Graph({})
    logits = write_logits(graph.part("", constants), constants, metadata)
    return graph.finish(logits, activation="softmax", outputs=3, metadata=metadata, further={"logits": logits})


def graph_of(network: Any, storage: Storage = "float32") -> bytes:
    constants, metadata = graph_constants(OPTIONS, network)
    return write_graph(quantize(constants, storage), metadata)


def graph_logits(graph: bytes, ids: npt.NDArray[np.int32]) -> Array:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    inputs = {"token_ids": ids, "lengths": np.count_nonzero(ids, axis=1).astype(np.int32)}
    return session.run(["logits"], inputs)[0]


def keras_logits(network: Any, ids: npt.NDArray[np.int32]) -> Array:
    return logits_model(network).predict_on_batch(ids)


# The textbook's network


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_gives_the_vectors_of_the_reference(family: str, tmp_path: Path) -> None:
    write_tiny_encoder(tmp_path, family)
    encoder = read_encoder(tmp_path)
    weights = read_weights(encoder)
    reference = ReferenceEncoder(tmp_path)
    texts = [[piece % encoder.sizes.pieces for piece in text] for text in TEXTS[:3]]
    states = [reference.states(text) for text in texts]
    pooled: dict[PoolingOfPieces, list[Array]] = {
        "mean": [rows.mean(axis=0) for rows in states],
        "first": [rows[0] for rows in states],
    }
    for pooling, expected in pooled.items():
        sizes = encoder.sizes._replace(pooling=pooling)
        np.testing.assert_allclose(build_body(sizes, weights).predict_on_batch(token_ids(texts)), expected, atol=1e-5)
        network = network_of(sizes, weights)
        kernel, bias = network.get_layer("logits").get_weights()
        logits = np.array(expected) @ kernel + bias
        np.testing.assert_allclose(keras_logits(network, token_ids(texts)), logits, atol=1e-5)
        for storage, error in zip(STORAGES, (1e-5, 5e-3, 0.2), strict=True):
            actual = graph_logits(graph_of(network, storage), token_ids(texts))
            np.testing.assert_allclose(actual, logits, atol=error, err_msg=storage)


def test_sizes_and_weights_are_read_back_in_the_order_of_keras() -> None:
    weights = random_weights(SIZES)
    network = network_of(SIZES, weights)
    read = encoder_weights(network)
    assert encoder_sizes(network) == SIZES
    assert list(read) == [*encoder_weight_shapes(SIZES), "logits.kernel", "logits.bias"]
    assert all(np.array_equal(read[name], weight) for name, weight in weights.items())
    of_keras = network.get_weights()
    assert len(read) == len(of_keras)
    assert all(map(np.array_equal, read.values(), of_keras))


def test_int8_costs_little() -> None:
    network = network_of()
    ids = token_ids(TEXTS)
    exact = graph_logits(graph_of(network), ids)
    weights = encoder_weights(network)
    network.set_weights(list(dequantize(quantize(weights, "int8")).values()))
    of_weights, actual = keras_logits(network, ids), graph_logits(graph_of(network, "int8"), ids)
    assert np.abs(actual - of_weights).max() < 0.05 * np.abs(exact).max()  # rounded states
    assert np.abs(actual - exact).max() < 0.1 * np.abs(exact).max()  # and rounded weights


def test_kernels_multiplied_as_integers_have_seven_bits() -> None:
    constants, _ = graph_constants(OPTIONS, network_of())
    stored = quantize(constants, "int8")
    assert np.abs(stored["layer_1.qkv.kernel"]).max() == 63  # more overflow on processors without VNNI
    assert np.abs(stored["pieces"]).max() == 127
    assert stored["pieces.scale"].shape == (SIZES.pieces, 1)


# Batches


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_a_text_alone_gives_what_it_gives_in_a_batch(pooling: Any, storage: Storage) -> None:
    graph = graph_of(network_of(SIZES._replace(pooling=pooling)), storage)
    together = graph_logits(graph, np.pad(token_ids(TEXTS), ((0, 0), (0, 3))))  # with padding behind the longest too
    alone = [graph_logits(graph, token_ids([text]))[0] for text in TEXTS]
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_padding_changes_nothing_in_keras(pooling: Any) -> None:
    network = network_of(SIZES._replace(pooling=pooling))
    together = keras_logits(network, np.pad(token_ids(TEXTS), ((0, 0), (0, 3))))
    alone = [keras_logits(network, token_ids([text]))[0] for text in TEXTS]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_blank_row_reads_piece_0() -> None:
    graph = graph_of(network_of())
    np.testing.assert_array_equal(graph_logits(graph, token_ids([[]])), graph_logits(graph, token_ids([[0]])))


def test_a_text_longer_than_the_table_of_positions_is_no_reading_beyond_it() -> None:
    graph = graph_of(network_of())
    with pytest.raises(RUNTIME_ERRORS, match="broadcast"):
        graph_logits(graph, token_ids([[3] * (SIZES.positions + 1)]))


# Training


@pytest.mark.parametrize(
    ("trainable", "layers", "expected"),
    [
        ("head", 0, set()),
        ("last_1", 1, {"layer_3"}),
        ("last_2", 2, {"layer_2", "layer_3"}),
        ("last_9", 3, {"layer_1", "layer_2", "layer_3"}),
        ("all", 3, {"pieces", "positions", "norm", "layer_1", "layer_2", "layer_3"}),
    ],
)
def test_training_changes_what_trainable_says(trainable: str, layers: int, expected: set[str]) -> None:
    network = network_of(trainable=trainable)
    names = list(encoder_weights(network))
    trained = {id(variable) for variable in network.trainable_variables}
    changed = {name.split(".")[0] for name, own in zip(names, network.weights, strict=True) if id(own) in trained}
    assert changed == expected | {"logits"}
    assert trained_layers(EncoderOptions(type="encoder", encoder="folder", trainable=trainable), SIZES.layers) == layers


@pytest.mark.parametrize(("trainable", "acts"), [("head", False), ("last_1", True), ("all", True)])
def test_dropout_acts_in_trained_layers_alone(trainable: str, acts: bool) -> None:
    network = network_of(trainable=trainable, hidden_dropout=0.5, dropout=0.0)
    first, second = (network(token_ids(TEXTS), training=True).numpy() for _ in range(2))
    assert np.array_equal(first, second) != acts
    frozen = keras.Model(network.input, network.get_layer("layer_2_output_norm").output)
    first, second = (frozen(token_ids(TEXTS), training=True).numpy() for _ in range(2))
    assert np.array_equal(first, second) != (trainable == "all")


def test_the_head_alone_reads_vectors_that_were_computed_before() -> None:
    network = network_of(trainable="head")
    vectors = keras.Model(network.input, network.get_layer("pooled").output).predict_on_batch(token_ids(TEXTS))
    head = build_head(OPTIONS, SHAPE, vectors)
    head.get_layer("logits").set_weights(network.get_layer("logits").get_weights())
    row_ids = np.array([[4], [1], [2], [3]], np.int32)  # plus 1
    expected = keras_logits(network, token_ids(TEXTS))[[3, 0, 1, 2]]
    np.testing.assert_allclose(keras_logits(head, row_ids), expected, atol=1e-6)
    assert len(head.trainable_variables) == 2


def test_without_an_encoder_nothing_is_built() -> None:
    with pytest.raises(ValueError, match=r"initial\.encoder"):
        build_encoder(OPTIONS, SHAPE)


LOADED = """
import sys
import keras, numpy
ids, network = numpy.load(sys.argv[2]), keras.models.load_model(sys.argv[1])
assert not [name for name in sys.modules if name.startswith("textclf")]
numpy.save(sys.argv[3], network.predict_on_batch(ids))
"""


def test_a_saved_network_loads_without_textclf(tmp_path: Path) -> None:
    network = network_of(trainable="last_1")
    network.save(tmp_path / "model.keras")
    np.save(tmp_path / "ids.npy", token_ids(TEXTS))
    files = [tmp_path / name for name in ("model.keras", "ids.npy", "probabilities.npy")]
    subprocess.run([sys.executable, "-c", LOADED, *files], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(files[2]), network.predict_on_batch(token_ids(TEXTS)))


# Graphs from strangers


@pytest.mark.parametrize("storage", STORAGES)
def test_a_graph_that_was_read_is_written_again_byte_by_byte(storage: Storage) -> None:
    graph = graph_of(network_of(), storage)
    assert write_graph(*check_constants(SHAPE, *read_graph(graph))) == graph


def test_the_number_of_an_attribute_is_read_as_it_was_written_and_not_cut_short() -> None:
    messages = {"attribute": {2: Field("f", "float")}}
    data = b"".join(write({"f": 0.5}, "attribute", messages))
    assert read(memoryview(data), "attribute", messages) == {"f": 0.5}
    with pytest.raises(WireError, match="attribute is cut short"):
        read(memoryview(data[:-1]), "attribute", messages)
    with pytest.raises(WireError, match="attribute has a field 2 that textclf never writes"):
        read(memoryview(data), "attribute", {"attribute": {2: Field("i", "int")}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": "0"}, "its heads are '0', no whole number up to 64 that divides 16"),
        ({"heads": "x"}, "its heads are 'x', no whole number up to 64 that divides 16"),
        ({"heads": "3"}, "its heads are '3', no whole number up to 64 that divides 16"),
        ({"heads": ""}, "its heads are '', no whole number up to 64 that divides 16"),
        ({"epsilon": "1.2.3"}, "its epsilon is '1.2.3', no number from 1e-30 to 1.0"),
        ({"epsilon": "1e999"}, "its epsilon is '1e999', no number from 1e-30 to 1.0"),
        ({"epsilon": "0"}, "its epsilon is '0', no number from 1e-30 to 1.0"),
        ({"epsilon": "1e-99"}, "its epsilon is '1e-99', no number from 1e-30 to 1.0"),
        ({"epsilon": "nan"}, "its epsilon is 'nan', no number from 1e-30 to 1.0"),
        ({"pooling": "max"}, "its pooling is 'max', none of mean, first"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(changes: dict[str, str], message: str) -> None:
    constants, metadata = graph_constants(OPTIONS, network_of())
    with pytest.raises(ForeignGraph) as refused:
        check_constants(SHAPE, constants, {**metadata, **changes})
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("pieces", None, "its constant 'pieces' is missing or has not 2 axes"),
        ("positions", np.zeros(16), "its constant 'positions' is missing or has not 2 axes"),
        ("layer_1.intermediate.bias", None, "its constant 'layer_1.intermediate.bias' is missing or has not 1 axes"),
        ("layer_2.qkv.kernel", None, "its constant 'layer_2.qkv.kernel' is missing"),
        (
            "layer_3.output.kernel",
            np.zeros((31, 16), np.float32),
            "its constant 'layer_3.output.kernel' has float32 of shape (31, 16), not float32, float16, int8 of "
            "(32, 16)",
        ),
        (
            "pieces",
            np.zeros((31, 16), np.float32),
            "its constant 'pieces' has float32 of shape (31, 16), not float32, float16, int8 of (30, 16)",
        ),
    ],
)
def test_constants_that_do_not_fit_are_refused(name: str, array: Array | None, message: str) -> None:
    constants, metadata = graph_constants(OPTIONS, network_of())
    changed = {**constants, name: array} if array is not None else {k: v for k, v in constants.items() if k != name}
    with pytest.raises(ForeignGraph) as refused:
        check_constants(SHAPE, changed, metadata)
    assert str(refused.value) == message
