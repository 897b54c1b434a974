"""The JSON schema of the config, which is generated from the options."""

import dataclasses
import json

import generate
from conftest import textclf

from textclf.config.schema import Config, option_rows
from textclf.models.registry import MODELS


def test_every_option_has_a_help_text() -> None:
    assert [row.key for row in option_rows() if not row.help] == []
    assert [section.name for section in dataclasses.fields(Config) if not section.metadata["description"]] == []


def test_the_json_schema_has_every_option_with_its_default_and_no_other() -> None:
    result = textclf("schema")
    schema = json.loads(result.stdout)
    assert (result.exit_code, result.stderr, schema["required"]) == (0, "", ["data"])
    rows = []
    del schema["properties"]["tune"]  # its keys are the names of options
    for section in schema["properties"]:
        for section_type, options in generate.described_types(schema, section).items():
            assert options["additionalProperties"] is False
            for key, option in options["properties"].items():
                default = json.dumps(option["default"]) if "default" in option else None
                rows.append((f"{section}.{key}", default, option["description"], section_type))
    # pydantic leaves out the defaults that a factory returns: lists
    assert [row for row in rows if row[1]] == [row for row in option_rows() if row.default[:1] not in ("", "[")]
    assert [key for key, default, *_ in rows if default is None] == [
        "data.train", "text.clean", "model.type", "model.hidden", "model.type", "model.encoder", "report.slices"
    ]  # fmt: skip


def test_the_json_schema_knows_types_choices_and_ranges() -> None:
    definitions = json.loads(textclf("schema").stdout)["$defs"]
    text, train = definitions["TextOptions"]["properties"], definitions["DataOptions"]["properties"]["train"]
    assert train["anyOf"] == [{"type": "string"}, {"items": {"type": "string"}, "type": "array"}]
    assert text["truncate"]["enum"] == ["start", "end"]
    assert (text["min_count"]["type"], text["min_count"]["minimum"]) == ("integer", 1)


def test_an_editor_tells_the_types_of_a_section_apart() -> None:
    schema = json.loads(textclf("schema").stdout)
    types = generate.described_types(schema, "model")
    assert [options["properties"]["type"]["const"] for options in types.values()] == list(types) == list(MODELS)
    # only the default type may be left out: a section without a type could be of any
    assert ["type" in options.get("required", []) for options in types.values()] == [False, True, True]
