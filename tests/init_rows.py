"""Helpers for the tests of `textclf init`: rows with many columns, and the config that init prints for them."""

import csv
import random
from pathlib import Path
from typing import Any

import yaml
from conftest import textclf

Row = dict[str, Any]


def printed_config(*arguments: str | Path) -> str:
    """Return the config that init prints."""
    result = textclf("init", *arguments, "--output", "-")
    assert result.exit_code == 0, result.output
    return result.stdout


def printed_settings(*arguments: str | Path) -> dict[str, Any]:
    """Return the settings of the config that init prints, by their dotted keys."""
    document = yaml.safe_load(printed_config(*arguments))
    return {f"{section}.{key}": value for section, keys in document.items() for key, value in keys.items()}


def chosen_columns(*arguments: str | Path) -> tuple[str, str]:
    """Return the columns of texts and labels that init chooses."""
    settings = printed_settings(*arguments)
    return settings["data.text"], settings["data.label"]


def refusal(*arguments: str | Path) -> str:
    """Return what init prints on stderr about a file, after exit code 1 and without a file written."""
    before = sorted(Path.cwd().iterdir())
    result = textclf("init", *arguments)
    assert (result.exit_code, result.stdout, sorted(Path.cwd().iterdir())) == (1, "", before)
    return result.stderr


def write_csv(name: str, rows: list[Row], delimiter: str = ",") -> None:
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def make_rows(count: int = 60) -> list[Row]:
    """Return rows with many columns; `body` holds the texts."""
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


def select(rows: list[Row], *names: str) -> list[Row]:
    return [{name: row[name] for name in names} for row in rows]


# names that YAML would read as something else
HOSTILE = ["a: b", "# x", "'", '"', "a\nb", "trail ", "yes", "null", "1", "- a", "[x", "a,b", "{", "*a", "!", "\x85"]
