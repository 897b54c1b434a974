"""What the tests of `textclf init` share: rows of many columns, and ways to ask for the config."""

import csv
import random
from pathlib import Path
from typing import Any

import yaml
from conftest import textclf

Row = dict[str, Any]


def written(*arguments: str | Path) -> str:
    """The config that init prints."""
    result = textclf("init", *arguments, "--output", "-")
    assert result.exit_code == 0, result.output
    return result.stdout


def settings(*arguments: str | Path) -> dict[str, Any]:
    """The settings of the config that init prints, `section.key` to value."""
    document = yaml.safe_load(written(*arguments))
    return {f"{section}.{key}": value for section, keys in document.items() for key, value in keys.items()}


def columns(*arguments: str | Path) -> tuple[str, str]:
    """The columns of texts and labels that init takes."""
    found = settings(*arguments)
    return found["data.text"], found["data.label"]


def refusal(*arguments: str | Path) -> str:
    """What init says against a file, after exit code 1, having written nothing."""
    before = sorted(Path.cwd().iterdir())
    result = textclf("init", *arguments)
    assert (result.exit_code, result.stdout, sorted(Path.cwd().iterdir())) == (1, "", before)
    return result.stderr


def write_csv(name: str, rows: list[Row], delimiter: str = ",") -> None:
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def some_rows(count: int = 60) -> list[Row]:
    """Rows of many columns; `body` holds the texts."""
    rng = random.Random(1)
    words = "film plot phone bus cake hotel room good bad dull bright slow fresh loud".split()  # noqa: SIM905
    return [
        {
            "id": f"r{i:04}",
            "date": f"2024-{i % 12 + 1:02}-{i % 28 + 1:02} 10:00",
            "user": f"user{i % 20}",
            "title": f"{rng.choice(words)} {i}",
            "body": f"{i} {' '.join(rng.choices(words, k=6))}",
            "verified": "true" if i % 3 else "false",
            "stars": i % 5 + 1,
            "price": f"{i * 1.7:.2f}",
        }
        for i in range(count)
    ]


def only(rows: list[Row], *names: str) -> list[Row]:
    return [{name: row[name] for name in names} for row in rows]


# names that YAML reads as something else
HOSTILE = ["a: b", "# x", "'", '"', "a\nb", " lead", "yes", "null", "1", "- a", "[x", "a,b", "{", "*a", "!", "\x85"]
