"""The blend of a network and a linear model: one model, each of whose parts reads its own part of a text."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from conftest import ALONE, SAMPLES, SMALL, CopyRun, overrides, textclf, write_config

from textclf.errors import UserError
from textclf.evaluation.calibration import fit_blend
from textclf.inference.classifier import load_classifier
from textclf.inference.model_folder import checksum
from textclf.models.architecture import InitialData, InputLimits, Shape
from textclf.models.encoder.sizes import EncoderSizes, EncoderWeights
from textclf.models.ensemble import blend, join, onnx_model, rewrite_onnx_model
from textclf.models.linear.network import build_linear, linear_constants
from textclf.models.onnx.graph import ForeignGraph, read_graph
from textclf.models.registry import MODELS, logits_model
from textclf.report.page import threshold_sentence
from textclf.text.encoding import RESERVED, TokenIds, pad
from textclf.text.model_input import join_pieces
from textclf.training.loop import _pad_batch, forward_function

Array = npt.NDArray[Any]

WORDS, KNOWN, LONGEST = 30, 20, 6  # token ids; those that the network knows; tokens that it reads
SHAPES = {
    "two labels": Shape(WORDS, 1, "sigmoid"),
    "more labels": Shape(WORDS, 3, "softmax"),
    "several a row": Shape(WORDS, 4, "sigmoid"),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "bilstm": {"embedding_dim": 5, "units": 4, "pooling": "max_mean"},
    "mlp": {"embedding_dim": 5, "hidden": [4], "buckets": 7, "ngrams": 2},
    "encoder": {"encoder": "folder"},
}
ENCODER = EncoderSizes(
    pieces=KNOWN - RESERVED, positions=LONGEST, hidden=6, layers=1, heads=2, intermediate=8, epsilon=1e-12,
    pooling="mean",
)  # fmt: skip
WEIGHTS = [0.7, 1.3]


def token_ids() -> TokenIds:
    """Rows of 1 to 12 ids: the network knows some of them, and reads no row of more than 6 whole."""
    rng = np.random.default_rng(0)
    lengths = rng.permutation(np.arange(1, 13))
    return TokenIds(rng.integers(1, WORDS, lengths.sum(), np.int32), lengths, lengths)


def pieces() -> TokenIds:
    """Rows of 1 to 6 ids of pieces, as many rows as of words."""
    rng = np.random.default_rng(1)
    lengths = rng.permutation(np.tile(np.arange(1, LONGEST + 1), 2))
    return TokenIds(rng.integers(RESERVED, KNOWN, lengths.sum(), np.int32), lengths, lengths)


def build_network(name: str, shape: Shape, seed: int = 1) -> tuple[Any, Any]:
    options = MODELS[name].options(type=name, **OPTIONS[name])
    initial = InitialData(encoder=EncoderWeights(ENCODER, None)) if name == "encoder" else None
    network = MODELS[name].build(options, shape._replace(vocabulary=KNOWN), initial=initial)
    rng = np.random.default_rng(seed)
    network.set_weights([rng.normal(0, 0.7, weight.shape) for weight in network.get_weights()])
    return options, network


def build_linear_part(shape: Shape) -> Any:
    rng = np.random.default_rng(2)
    grams = np.array([[2, 3], [25, 4], [5, 25], [7, 8]])
    constants = linear_constants(
        word_weights=rng.normal(size=(WORDS, shape.outputs)),
        word_idf=rng.uniform(1, 5, WORDS),
        grams=grams,
        gram_weights=rng.normal(size=(len(grams), shape.outputs)),
        gram_idf=rng.uniform(1, 5, len(grams)),
        bias=rng.normal(size=shape.outputs),
    )
    return build_linear(shape, constants, ngrams=2)


def run_graph(graph: bytes, ids: TokenIds, outputs: list[str]) -> list[Array]:
    inputs = {"token_ids": pad(ids.flat, ids.starts, ids.lengths), "lengths": ids.lengths.astype(np.int32)}
    return onnxruntime.InferenceSession(graph).run(outputs, inputs)


@pytest.mark.parametrize("truncate", ["start", "end"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", MODELS)
def test_each_part_reads_within_its_limits_and_the_logits_are_their_weighted_sum(
    name: str, shape: Shape, truncate: Any
) -> None:
    limits, words = InputLimits(KNOWN, LONGEST, truncate), token_ids()
    options, network = build_network(name, shape)
    linear = build_linear_part(shape)
    ids = words
    if name == "encoder":  # reads pieces, which come behind the words
        limits = limits._replace(first_piece=WORDS)
        shape = shape._replace(vocabulary=WORDS + ENCODER.pieces)
        ids = join_pieces(words, pieces(), first=WORDS)
    model = blend(network, {"linear": linear}, WEIGHTS, limits=limits, activation=shape.activation)

    known = ids.limit(**limits._asdict())
    parts = [forward_function(logits_model(network))(known), forward_function(linear)(words)]
    expected = WEIGHTS[0] * parts[0] + WEIGHTS[1] * parts[1]
    assert np.abs(forward_function(logits_model(model))(ids) - expected).max() < 1e-5

    graph = onnx_model(options, shape, model, limits=limits)
    assert rewrite_onnx_model(shape, *read_graph(graph), limits=limits) == graph
    probabilities, *logits = run_graph(graph, ids, ["probabilities", "network_logits", "linear_logits"])
    of_keras = forward_function(model)(ids)
    of_keras = np.hstack([1 - of_keras, of_keras]) if shape.outputs == 1 else of_keras
    assert np.abs(probabilities - of_keras).max() < 1e-5
    assert all(np.abs(one - other).max() < 1e-5 for one, other in zip(logits, parts, strict=True))


def test_an_ensemble_joins_a_linear_model_too() -> None:
    shape, limits, ids = SHAPES["two labels"], InputLimits(KNOWN, LONGEST, "start"), token_ids()
    options, first = build_network("bilstm", shape)
    _, second = build_network("bilstm", shape, seed=3)
    ensemble, linear = join([first, second], shape.activation), build_linear_part(shape)
    model = blend(ensemble, {"linear": linear}, WEIGHTS, limits=limits, activation=shape.activation)
    graph = onnx_model(options, shape, model, limits=limits)
    assert rewrite_onnx_model(shape, *read_graph(graph), limits=limits) == graph
    [probabilities] = run_graph(graph, ids, ["probabilities"])
    assert np.abs(probabilities[:, 1:] - forward_function(model)(ids)).max() < 1e-5


def test_a_blend_is_no_network_and_a_network_no_blend() -> None:
    shape, limits = SHAPES["two labels"], InputLimits(KNOWN, LONGEST, "start")
    options, network = build_network("bilstm", shape)
    blended = blend(network, {"linear": build_linear_part(shape)}, WEIGHTS, limits=limits, activation=shape.activation)
    graph = onnx_model(options, shape._replace(vocabulary=KNOWN), network)
    with pytest.raises(ForeignGraph, match="its blend is '', none of linear"):
        rewrite_onnx_model(shape, *read_graph(graph), limits=limits)
    graph = onnx_model(options, shape, blended, limits=limits)
    assert rewrite_onnx_model(shape._replace(vocabulary=KNOWN), *read_graph(graph)) != graph


# The weights of the parts


def test_the_weights_follow_the_better_part_where_rows_are_many() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(2, size=4000)
    good = np.where(targets == 1, 2.0, -2.0)[:, None] + rng.normal(0, 2, (4000, 1))
    noise = rng.normal(0, 2, (4000, 1))
    # logits drawn around -2 and 2 with variance 4 are calibrated as they are
    assert fit_blend([good, noise], targets) == pytest.approx([1, 0], abs=0.1)


def test_the_weights_stay_near_equal_ones_where_rows_are_few() -> None:
    targets = np.array([0, 1, 0, 1])
    good = np.array([[-5.0], [5.0], [-5.0], [5.0]])
    assert np.abs(np.array(fit_blend([good, -0.1 * good], targets)) - 0.5).max() < 0.1


def test_each_of_several_labels_counts_as_much_as_a_row_against_the_pull_to_equal_weights() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(2, size=(150, 28))
    good = np.where(targets == 1, 2.0, -2.0) + rng.normal(0, 2, targets.shape)
    noise = rng.normal(0, 2, targets.shape)
    assert fit_blend([good, noise], targets) == pytest.approx(
        fit_blend([good.reshape(-1, 1), noise.reshape(-1, 1)], targets.ravel()), abs=1e-4
    )


def test_a_long_text_is_computed_apart_from_many_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = SHAPES["more labels"]
    rng = np.random.default_rng(0)
    lengths = rng.permutation(np.append(rng.integers(1, 4, 200), 50))
    rows = TokenIds(rng.integers(1, WORDS, lengths.sum(), np.int32), lengths, lengths)
    widths = []

    def recording(token_ids: TokenIds, batch_size: int) -> Array:
        padded = _pad_batch(token_ids, batch_size)
        widths.append(padded.shape)
        return padded

    model = build_linear_part(shape)
    together = forward_function(model)(rows)
    monkeypatch.setattr("textclf.training.loop._pad_batch", recording)
    np.testing.assert_allclose(forward_function(model, tokens=400)(rows), together, atol=1e-6)
    assert widths[-1] == (1, 50)
    assert max(batch * width for batch, width in widths) <= 400


# A run


def read(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network of the run `reviews` without the linear model."""
    folder = tmp_path_factory.mktemp("alone")
    config = write_config(folder, "reviews")
    assert textclf("train", config, "--run", folder / "run", *overrides(*SMALL, ALONE)).exit_code == 0
    return folder / "run"


def test_a_blend_is_measured_beside_its_parts(reviews: Path, alone: Path) -> None:
    blended, single = read(reviews, "metrics.json"), read(alone, "metrics.json")
    linear = "tfidf_logistic_regression"
    for name, value in single["baselines"][linear].items():
        assert blended["baselines"][linear][name] == pytest.approx(value, abs=1e-5)  # as scikit-learn computes it
    calibrated = (
        "log_loss",
        "brier_score_loss",
        "expected_calibration_error",
    )  # the temperature of a part only softens
    for name, value in single["metrics"].items():
        if name not in calibrated:
            assert blended["baselines"]["network_alone"][name] == pytest.approx(value, abs=1e-5)
    assert set(blended["decision"]["blend"]) == {"network", "linear"}
    difference = blended["comparisons"]["network_alone"]["difference"]["accuracy"]
    assert difference == pytest.approx(blended["metrics"]["accuracy"] - single["metrics"]["accuracy"])


def test_the_last_line_says_what_joining_gains(reviews: Path) -> None:
    result = textclf("evaluate", "--run", reviews)
    assert result.stdout.splitlines()[-1] == (
        "The blend of network and linear model is ahead of the network alone by 7.5 points, which may be chance, and "
        "is ahead of the linear model alone by 2.5 points, which may be chance."
    )


def test_the_report_says_how_many_rows_only_one_has_right(reviews: Path) -> None:
    page = (reviews / "report.html").read_text(encoding="utf-8")
    assert "Against network alone: rows that only this model has right:" in page


@pytest.mark.parametrize(
    ("thresholds", "sentence"),
    [
        ({"a": 0.25, "b": 0.5}, "Each label is predicted from a probability of its own, 0.250 to 0.500."),
        ({"a": 0.5, "b": 0.5}, "Each label is predicted from a probability of 0.500."),
    ],
)
def test_the_thresholds_of_several_labels_are_told_in_one_sentence(thresholds: dict[str, float], sentence: str) -> None:
    document: Any = {"threshold": {"value": thresholds, "metrics_at_half": {}}}
    assert threshold_sentence(document) == sentence


def test_another_file_is_measured_with_the_parts_too(copy_run: CopyRun) -> None:
    result = textclf("evaluate", SAMPLES / "reviews.csv", "--run", copy_run("reviews"), "--json")
    assert list(json.loads(result.stdout)["baselines"]) == ["network_alone", "tfidf_logistic_regression"]


def test_the_linear_part_reads_what_the_network_does_not(tmp_path: Path) -> None:
    config = write_config(tmp_path, "reviews")
    settings = overrides(*SMALL, "text.max_length=3", "text.vocab_size=50")
    assert textclf("train", config, "--run", tmp_path / "run", *settings).exit_code == 0
    description = read(tmp_path / "run", "model/model.json")
    assert description["network_limits"] == {
        "vocabulary": 50, "max_length": 3, "truncate": "start", "first_piece": None
    }  # fmt: skip
    assert len(description["vocabulary"]) > 300
    classifier = load_classifier(tmp_path / "run")
    texts = ["awful boring terrible film that it was", "great lovely superb film that it was"]  # of one end
    probabilities, parts = classifier.part_probabilities(classifier.encode(texts))  # (2, 2)
    assert probabilities[0, 1] != probabilities[1, 1]
    assert parts["network"][0].tolist() == parts["network"][1].tolist()


@pytest.mark.parametrize("name", ["threshold", "part_thresholds.linear"])
def test_an_empty_list_is_no_threshold_of_two_labels(copy_run: CopyRun, name: str) -> None:
    path = copy_run("reviews") / "model" / "model.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document |= {"threshold": []} if name == "threshold" else {"part_thresholds": {"network": 0.5, "linear": []}}
    path.write_text(json.dumps({**document, "checksum": checksum(document)}), encoding="utf-8")
    with pytest.raises(UserError, match=f"is damaged: {name}: found a list of 0, need a number\\. Copy the folder"):
        load_classifier(path.parent)


def test_an_earlier_run_is_repeated_without_a_linear_part(alone: Path, tmp_path: Path) -> None:
    earlier = Path(shutil.copytree(alone, tmp_path / "earlier"))
    text = (earlier / "config.yaml").read_text(encoding="utf-8")
    (earlier / "config.yaml").write_text(text.replace("  blend: null\n", ""), encoding="utf-8")
    again = tmp_path / "again"
    assert textclf("train", earlier / "config.yaml", "--run", again).exit_code == 0
    assert (again / "model" / "model.onnx").read_bytes() == (alone / "model" / "model.onnx").read_bytes()
