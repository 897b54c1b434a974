"""The report: whole, offline, and safe to open whatever the data hold."""

import csv
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import QUICK, CopyRun, overrides, textclf, write_config

pytestmark = pytest.mark.plots
HOSTILE = ["<script>alert(1)</script>", "</svg>{{ 7*7 }}", "$x^{\u202e\x07"]


@pytest.fixture(scope="module")
def reviews(copy_run: CopyRun) -> Path:
    """The run with two labels as it was trained, with all plots: other tests draw reports without them."""
    return copy_run("reviews")


@pytest.fixture(scope="module")
def questions(copy_run: CopyRun) -> Path:
    """The run with four labels as it was trained."""
    return copy_run("questions")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on labels, texts and a column that want to break out of the page."""
    folder = tmp_path_factory.mktemp("hostile")
    labels = dict(zip(("good", "bad", "odd"), HOSTILE, strict=True))
    rows = [
        f'"{HOSTILE[i % 3]} {word} {i}","{label}","{HOSTILE[i % 2]}"'
        for i in range(30)
        for word, label in labels.items()
    ]
    (folder / "<b>.csv").write_text("text,label,shop\n" + "\n".join(rows) + "\n", encoding="utf-8")
    config = folder / "c.yaml"
    config.write_text(f"data: {{train: {folder / '<b>.csv'}, validation_split: 0.5}}\nreport: {{slices: [shop]}}\n")
    result = textclf("train", config, "--run", folder / "<i>run", *overrides(*QUICK, "training.epochs=1"))
    assert result.exit_code == 0, result.output
    return folder / "<i>run"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attributes if name in ("href", "src")]


def test_hostile_data_show_as_text(hostile: Path) -> None:
    page = (hostile / "report.html").read_text(encoding="utf-8")
    reader = Tags()
    reader.feed(page)
    assert reader.tags.isdisjoint({"script", "i", "img", "link", "iframe"})
    assert page.count("<svg") == page.count("</svg>")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7*7 }}" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", page)


def test_the_page_needs_nothing_else(reviews: Path) -> None:
    page = (reviews / "report.html").read_text(encoding="utf-8")
    reader = Tags()
    reader.feed(page)
    assert all(link.startswith("#") for link in reader.links)
    assert "@import" not in page
    assert "url(http" not in page


@pytest.mark.parametrize("name", ["reviews", "questions", "topics", "hostile"])
def test_it_is_drawn_anew_from_the_other_files(name: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(name)
    assert textclf("evaluate", "--run", run).exit_code == 0  # other tests may have evaluated it under another name
    before = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    result = textclf("report", run)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"wrote {run}/report.html\n")
    assert (run / "report.html").read_bytes() == before


def test_every_drawing_can_be_read_out(questions: Path) -> None:
    page = (questions / "report.html").read_text(encoding="utf-8")
    titles = re.findall(r"<svg[^>]*>\s*<title[^>]*>([^<]+)</title>\s*<desc[^>]*>[^<]+</desc>", page)
    assert len(titles) == page.count("<svg") >= 9
    assert len(set(re.findall(r' id="([^"]*)"', page))) == len(re.findall(r' id="([^"]*)"', page))


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_learning_curve_marks_the_epoch_that_was_kept(seeds: int, tmp_path: Path) -> None:
    settings = (*QUICK, "training.learning_rate=5e-2", "training.epochs=5", "training.monitor=val_accuracy")
    config, run = write_config(tmp_path, "reviews"), tmp_path / "run"
    result = textclf("train", config, "--run", run, "--json", *overrides(*settings, f"training.seeds={seeds}"))
    document = json.loads(result.stdout)
    with (run / "history.csv").open(encoding="utf-8") as file:
        best_seed = str(document["seeds"]["best"] if seeds > 1 else 42)
        epochs = [epoch for epoch in csv.DictReader(file) if epoch["seed"] == best_seed]
    losses, accuracies = ([float(epoch[name]) for epoch in epochs] for name in ("val_loss", "val_accuracy"))
    kept = accuracies.index(max(accuracies))
    assert kept != losses.index(min(losses))
    assert document["validation"]["best_epoch"] == kept + 1
    assert (
        f'<desc id="learning-curves-desc">{len(epochs)} epochs. Epoch {kept + 1} was kept, with validation loss '
        f"{losses[kept]:.4f} and validation accuracy {accuracies[kept]:.4f}.</desc>"
    ) in (run / "report.html").read_text(encoding="utf-8")


def test_the_first_paragraph_is_plain(reviews: Path) -> None:
    page = (reviews / "report.html").read_text(encoding="utf-8")
    lead = re.search(r'<p class="lead">(.*?)</p>', page)
    assert re.fullmatch(
        r"The model gives \d+ of 40 texts their right label \([\d.]+ %\)\. On other texts of the same kind, expect "
        r"[\d.]+ to [\d.]+ %\. Always giving the most frequent label would be right in [\d.]+ %\. .*",
        lead[1],
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows finds no file there")
def test_a_file_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\n")
    result = textclf("report", tmp_path / "rows.csv")
    message = f"{tmp_path}/rows.csv is a file, no run. Name the folder of a run.\n"
    assert (result.exit_code, result.stderr) == (1, message)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    result = textclf("report", tmp_path)
    assert (result.exit_code, result.stderr) == (
        1,
        f"{tmp_path}/metrics.json is missing: {tmp_path} is no complete run.\n",
    )
