"""The contract of every architecture in MODELS, over all kinds of options and labels."""

from typing import Any, get_args

import numpy as np
import onnxruntime
import pytest

from textclf.models.architecture import InitialData, Shape
from textclf.models.encoder.sizes import EncoderSizes, EncoderWeights
from textclf.models.ensemble import join, onnx_model, rewrite_onnx_model
from textclf.models.onnx.graph import ForeignGraph, read_graph
from textclf.models.registry import MODELS, ModelOptions, logits_model
from textclf.text.encoding import RESERVED, TokenIds, pad
from textclf.training.loop import forward_function

VOCABULARY = 20
SHAPES = {
    "two labels": Shape(VOCABULARY, 1, "sigmoid"),
    "more labels": Shape(VOCABULARY, 3, "softmax"),
    "several a row": Shape(VOCABULARY, 4, "sigmoid"),
}
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "bilstm": [
        *(
            {"pooling": pooling, "layers": layers}
            for pooling in ("last", "max", "mean", "max_mean")
            for layers in (1, 2)
        ),
        {"pooling": "max", "trainable_embedding": False, "dropout": 0.0, "embedding_dropout": 0.0},
    ],
    "mlp": [
        *(
            {"features": features, "ngrams": ngrams}
            for features in ("count", "binary", "tfidf", "embedding")
            for ngrams in (1, 2)
        ),
        {"features": "embedding", "trainable_embedding": False, "dropout": 0.0, "input_dropout": 0.0, "hidden": [3]},
        {"features": "binary", "hidden": [3]},
    ],
    "encoder": [{"trainable": trainable} for trainable in ("all", "last_1", "head")],
}
SIZES: dict[str, dict[str, Any]] = {
    "bilstm": {"embedding_dim": 5, "units": 4},
    "mlp": {"embedding_dim": 5, "hidden": [4, 3], "buckets": 7},
    "encoder": {"encoder": "folder"},
}
ENCODER = EncoderSizes(
    pieces=VOCABULARY - RESERVED,
    positions=14,
    hidden=6,
    layers=2,
    heads=2,
    intermediate=8,
    epsilon=1e-12,
    pooling="mean",
)
CASES = [
    pytest.param(name, variant, id="-".join([name, *map(str, variant.values())]))
    for name in MODELS
    for variant in VARIANTS[name]
]


def test_the_options_of_every_architecture_can_be_those_of_a_config() -> None:
    assert [architecture.options for architecture in MODELS.values()] == list(get_args(ModelOptions))


def token_ids(seed: int = 0) -> TokenIds:
    """Rows of 1 to 9 ids, so that most are padded in a batch."""
    rng = np.random.default_rng(seed)
    lengths = rng.permutation(np.arange(1, 10))
    return TokenIds(rng.integers(1, VOCABULARY, lengths.sum(), np.int32), lengths, lengths)


def options_of(name: str, variant: dict[str, Any]) -> Any:
    return MODELS[name].options(**{"type": name, **SIZES[name], **variant})


def network_of(options: Any, shape: Shape, **settings: Any) -> Any:
    """A new network; a pretrained encoder is tiny and has random weights."""
    initial = {"initial": InitialData(encoder=EncoderWeights(ENCODER, None))} if options.type == "encoder" else {}
    return MODELS[options.type].build(options, shape, **initial, **settings)


def built(name: str, variant: dict[str, Any], shape: Shape, **settings: Any) -> tuple[Any, Any]:
    """Options and a network with weights drawn at random, biases too."""
    chosen = options_of(name, variant)
    network = network_of(chosen, shape, **settings)
    rng = np.random.default_rng(1)
    network.set_weights([rng.normal(0, 0.7, weight.shape) for weight in network.get_weights()])
    return chosen, network


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_onnx_computes_what_keras_computes(
    name: str, variant: dict[str, Any], shape: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, network = built(name, variant, shape)
    ids = token_ids()
    inputs = {"token_ids": pad(ids.flat, ids.starts, ids.lengths), "lengths": ids.lengths.astype(np.int32)}
    expected = np.asarray(network(inputs["token_ids"]))  # tracing would take four times as long
    if shape.outputs == 1:
        expected = np.hstack([1 - expected, expected])
    for limit in (0, 1 << 20):  # a large vocabulary and a small one are looked up in different ways
        monkeypatch.setattr("textclf.models.bilstm.onnx.MAX_PRODUCTS", limit)
        session = onnxruntime.InferenceSession(onnx_model(options, shape, network))
        [actual] = session.run(None, inputs)
        assert np.abs(actual - expected).max() < 1e-5


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("name", "variant"), [(name, VARIANTS[name][0]) for name in MODELS])
def test_an_ensemble_computes_the_mean_of_the_logits(name: str, variant: dict[str, Any], shape: Shape) -> None:
    options, first = built(name, variant, shape)
    _, second = built(name, variant, shape)
    second.set_weights([weight[::-1] for weight in second.get_weights()])
    network = join([first, second], shape.activation)
    ids = token_ids()
    logits, *member_logits = (forward_function(logits_model(model))(ids) for model in (network, first, second))
    assert np.abs(logits - np.mean(member_logits, axis=0)).max() < 1e-6
    graph = onnx_model(options, shape, network)
    assert rewrite_onnx_model(shape, *read_graph(graph)) == graph
    inputs = {"token_ids": pad(ids.flat, ids.starts, ids.lengths), "lengths": ids.lengths.astype(np.int32)}
    [actual] = onnxruntime.InferenceSession(graph).run(None, inputs)
    expected = forward_function(network)(ids)
    if shape.outputs == 1:
        expected = np.hstack([1 - expected, expected])
    assert np.abs(actual - expected).max() < 1e-5


def test_members_of_different_sizes_are_refused() -> None:
    shape = SHAPES["two labels"]
    first, second = (
        MODELS["bilstm"].build(MODELS["bilstm"].options(embedding_dim=5, units=units), shape) for units in (3, 4)
    )
    options = MODELS["bilstm"].options(embedding_dim=5)
    graph = onnx_model(options, shape, join([first, second], shape.activation))
    with pytest.raises(ForeignGraph, match="its members have different sizes"):
        rewrite_onnx_model(shape, *read_graph(graph))


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_padding_changes_nothing(name: str, variant: dict[str, Any]) -> None:
    _, network = built(name, variant, SHAPES["two labels"])
    row = np.array([[3, 1, 4]], np.int32)
    padded = np.pad(row, ((0, 0), (0, 5)))
    assert np.abs(np.asarray(network(row)) - np.asarray(network(padded))).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "variant"), [("bilstm", {"pooling": "last", "layers": 2}), ("bilstm", {"pooling": "max"})]
)
def test_fast_layers_have_the_same_outputs_and_gradients(name: str, variant: dict[str, Any]) -> None:
    import tensorflow as tf

    # wider than a span of the fast recurrence
    padded = tf.constant([[3, 1, 4, 1, 5, 9, 2] * 5, [9, 2, 6] * 6 + [0] * 17, [5] + [0] * 34])

    def outputs_and_gradients(fast: bool) -> tuple[Any, list[Any]]:
        _, network = built(name, variant, SHAPES["more labels"], fast=fast)
        logits = logits_model(network)

        @tf.function
        def both(ids: Any) -> tuple[Any, list[Any]]:
            with tf.GradientTape() as tape:
                outputs = logits(ids)
                loss = tf.reduce_sum(outputs**2)
            return outputs, [tf.convert_to_tensor(g) for g in tape.gradient(loss, network.trainable_variables)]

        return both(padded)

    (stock, stock_gradients), (quick, quick_gradients) = map(outputs_and_gradients, (False, True))
    assert np.abs(stock - quick).max() < 1e-5
    for one, other in zip(stock_gradients, quick_gradients, strict=True):
        assert np.abs(one - other).max() < 1e-4


@pytest.mark.parametrize(("name", "variant"), [("bilstm", {}), ("mlp", {"features": "embedding", "ngrams": 2})])
def test_training_starts_from_pretrained_vectors(name: str, variant: dict[str, Any]) -> None:
    vectors = np.arange(VOCABULARY * 5, dtype=np.float32).reshape(VOCABULARY, 5)
    network = MODELS[name].build(options_of(name, variant), SHAPES["two labels"], initial=InitialData(vectors))
    assert (network.get_layer("embedding").get_weights()[0][:VOCABULARY] == vectors).all()
