"""Problems that check finds in data, and how train shows them."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import QUICK, overrides, textclf

TEXTS = [f"{word} {thing} number {number}" for number in range(30) for word, thing in (("good", "tea"), ("bad", "inn"))]
ROWS = [(text, "pos" if text.startswith("good") else "neg") for text in TEXTS]


def table(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in rows), encoding="utf-8")
    return path


def findings(folder: Path, train: list[tuple[str, str]], *settings: str, test: Any = None) -> dict[str, dict[str, Any]]:
    """Each finding of check by what it is and of which rows."""
    config = folder / "c.yaml"
    config.write_text(f"data:\n  train: {table(folder / 'train.csv', train)}\n  validation_split: 0.2\n")
    if test:
        settings = (*settings, f"data.test={table(folder / 'test.csv', test)}")
    result = textclf("check", config, "--json", *overrides(*settings))
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["findings"]
    return {f"{each['check']}, {each['part']}": each for each in found}


def test_sound_data_have_no_finding(tmp_path: Path) -> None:
    assert findings(tmp_path, ROWS) == {}


def test_texts_that_come_again_are_counted_to_the_letter_and_nearly(tmp_path: Path) -> None:
    train = [("Once more, with feeling!", "pos")] * 2 + [("once more with  FEELING", "pos")] + ROWS
    found = findings(tmp_path, train, "training.seed=3")
    finding = next(each for name, each in found.items() if name.startswith("duplicates"))
    assert finding["count"] == 2
    assert finding["what"] == "2 rows repeat the text of an earlier one, 1 of them to the letter"
    assert finding["examples"] == [
        {"row": 1, "label": "pos", "text": "Once more, with feeling!"},
        {"row": 2, "label": "pos", "text": "once more with  FEELING"},
    ]


def test_a_text_under_two_labels_is_shown_with_both(tmp_path: Path) -> None:
    found = findings(tmp_path, [("so so", "pos"), *ROWS, ("So so.", "neg")])
    finding = next(each for name, each in found.items() if name.startswith("conflicting labels"))
    assert finding["what"] == "2 rows have a text that stands elsewhere under another label"
    assert [(each["row"], each["label"]) for each in finding["examples"]] == [(0, "pos"), (61, "neg")]


def test_test_texts_that_training_saw_are_found(tmp_path: Path) -> None:
    test = [ROWS[0], (ROWS[1][0].upper() + "!", "neg"), ("new words", "neg")]
    finding = findings(tmp_path, ROWS, test=test)["seen in training, test"]
    assert finding["what"] == "2 rows have a text that training saw too, 1 of them to the letter"
    assert [each["row"] for each in finding["examples"]] == [0, 1]


def test_a_row_without_words_and_a_rare_label_are_found(tmp_path: Path) -> None:
    found = findings(tmp_path, [*ROWS, ("  ", "pos"), ("odd one", "odd"), ("odd two", "odd")])
    assert found["empty texts, train"]["count"] == 1
    assert found["rare labels, train"]["what"].startswith("1 labels have fewer than 10 rows: odd (")


def test_labels_that_lose_much_to_the_cut_are_named(tmp_path: Path) -> None:
    long = [(f"{text} and so on and on and on", label) if label == "neg" else (text, label) for text, label in ROWS]
    finding = findings(tmp_path, long, "text.max_length=4")["cut texts, train"]
    assert finding["what"] == "1 labels lose more than 5 % of their words where the network cuts texts: neg (64 %)"
    assert finding["advice"] == "Raise text.max_length (4), or see whether the start of a text is what can go."


def test_a_word_that_gives_a_label_away_is_named(tmp_path: Path) -> None:
    train = [(f"{text} zzz" if label == "neg" else text, label) for text, label in 2 * ROWS]
    train = [(f"{text} {number}", label) for number, (text, label) in enumerate(train)]
    finding = findings(tmp_path, train)["telling words, train"]
    assert "'zzz' for neg" in finding["what"]


def test_unknown_words_are_said_of_the_file_that_has_them(tmp_path: Path) -> None:
    finding = findings(tmp_path, ROWS, test=[("wholly other vocabulary", "pos")])["unknown words, test"]
    assert finding["what"] == "100.0 % of the words are unknown to the network"
    assert finding["advice"] == "Add training rows, or name word vectors in model.pretrained."


def test_a_column_of_ids_is_no_label(tmp_path: Path) -> None:
    ids = [(text, f"{number // 2:03}") for number, (text, _) in enumerate(ROWS)]
    finding = findings(tmp_path, [*ids, *((f"only {text}", f"x{text}") for text, _ in ROWS)])[
        "labels like an id, train"
    ]
    assert finding["advice"] == "Is data.label the right column?"


@pytest.mark.parametrize("texts", [True, False])
def test_train_shows_the_score_without_texts_that_it_saw(texts: bool, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    test = [*ROWS[:10], *((f"{text} anew", label) for text, label in ROWS[10:30])]
    files = table(tmp_path / "train.csv", ROWS), table(tmp_path / "test.csv", test)
    config.write_text(f"data: {{train: {files[0]}, test: {files[1]}}}\nreport: {{texts: {str(texts).lower()}}}\n")
    result = textclf("train", config, "--run", tmp_path / "run", "--json", *overrides(*QUICK, "training.epochs=1"))
    document = json.loads(result.stdout)
    assert document["without_seen"]["rows"] == 20
    finding = next(each for each in document["checks"] if each["check"] == "seen in training")
    assert (finding["count"], finding["rows"], len(finding["examples"])) == (10, [0, 1, 2], 3 if texts else 0)
    assert "warning: test, seen in training: 10 rows have a text that training saw too" in result.stderr


def test_no_text_is_in_any_file_of_a_private_run(tmp_path: Path) -> None:
    secret = [(f"{text} by Mrs Quellenhof", label) for text, label in ROWS]
    config = tmp_path / "c.yaml"
    config.write_text(
        f"data: {{train: {table(tmp_path / 'train.csv', secret + secret[:5])}}}\nreport: {{texts: false}}\n"
    )
    settings = (*QUICK, "training.epochs=1", "text.min_count=100")
    run = tmp_path / "run"
    assert textclf("train", config, "--run", run, *overrides(*settings)).exit_code == 1  # no word is left
    settings = (*QUICK, "training.epochs=1", "report.suspects=true")
    assert textclf("train", config, "--run", run, *overrides(*settings)).exit_code == 0
    for path in (path for path in run.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not [text for text, _ in secret if text.encode() in content], path
        # the vocabulary, which predicting needs, is all that holds words
        assert b"quellenhof" not in content.lower() or path.name == "model.json", path
    assert not (run / "samples.json").exists()
    model = json.loads((run / "model" / "model.json").read_text(encoding="utf-8"))
    kept = {" ".join(model["vocabulary"][number - 2] for number in row) for row in model["probe"]["token_ids"]}
    assert kept.isdisjoint(text.lower() for text, _ in secret)
    assert textclf("check", run).exit_code == 0


def test_html_that_is_dropped_is_counted(tmp_path: Path) -> None:
    texts = ["List<Customer> to Map<Order>", "a <b and c> d", "<b>one</b><br/>", "<!-- x -->&amp;"]
    table(
        tmp_path / "rows.csv", [(f"{text} {number}", label) for number in range(10) for text in texts for label in "pn"]
    )
    config = tmp_path / "c.yaml"
    config.write_text(f"data: {{train: {tmp_path / 'rows.csv'}, validation: {tmp_path / 'rows.csv'}}}")
    document = json.loads(textclf("check", config, "--json").stdout)
    assert document["html"] == {
        "characters": 20 * (12 + 10), "share_of_characters": pytest.approx(20 * 22 / (20 * (28 + 13 + 15 + 15 + 8))),
        "texts": 40, "share_of_texts": 0.5, "tags": {"b": 40, "br": 20, "!--": 20},
    }  # fmt: skip
    assert textclf("check", config).stdout.splitlines()[9:12] == [
        "texts with HTML tags, which are dropped           40 (50.0 %)",
        "characters dropped with them                     440 (27.8 %)",
        "most of them                              40 b, 20 br, 20 !--",
    ]


def test_without_html_there_is_nothing_to_tell(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(f"data: {{train: {table(tmp_path / 'rows.csv', ROWS)}}}")
    assert "HTML" not in textclf("check", config).stdout
    assert "html" not in json.loads(textclf("check", config, "--json", "--set", "text.clean=[url]").stdout)
