"""Writes the table of options into README.md, between its markers: `python tests/readme_table.py`."""

from pathlib import Path

from textclf.config import option_rows

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- options -->\n", "<!-- /options -->"


def options_table() -> str:
    """Key, default and meaning of every option, as a Markdown table."""
    rows = [("key", "default", "meaning"), ("---", "---", "---")]
    rows += [(f"`{key}`", f"`{default}`" if default else "required", text) for key, default, text in option_rows()]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def with_table(readme: str) -> str:
    """The README with the current table between its markers."""
    before, _, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, f"README.md has no {BEGIN.strip()} before a {END}"
    return before + BEGIN + options_table() + END + after


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
