"""The section `tune` of a config: the search space, and its problems with their locations."""

import json
from pathlib import Path

import pytest
from conftest import SAMPLES, textclf

from textclf.config.load import load_config, load_saved_config
from textclf.tuning.search_space import Choice, Range, baseline_settings, load_space, with_settings

WRONG = {
    "  model.unit: [3]": "3:3: tune.model.unit: unknown key; did you mean 'units'?",
    "  model.units: [3, x, 0]": (
        '3:20: tune.model.units.1: should be a whole number, found "x"',
        "3:23: tune.model.units.2: should be greater than or equal to 1, found 0",
    ),
    "  model:\n    units: 3": "4:5: tune.model.units: should be a list of values, or low and high, found 3",
    "  model.units: []": "3:3: tune.model.units: is an empty list; give the values to try",
    "  model.hidden: [[3]]": "3:3: tune.model.hidden: belongs to type mlp; the type here is bilstm",
    "  units: [3]": ('3:3: tune.units: should be the dotted key of an option, such as model.units, found "units"'),
    "  data.test: [a.csv]": "3:3: tune.data.test: is not tuned: trials on other rows could not be compared",
    "  training.seed: [1, 2]": "3:3: tune.training.seed: is not tuned: a luckier seed is no better setting",
    "  model.pooling: {low: 1, high: 2}": (
        "3:19: tune.model.pooling.low: should be 'last', 'max', 'mean' or 'max_mean', found 1",
        "3:27: tune.model.pooling.high: should be 'last', 'max', 'mean' or 'max_mean', found 2",
    ),
    "  model.trainable_embedding: {low: false, high: true}": (
        "3:3: tune.model.trainable_embedding: is no number; give a list of values"
    ),
    "  model.units: {low: 8}": "3:3: tune.model.units: has no high; give low and high, or a list of values",
    "  model.units: {low: 8, high: 4}": "3:3: tune.model.units: low should be below high, found 8 and 4",
    "  model.units: {low: 8, high: 16, steps: 2}": (
        "3:35: tune.model.units.steps: unknown key; known: low, high, step, log"
    ),
    "  model.units: {low: 8, high: 16, step: 0.5}": (
        "3:35: tune.model.units.step: should be a whole number above 0, found 0.5"
    ),
    "  model.units: {low: 8, high: 16, step: 9}": (
        "3:35: tune.model.units.step: should be at most the way from low to high, found 9"
    ),
    "  model.dropout: {low: 0, high: 0.5, log: true}": (
        "3:19: tune.model.dropout.low: should be above 0 for log, found 0"
    ),
    "  model.dropout: {low: 0.1, high: 0.5, step: 0.1, log: true}": (
        "3:3: tune.model.dropout: has a step and log; choose one"
    ),
    "  model.dropout: {low: 0.1, high: 1.5}": "3:29: tune.model.dropout.high: should be less than 1, found 1.5",
    "  [model]": '2:1: tune: should be a section with keys, found ["model"]',
}


def config(folder: Path, *lines: str) -> Path:
    path = folder / "c.yaml"
    path.write_text("\n".join([f"data: {{train: {SAMPLES / 'reviews.csv'}}}", *lines]) + "\n")
    return path


@pytest.mark.parametrize("space", WRONG)
def test_problems_of_a_space_have_locations(space: str, tmp_path: Path) -> None:
    path = config(tmp_path, "tune:", space)
    expected = (WRONG[space],) if isinstance(WRONG[space], str) else WRONG[space]
    for command in ("tune", "check"):
        result = textclf(command, path)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.splitlines() == [f"{path}:{line}" for line in expected]


def test_problems_of_the_config_and_of_its_space_are_reported_together(tmp_path: Path) -> None:
    path = config(tmp_path, "tune:", "  model.hidden: [[3]]", "model: {units: x}")
    assert textclf("tune", path, "--set", "tune.model.units=[0]").stderr.splitlines() == [
        f'{path}:4:9: model.units: should be a whole number, found "x"',
        f"{path}:3:3: tune.model.hidden: belongs to type mlp; the type here is bilstm",
        "--set tune.model.units=[0]: tune.model.units.0: should be greater than or equal to 1, found 0",
    ]


def test_a_space_is_read_from_the_config(tmp_path: Path) -> None:
    path = config(
        tmp_path, "tune:", "  model: {units: [8, 16, 8]}", "  model.dropout: {low: 0, high: 0.6, step: 0.25}",
        "  training.learning_rate: {low: 1e-4, high: 1e-2, log: true}", "  text.max_length: {low: 10, high: 50}",
    )  # fmt: skip
    loaded, space = load_space(path)
    assert space == {
        "model.units": Choice([8, 16]),
        "model.dropout": Range(0.0, 0.5, step=0.25),
        "training.learning_rate": Range(1e-4, 1e-2, log=True),
        "text.max_length": Range(10, 50, integer=True),
    }
    settings = baseline_settings(loaded, space)
    assert settings == {
        "model.units": 64, "model.dropout": 0.5, "training.learning_rate": 0.001, "text.max_length": 100
    }  # fmt: skip
    assert [key for key, value in settings.items() if value in space[key]] == [
        "model.dropout",
        "training.learning_rate",
    ]


@pytest.mark.parametrize(("type_", "keys"), [
    ("bilstm", ["model.units", "model.pooling", "model.embedding_dropout", "model.dropout"]),
    ("mlp", ["model.ngrams", "model.hidden", "model.input_dropout", "model.dropout"]),
])  # fmt: skip
def test_each_architecture_has_a_default_space(type_: str, keys: list[str], tmp_path: Path) -> None:
    loaded, space = load_space(config(tmp_path), [f"model.type={type_}"])
    assert list(space) == [*keys, "training.learning_rate", "training.batch_size"]
    for key, candidates in space.items():
        given = candidates.as_config()
        for value in given if isinstance(given, list) else (given["low"], given["high"]):
            with_settings(loaded, {key: value})


def test_settings_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    space = "tune: {model.features: [tfidf, embedding]}"
    path = config(tmp_path, "model: {type: mlp, features: embedding, pretrained: v.txt}", space)
    (tmp_path / "v.txt").write_text("good " + " ".join(["0.1"] * 100) + "\n")
    result = textclf("check", path, "--set", f"model.pretrained={tmp_path}/v.txt")
    assert (result.exit_code, result.stderr.splitlines()) == (
        1, [f"{path}:3:25: tune.model.features.0: pretrained needs features: embedding, found tfidf"]
    )  # fmt: skip


def test_missing_word_vectors_are_reported(tmp_path: Path) -> None:
    path = config(tmp_path, "tune:", "  model.pretrained: [v.txt]", "  augment.synonyms: {low: 0, high: 0.5}")
    result = textclf("check", path)
    assert (result.exit_code, result.stderr.splitlines()) == (
        1,
        [
            f"{path}:3:3: tune.model.pretrained: no file 'v.txt' (looked in {Path.cwd()}).",
            f"{path}:4:3: tune.augment.synonyms: needs word vectors, whose neighbours they are. Set model.pretrained.",
        ],
    )


def test_train_ignores_the_space(tmp_path: Path) -> None:
    without = load_config(config(tmp_path))
    assert load_config(config(tmp_path, "tune: {model.units: [8]}")) == without
    assert load_saved_config(config(tmp_path, "tune: {model.units: [8]}")) == without


def test_the_json_schema_describes_the_space() -> None:
    described = json.loads(textclf("schema").stdout)["properties"]["tune"]
    assert described["additionalProperties"]["anyOf"][0] == {"type": "array", "minItems": 1}
