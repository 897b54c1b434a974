"""README.md of a run: the card of a model, for people and for hubs."""

import json
import re
from pathlib import Path

import pytest
import yaml
from conftest import QUICK, overrides, textclf

from textclf.text.language import guess_language

LIMITS = """\
- The scores are on validation rows, which also chose the best epoch and the thresholds: on other texts, expect a \
little less.
- # % of the tokens of the rows evaluated are unknown to the network.
- Weakest label: `negative`, with precision # and recall # on # rows.
- Weakest group by `tokens`: `#`, with accuracy # on # rows.
- Weakest group by `words unknown to the network`: `# %`, with accuracy # on # rows.
- Its probabilities are off by # points on average (expected calibration error).
"""


def card(run: Path) -> tuple[dict, str]:
    """Return the metadata of a run's card, and its text."""
    _, metadata, text = (run / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(metadata), text


def part(text: str, title: str) -> str:
    """Return what stands under a heading."""
    return text.split(f"## {title}\n\n")[1].split("\n## ")[0]


def test_the_metadata_are_those_of_a_hub(reviews: Path) -> None:
    metadata, _ = card(reviews)
    metrics = json.loads((reviews / "metrics.json").read_text(encoding="utf-8"))["metrics"]
    assert metadata == {
        "language": "en",
        "library_name": "keras",
        "pipeline_tag": "text-classification",
        "tags": ["textclf", "text-classification", "onnx"],
        "model-index": [
            {
                "name": "reviews",
                "results": [
                    {
                        "task": {"type": "text-classification", "name": "Text classification"},
                        "dataset": {"type": "csv", "name": "reviews.csv", "split": "validation"},
                        "metrics": [
                            {"type": "accuracy", "value": round(metrics["accuracy"], 4), "name": "Accuracy"},
                            {"type": "f1", "value": round(metrics["f1_macro"], 4), "name": "F1, macro"},
                            {"type": "roc_auc", "value": round(metrics["roc_auc"], 4), "name": "ROC AUC"},
                            {
                                "type": "matthews_correlation",
                                "value": round(metrics["matthews_corrcoef"], 4),
                                "name": "Matthews correlation",
                            },
                        ],
                    }
                ],
            }
        ],
    }


def test_the_licence_is_the_users_to_choose(reviews: Path) -> None:
    text = (reviews / "README.md").read_text(encoding="utf-8")
    assert "\n# license: apache-2.0  # yours to choose: report.license in the config\n---\n# `reviews`\n" in text


def test_the_limits_are_what_the_report_knows(reviews: Path) -> None:
    _, text = card(reviews)
    limits = re.sub(r"(over |up to )?\d[\d.]*( to \d+)?", "#", part(text, "Limits"))
    assert limits.startswith(LIMITS)
    assert all(line.startswith("- The checks of the data found, in ") for line in limits[len(LIMITS) :].splitlines())
    assert part(text, "Meant for").startswith(
        "Texts of the kind that it was trained on, in `reviews.csv` (360 rows). A text gets one of 2 labels: "
        "`negative`, `positive`.\n"
    )


def test_every_metric_of_the_report_is_there(reviews: Path) -> None:
    _, text = card(reviews)
    accuracy = json.loads((reviews / "metrics.json").read_text(encoding="utf-8"))["metrics"]["accuracy"]
    header, line, first, *others = part(text, "Metrics").split("\n\n", 1)[1].splitlines()
    assert header.startswith("| metric | blend | 95 % interval | majority class | ")
    assert line == "|---" * (header.count("|") - 1) + "|"
    assert first.startswith(f"| Accuracy | {accuracy:.4f} | ")
    assert {row.count(" |") for row in (first, *others)} == {header.count(" |")}


def test_hostile_names_are_code(tmp_path: Path) -> None:
    labels = ["`<b>`", "# |head|", "[a](b)"]
    rows = [f"{word} {number},{label}" for number in range(20) for word, label in zip("xyz", labels, strict=True)]
    (tmp_path / "`data`.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    config = tmp_path / "c.yaml"
    config.write_text(f"data: {{train: '{tmp_path / '`data`.csv'}', validation_split: 0.3}}\n", encoding="utf-8")
    result = textclf(
        "train", config, "--run", tmp_path / "- ---", *overrides(*QUICK, "training.epochs=1", "report.license=mit")
    )
    assert result.exit_code == 0, result.output
    metadata, text = card(tmp_path / "- ---")
    assert metadata["license"] == "mit"
    assert metadata["model-index"][0]["name"] == "- ---"
    assert "language" not in metadata
    assert text.startswith("# `- ---`\n")
    assert "one of 3 labels: `# |head|`, `[a](b)`, `` `<b>` ``.\n" in text


@pytest.mark.parametrize(
    ("words", "language"),
    [
        ("the a of and to film it", "en"),
        ("und der die film nicht ist", "de"),
        ("le film les des une dans", "fr"),
        ("jeg det har med til film", None),  # Danish or Norwegian
        ("film movie great", None),
        ("映画 は とても よい です", "ja"),
        ("酒 店 很 好 的 wifi", "zh"),
        ("이 영화 는 좋은", "ko"),
        ("η ταινία είναι καλή", "el"),
        ("и не что на это кино", "ru"),
        ("", None),
    ],
)
def test_the_language_is_guessed_where_it_is_clear(words: str, language: str | None) -> None:
    assert guess_language(words.split()) == language
