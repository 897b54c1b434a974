"""Word vectors that `textclf init` finds: how many words each file has, and that the best is set."""

import json
from pathlib import Path

import pytest
from conftest import SAMPLES, overrides, textclf

from textclf.config.load import load_config
from textclf.config.suggest import recurring_words


def words_of_reviews() -> list[str]:
    lines = (SAMPLES / "reviews.csv").read_text(encoding="utf-8").splitlines()[1:]
    return recurring_words([line.rpartition(",")[0].strip('"') for line in lines], "word")


def vector_file(path: Path, words: list[str], dimensions: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = " ".join(["0.5"] * dimensions)
    path.write_text("".join(f"{word} {numbers}\n" for word in words), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEXTCLF_VECTORS", raising=False)
    return tmp_path


def init(*options: str) -> tuple[str, list[str]]:
    result = textclf("init", SAMPLES / "reviews.csv", "--output", "c.yaml", *options)
    assert result.exit_code == 0, result.output
    return Path("c.yaml").read_text(encoding="utf-8"), result.stderr.splitlines()


def test_the_file_that_has_most_words_is_set_and_trains(folder: Path) -> None:
    words = words_of_reviews()
    vector_file(folder / "data/vectors/best.vec", words)
    vector_file(folder / "data/vectors/half.txt", words[: len(words) // 2], dimensions=2)
    config, talk = init()
    lines = [" ".join(line.split()) for line in config.splitlines()]
    assert lines[lines.index("model:") + 1 :][:2] == [
        "embedding_dim: 3 # that of the word vectors",
        "pretrained: data/vectors/best.vec # has 100 % of the words that come at least twice; others: "
        "data/vectors/half.txt 50 %",
    ]
    assert "vocab_size: 30000 # with words that only the word vectors have" in lines
    assert "data/vectors/best.vec has 100 % of the words that come at least twice" in talk
    assert "data/vectors/half.txt has 50 % of the words that come at least twice" in talk
    result = textclf("train", "c.yaml", *overrides("training.epochs=1", "model.units=4"))
    assert result.exit_code == 0, result.output


def test_a_file_with_few_of_the_words_stays_a_hint(folder: Path) -> None:
    vector_file(folder / "data/vectors/few.txt", [*words_of_reviews()[:5], "other"])
    config, _ = init()
    [hint] = [line for line in config.splitlines() if "pretrained" in line]
    assert hint.endswith(
        "# data/vectors/few.txt has only 1 % of the words; if English: put such word vectors into data/vectors/ and "
        "run init again"
    )
    assert load_config(Path("c.yaml")).model.pretrained is None


@pytest.mark.parametrize("place", ["elsewhere", "elsewhere/best.any"])
def test_the_environment_names_a_folder_or_a_file(place: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "best.any" if place.endswith(".any") else "best.txt"
    vector_file(folder / "elsewhere" / name, words_of_reviews())
    monkeypatch.setenv("TEXTCLF_VECTORS", place)
    config, _ = init()
    assert f"  pretrained: elsewhere/{name}" in config


def test_what_cannot_be_read_is_said_and_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "data/vectors").mkdir(parents=True)
    (folder / "data/vectors/empty.txt").write_text("")
    monkeypatch.setenv("TEXTCLF_VECTORS", "nowhere")
    config, talk = init()
    assert "not used: data/vectors/empty.txt holds no word vectors." in talk
    assert not [line for line in config.splitlines() if line.startswith("  pretrained")]
    document = json.loads(textclf("init", SAMPLES / "reviews.csv", "--output", "d.yaml", "--json").stdout)
    assert [file["path"] for file in document["vectors"]] == ["data/vectors/empty.txt"]
