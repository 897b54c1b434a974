"""explain: Shapley values of words, and the output of the command."""

import json
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import QUICK, ROOT, textclf, trained

from textclf.inference.classifier import NO_PROBE, Classifier, load_classifier
from textclf.inference.explain import MAX_GROUPS, Explanation, Word, explain, strongest_words
from textclf.inference.model_folder import Description
from textclf.text.encoding import RESERVED
from textclf.text.tokenizer import TextOptions

TEXT = "The staff were friendly but the room was zzyx and cold"
WORDS = ["a", "b", "c", "d", "e"]


def classifier_of(log_odds: Callable[[set[str]], float], **options: Any) -> Classifier:
    """Two labels, of which the second has the log-odds that a function gives for the words of a text."""

    def score(token_ids: Any, _lengths: Any, _outputs: Any) -> Any:
        texts = [{WORDS[token_id - RESERVED] for token_id in row if token_id >= RESERVED} for row in token_ids]
        second = (1 + np.tanh(np.array([log_odds(words) for words in texts]) / 2)) / 2  # the sigmoid
        return [np.stack([1 - second, second], axis=1)]

    return Classifier(Description(TextOptions(**options), WORDS, ["no", "yes"], None, "text", "label"), score, NO_PROBE)


def weights_of(classifier: Classifier, text: str, **options: Any) -> list[float]:
    [[explanation]] = explain(classifier, [text], "yes", **options)
    return [word.weight for word in explanation.words]


def test_words_that_only_add_up_keep_their_own_weights() -> None:
    own = {"a": 1.0, "b": -2.0, "c": 0.5, "d": 0.0}
    classifier = classifier_of(lambda words: sum(own[word] for word in words) - 0.25)
    [[explanation]] = explain(classifier, ["b d a c"], coalitions=0)
    assert explanation.label == "no"
    assert [word.word for word in explanation.words] == ["b", "d", "a", "c"]
    assert [word.weight for word in explanation.words] == pytest.approx([2.0, 0.0, -1.0, -0.5])
    assert (explanation.without_words, explanation.log_odds) == pytest.approx((0.25, 0.75))


def test_two_words_share_what_they_do_together() -> None:
    classifier = classifier_of(lambda words: 3.0 * ({"a", "b"} <= words))
    assert weights_of(classifier, "c a b", coalitions=0) == pytest.approx([0, 1.5, 1.5])


def test_weights_are_near_the_mean_over_all_orders() -> None:
    def log_odds(words: set[str]) -> float:
        return 2.0 * ({"a", "b", "c"} <= words) - 1.0 * ({"c", "d"} <= words) + ("e" in words) * len(words) ** 1.5

    expected = np.zeros(len(WORDS))
    orders = list(permutations(range(len(WORDS))))
    for order in orders:
        for position, word in enumerate(order):
            before = {WORDS[earlier] for earlier in order[:position]}
            expected[word] += (log_odds(before | {WORDS[word]}) - log_odds(before)) / len(orders)
    assert weights_of(classifier_of(log_odds), "a b c d e") == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("name", ["reviews", "questions", "topics", "bags"])
def test_the_weights_add_up_to_what_the_words_change(name: str, request: pytest.FixtureRequest) -> None:
    classifier = load_classifier(request.getfixturevalue(name))
    for label, probability in zip(classifier.labels, classifier.predict_proba([TEXT])[0], strict=True):
        [[explanation]] = explain(classifier, [TEXT], label, coalitions=100)
        assert explanation.probability == pytest.approx(probability, abs=1e-6)
        assert 1 / (1 + np.exp(-explanation.log_odds)) == pytest.approx(probability, abs=1e-6)
        total = sum(word.weight for word in explanation.words)
        assert total == pytest.approx(explanation.log_odds - explanation.without_words, abs=1e-9)
        assert [word.word for word in explanation.words] == TEXT.lower().split()
        assert [word.word for word in explanation.words if not word.known].count("zzyx") == 1


@pytest.mark.parametrize("clean", [[], ["html"]])
@pytest.mark.parametrize("truncate", ["start", "end"])
def test_characters_are_explained_as_words_are(clean: list[str], truncate: str) -> None:
    classifier = classifier_of(len, tokenizer="char", clean=clean, truncate=truncate, max_length=5)
    [[explanation]] = explain(classifier, ["&lt;a&gt; b"])
    full = ["&", "l", "t", ";", "a", "&", "g", "t", ";", " ", "b"] if not clean else ["<", "a", ">", " ", "b"]
    kept = full[-5:] if truncate == "start" else full[:5]
    assert [word.word for word in explanation.words] == kept
    assert explanation.cut == len(full) - 5
    total = sum(word.weight for word in explanation.words)
    assert total == pytest.approx(explanation.log_odds - explanation.without_words, abs=1e-9)


def test_a_certain_label_has_finite_log_odds() -> None:
    [[explanation]] = explain(classifier_of(lambda words: 999.0 * len(words) - 300), ["a b"])
    assert explanation.log_odds == pytest.approx(24 * np.log(2), abs=1e-6)
    assert [word.weight for word in explanation.words] == pytest.approx([explanation.log_odds] * 2)


def test_neighbours_in_a_long_text_share_a_weight() -> None:
    classifier = classifier_of(lambda words: 4.0 * ("a" in words), max_length=1000)
    [[explanation]] = explain(classifier, [" ".join(["b"] * MAX_GROUPS + ["a"] + ["b"] * (2 * MAX_GROUPS - 1))])
    group = [index for index, word in enumerate(explanation.words) if word.weight]
    assert group == list(range(MAX_GROUPS - 1, MAX_GROUPS + 2))
    assert [explanation.words[index].weight for index in group] == pytest.approx([4 / 3] * 3)


def test_a_text_is_explained_the_same_whatever_stands_beside_it(questions: Path) -> None:
    classifier = load_classifier(questions)
    texts = ["Who wrote it?", "", "Where is the river?"] * 8
    for together, text in zip(explain(classifier, texts, coalitions=50), texts, strict=True):
        [alone] = explain(classifier, [text], coalitions=50)
        assert [each.label for each in together] == [each.label for each in alone]
        for one, other in zip(together, alone, strict=True):
            assert [word.weight for word in one.words] == pytest.approx([word.weight for word in other.words], abs=1e-4)


def test_jsonl_is_an_object_a_line(reviews: Path) -> None:
    result = textclf("explain", "--run", reviews, "--format", "jsonl", stdin="cold room\n\nfriendly <b>staff</b>\n")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.exit_code, result.stderr) == (0, "")
    assert [(row["row"], row["text"]) for row in rows] == [(0, "cold room"), (1, ""), (2, "friendly <b>staff</b>")]
    words = [[word["word"] for word in row["explanations"][0]["words"]] for row in rows]
    assert words == [["cold", "room"], [""], ["friendly", "staff"]]
    [empty] = rows[1]["explanations"]
    assert empty["words"] == [{"word": "", "weight": 0.0, "known": False}]
    assert empty["log_odds"] == empty["without_words"]
    assert list(empty) == ["label", "probability", "words", "log_odds", "without_words", "cut"]


def test_the_terminal_shows_words_weights_and_sum(reviews: Path) -> None:
    (explanation,) = json.loads(textclf("explain", "cold room", "--run", reviews, "--json").stdout)["explanations"]
    weights = sorted(explanation["words"], key=lambda word: -abs(word["weight"]))
    gained = explanation["log_odds"] - explanation["without_words"]
    assert textclf("explain", "cold room", "--run", reviews).stdout == (
        f"{explanation['label']}  {explanation['probability']:.4f}\n"
        "  cold room\n"
        f"  {weights[0]['weight']:+.2f} {weights[0]['word']}  {weights[1]['weight']:+.2f} {weights[1]['word']}\n"
        f"  words {gained:+.2f}, without them {explanation['without_words']:+.2f}: "
        f"log-odds {explanation['log_odds']:+.2f}\n\n"
    )


def test_a_label_of_choice_is_explained_and_an_unknown_one_refused(questions: Path) -> None:
    explained = json.loads(textclf("explain", "When?", "--run", questions, "--label", "place", "--json").stdout)
    assert [each["label"] for each in explained["explanations"]] == ["place"]
    result = textclf("explain", "When?", "--run", questions, "--label", "colour")
    expected = "--label colour: the model does not know it; it knows: number, person, place, time.\n"
    assert (result.exit_code, result.stderr) == (1, expected)


def test_several_labels_are_explained_one_by_one(topics: Path) -> None:
    classifier = load_classifier(topics)
    texts = ["the goal decided the match", "the bank raised interest rates", "a new film about a football club", ""]
    given = [label.split("|") for label in classifier.decide(classifier.predict_proba(texts))[0]]
    explained = [[each.label for each in explanations] for explanations in explain(classifier, texts, coalitions=0)]
    for labels, expected in zip(explained, given, strict=True):
        assert labels == expected or (expected == [""] and len(labels) == 1)


def test_what_was_cut_off_is_said(tmp_path: Path) -> None:
    run = trained(tmp_path, "reviews", "text.max_length=3", "training.epochs=1", "report.baseline=false", network=QUICK)
    assert "; 2 tokens cut off\n" in textclf("explain", "one two three four five", "--run", run).stdout


def test_the_name_of_a_file_is_explained_with_a_word_on_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.txt").write_text("bad\n")
    result = textclf("explain", "good.txt", "--run", ROOT / "tests" / "frozen" / "format_2" / "reviews", "--json")
    expected = "explaining the words of the name good.txt; for the lines of the file: textclf explain - < good.txt\n"
    assert (result.exit_code, result.stderr, json.loads(result.stdout)["text"]) == (0, expected, "good.txt")


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
        return Explanation("good", 0.9, [Word(word, weight, True) for word, weight in words], 1.0, 0.0, 0)

    texts = [
        explanation(("fine", 1.0), ("tea", 0.5), ("tea", 0.5), ("bad", -1.0)),
        explanation(("fine", 3.0), ("tea", 0.0)),
        explanation(("bad", -1.0), ("once", 9.0)),
    ]
    assert strongest_words(texts) == {
        "good": [{"word": "fine", "weight": 2.0, "texts": 2}, {"word": "tea", "weight": 0.5, "texts": 2}]
    }
