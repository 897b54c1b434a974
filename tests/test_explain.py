"""explain: the weights, against the network itself, and what the command prints."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import textclf, trained

from textclf.inference.classifier import load_classifier
from textclf.inference.explain import Explainer, Explanation, Word, strongest_words
from textclf.models.architecture import Differentiable, Shape
from textclf.models.bilstm.network import BilstmOptions
from textclf.models.ensemble import differentiable, onnx_model
from textclf.models.mlp.network import MlpOptions
from textclf.models.onnx.graph import read_graph
from textclf.models.registry import MODELS, logits_model
from textclf.text.encoding import TokenIds
from textclf.training.loop import forward_function

TEXT = "The staff were friendly but the room was zzyx and cold"
VARIANTS: dict[str, dict[str, Any]] = {
    "last": {"pooling": "last"},
    "max": {"pooling": "max"},
    "mean, two layers": {"pooling": "mean", "layers": 2},
    "max_mean": {"pooling": "max_mean"},
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(("outputs", "activation"), [(1, "sigmoid"), (3, "softmax")])
def test_the_gradient_is_tensorflows(name: str, outputs: int, activation: Any) -> None:
    import tensorflow as tf

    options = BilstmOptions(embedding_dim=5, units=4, **VARIANTS[name])
    shape = Shape(20, outputs, activation)
    network = MODELS["bilstm"].build(options, shape)
    found = in_numpy(options, shape, network)
    token_ids = np.array([[3, 7, 7, 2, 19, 5]], np.int32)
    direction = np.random.default_rng(0).normal(size=(1, outputs)).astype(np.float32)
    logits, back = found.forward(found.vectors(token_ids[0])[None])
    gradient = back(direction)
    logits_of = logits_model(network)
    with tf.GradientTape() as tape:
        expected = logits_of(tf.constant(token_ids))
        explained = tf.reduce_sum(expected * direction)
    # one row for each token, whether it comes again or not
    rows = tape.gradient(explained, network.get_layer("embedding").embeddings.value).values
    assert logits == pytest.approx(expected.numpy(), abs=1e-5)
    assert gradient.reshape(rows.shape) == pytest.approx(rows.numpy(), abs=1e-5)


@pytest.mark.parametrize("ngrams", [1, 2])
@pytest.mark.parametrize("features", ["count", "binary", "tfidf", "embedding"])
def test_the_vectors_of_a_bag_of_words_add_up_to_what_the_network_sees(features: Any, ngrams: int) -> None:
    options = MlpOptions(type="mlp", features=features, ngrams=ngrams, buckets=7, embedding_dim=5, hidden=[4, 3])
    shape = Shape(20, 3, "softmax")
    network = MODELS["mlp"].build(options, shape)
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(0, 0.7, weight.shape) for weight in network.get_weights()])
    found = in_numpy(options, shape, network)
    token_ids = np.array([3, 7, 7, 2, 19, 7])
    vectors = found.vectors(token_ids)[None].astype(np.float64)
    direction = rng.normal(size=(1, 3))
    logits, back = found.forward(vectors)
    gradient = back(direction)
    lengths = np.array([len(token_ids)])
    expected = forward_function(logits_model(network))(TokenIds(token_ids, lengths, lengths))
    assert logits == pytest.approx(expected, abs=1e-5)
    for word in range(len(token_ids)):
        nudged = vectors.copy()
        nudged[0, word] += 1e-6
        change = found.forward(nudged)[0] - logits
        assert gradient[0, word].sum() == pytest.approx((change * direction).sum() / 1e-6, abs=1e-4)


def in_numpy(options: Any, shape: Shape, network: Any) -> Differentiable:
    """The network in NumPy, from its ONNX graph."""
    return differentiable(*read_graph(onnx_model(options, shape, network)))


@pytest.mark.parametrize("name", ["reviews", "questions", "topics", "bags"])
def test_the_weights_add_up_to_what_the_words_change(name: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(name)
    classifier = load_classifier(run)
    explainer = Explainer(classifier, run)
    for label, share in zip(classifier.labels, classifier.predict_proba([TEXT])[0], strict=True):
        ((found,),) = explainer.explain([TEXT], label)
        assert found.probability == pytest.approx(share)
        assert 1 / (1 + np.exp(-found.log_odds)) == pytest.approx(share, abs=1e-5)
        total = sum(word.weight for word in found.words)
        assert total == pytest.approx(found.log_odds - found.without_words, abs=found.missed + 1e-6)
        assert found.missed <= max(0.01, 0.01 * abs(found.log_odds - found.without_words))
        assert [word.word for word in found.words] == TEXT.lower().split()
        assert [word.word for word in found.words if not word.known].count("zzyx") == 1


def test_jsonl_is_an_object_a_line(reviews: Path) -> None:
    result = textclf("explain", "--run", reviews, "--format", "jsonl", stdin="cold room\n\nfriendly <b>staff</b>\n")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.exit_code, result.stderr) == (0, "")
    assert [(row["row"], row["text"]) for row in rows] == [(0, "cold room"), (1, ""), (2, "friendly <b>staff</b>")]
    words = [[word["word"] for word in row["explanations"][0]["words"]] for row in rows]
    assert words == [["cold", "room"], [""], ["friendly", "staff"]]
    assert list(rows[0]["explanations"][0]) == [
        "label", "probability", "words", "log_odds", "without_words", "missed", "cut",
    ]  # fmt: skip


def test_the_terminal_shows_words_weights_and_sum(reviews: Path) -> None:
    (found,) = json.loads(textclf("explain", "cold room", "--run", reviews, "--json").stdout)["explanations"]
    weights = sorted(found["words"], key=lambda word: -abs(word["weight"]))
    gained = found["log_odds"] - found["without_words"]
    assert textclf("explain", "cold room", "--run", reviews).stdout == (
        f"{found['label']}  {found['probability']:.4f}\n"
        "  cold room\n"
        f"  {weights[0]['weight']:+.2f} {weights[0]['word']}  {weights[1]['weight']:+.2f} {weights[1]['word']}\n"
        f"  words {gained:+.2f}, without them {found['without_words']:+.2f}: log-odds {found['log_odds']:+.2f}; "
        f"missed {found['missed']:.3f}\n\n"
    )


def test_a_label_of_choice_is_explained_and_an_unknown_one_refused(questions: Path) -> None:
    found = json.loads(textclf("explain", "When?", "--run", questions, "--label", "place", "--json").stdout)
    assert [each["label"] for each in found["explanations"]] == ["place"]
    result = textclf("explain", "When?", "--run", questions, "--label", "colour")
    expected = "--label colour: the model does not know it; it knows: number, person, place, time.\n"
    assert (result.exit_code, result.stderr) == (1, expected)


def test_what_was_cut_off_is_said(tmp_path: Path) -> None:
    run = trained(tmp_path, "reviews", "text.max_length=3", "training.epochs=1", "report.baseline=false")
    assert "; 2 tokens cut off\n" in textclf("explain", "one two three four five", "--run", run).stdout


def test_hostile_text_is_shown_as_text(reviews: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    text = "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7*7 }} bad\x1b[31m \u202e"
    assert textclf("explain", text, "--run", reviews / "model", "-f", "html", "-o", page).exit_code == 0
    written = page.read_text(encoding="utf-8")
    assert "<script" not in written
    assert "49" not in written.partition("</style>")[2]
    assert "\x1b" not in textclf("explain", text, "--run", reviews).stdout


def test_the_words_of_a_label_are_those_with_the_largest_mean() -> None:
    def explanation(*words: tuple[str, float]) -> Explanation:
        return Explanation("good", 0.9, [Word(word, weight, True) for word, weight in words], 1.0, 0.0, 0.0, 0)

    texts = [
        explanation(("fine", 1.0), ("tea", 0.5), ("tea", 0.5), ("bad", -1.0)),
        explanation(("fine", 3.0), ("tea", 0.0)),
        explanation(("bad", -1.0), ("once", 9.0)),
    ]
    found = strongest_words(texts)
    assert found == {"good": [{"word": "fine", "weight": 2.0, "texts": 2}, {"word": "tea", "weight": 0.5, "texts": 2}]}
