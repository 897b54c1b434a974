"""What is generated from the options: the JSON schema, and the README's table."""

import dataclasses
import json

import readme_table
from conftest import textclf

from textclf.config import Config, option_rows


def test_every_option_has_a_help_text() -> None:
    assert [key for key, _, text in option_rows() if not text] == []
    assert [section.name for section in dataclasses.fields(Config) if not section.metadata["description"]] == []


def test_the_json_schema_has_every_option_with_its_default_and_no_other() -> None:
    result = textclf("schema")
    schema = json.loads(result.stdout)
    assert (result.exit_code, result.stderr, schema["required"]) == (0, "", ["data"])
    rows = []
    for section, reference in schema["properties"].items():
        described = schema["$defs"][reference["$ref"].rpartition("/")[2]]
        assert described["additionalProperties"] is False
        for key, option in described["properties"].items():
            default = json.dumps(option["default"]) if "default" in option else None
            rows.append((f"{section}.{key}", default, option["description"]))
    # pydantic leaves out a default that is made anew for each config: a list
    assert [(k, d, text) for k, d, text in rows if d] == [
        (key, default, text) for key, default, text in option_rows() if default not in ("", "[]", '["html"]')
    ]
    assert [key for key, default, _ in rows if default is None] == ["data.train", "text.clean", "report.slices"]


def test_the_json_schema_knows_types_choices_and_ranges() -> None:
    definitions = json.loads(textclf("schema").stdout)["$defs"]
    text, train = definitions["TextOptions"]["properties"], definitions["DataOptions"]["properties"]["train"]
    assert train["anyOf"] == [{"type": "string"}, {"items": {"type": "string"}, "type": "array"}]
    assert text["truncate"]["enum"] == ["start", "end"]
    assert (text["min_count"]["type"], text["min_count"]["minimum"]) == ("integer", 1)


def test_the_readme_has_the_current_tables() -> None:
    readme = readme_table.README.read_text(encoding="utf-8")
    assert readme == readme_table.with_tables(readme), "run: python tests/readme_table.py"
