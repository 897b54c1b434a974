"""The config: every kind of mistake with its location, all at once; overrides; a dumped config loads again."""

import json
from pathlib import Path

import pytest
import yaml
from conftest import textclf

from textclf.config.load import dump_config, load_config, load_saved_config
from textclf.config.schema import Config, option_rows
from textclf.data.rows import DataOptions
from textclf.errors import UserError
from textclf.models.bilstm.network import BilstmOptions
from textclf.models.mlp.network import MlpOptions
from textclf.text.tokenizer import TextOptions

MINIMAL = "data: {train: rows.csv}\n"
MODEL_KEYS = (
    "type, blend, embedding_dim, pretrained, trainable_embedding, units, layers, pooling, embedding_dropout, dropout"
)  # fmt: skip
TRAIN_IS_MISSING = (
    "data.train: is missing; it names a .csv, .tsv, .jsonl (.ndjson, .json) or .parquet file, each also .gz; "
    "a list or a glob too"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a table of ten rows to train on."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"good {i},yes\nbad {i},no\n" for i in range(5))
    (tmp_path / "rows.csv").write_text("text,label\n" + rows)
    return tmp_path


def refusal(config: str | bytes, *arguments: str) -> str:
    """Return what `check` prints on stderr about a config, after exit code 1 and an empty stdout."""
    Path("c.yaml").write_bytes(config if isinstance(config, bytes) else config.encode())
    result = textclf("check", "c.yaml", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr


def load(config: str, *overrides: str) -> Config:
    Path("c.yaml").write_text(config, encoding="utf-8")
    return load_config(Path("c.yaml"), overrides)


def test_a_config_needs_nothing_but_data_train() -> None:
    assert load(MINIMAL) == Config(data=DataOptions(train="rows.csv"))


def test_a_section_that_holds_nothing_has_its_defaults() -> None:
    assert load(f"{MINIMAL}\nreport:\n  # baseline: false\n") == load(MINIMAL)


def test_labels_yes_and_no_stay_text() -> None:
    Path("c.yaml").write_text(MINIMAL)
    result = textclf("check", "c.yaml", "--json")
    assert (result.exit_code, json.loads(result.stdout)["labels"]) == (0, {"no": 4, "yes": 4})


MISTAKES = {
    "a misspelt key": ("model: {unit: 3}", "2:9: model.unit: unknown key; did you mean 'units'?"),
    "a key of another section": (
        "model: {batch_size: 3}",
        "2:9: model.batch_size: unknown key; did you mean 'training.batch_size'?",
    ),
    "a misspelt key of another section": (
        "model: {batchsize: 3}",
        "2:9: model.batchsize: unknown key; did you mean 'training.batch_size'?",
    ),
    "a key like no other": ("model: {zzz: 3}", f"2:9: model.zzz: unknown key; known: {MODEL_KEYS}"),
    "a key named like a type": ("model: {str: [3]}", f"2:9: model.str: unknown key; known: {MODEL_KEYS}"),
    "a number as key": ("model: {1: 3}", f"2:9: model.1: unknown key; known: {MODEL_KEYS}"),
    "a key that YAML 1.1 merges": ("model: {<<: 3}", f"2:9: model.<<: unknown key; known: {MODEL_KEYS}"),
    "a misspelt section": ("modle: {}", "2:1: modle: unknown key; did you mean 'model'?"),
    "a section like no other": (
        "zzz: {}",
        "2:1: zzz: unknown key; known: data, text, model, training, augment, decision, report, tune",
    ),
    "an option outside its section": ("units: 3", "2:1: units: unknown key; did you mean 'model.units'?"),
    "a dotted key": ("model.units: 3", "2:1: model.units: unknown key; write 'units' in the section 'model'"),
    "a type that there is not": (
        "model: {type: mpl, units: many}",
        "2:9: model.type: should be 'bilstm' or 'mlp' or 'encoder', found \"mpl\"; did you mean 'mlp'?",
    ),
    "a key of another type": (
        "model: {units: 3, type: mlp}",
        "2:9: model.units: belongs to type bilstm; the type here is mlp",
    ),
    "a key of a type that is not the default": (
        "model: {hidden: [3]}",
        "2:9: model.hidden: belongs to type mlp; the type here is bilstm",
    ),
    "a wrong value of a type": (
        "model: {type: mlp, hidden: [3, many]}",
        '2:32: model.hidden.1: should be a whole number, found "many"',
    ),
    "layers without units": (
        "model: {type: mlp, hidden: [0]}",
        "2:1: model: hidden should be a list of 1 to 4096 units per layer, found [0]",
    ),
    "word vectors for a bag of words": (
        "model: {type: mlp, pretrained: glove.txt}",
        "2:1: model: pretrained needs features: embedding, found tfidf",
    ),
    "a text for a whole number": (
        "model: {units: many}",
        '2:9: model.units: should be a whole number, found "many"',
    ),
    "a fraction for a whole number": ("model: {units: 1.5}", "2:9: model.units: should be a whole number, found 1.5"),
    "true for a whole number": ("model: {units: true}", "2:9: model.units: should be a whole number, found true"),
    "null for a whole number": ("model: {units: }", "2:9: model.units: should be a whole number, found null"),
    "a list for a whole number": ("model: {units: [3]}", "2:9: model.units: should be a whole number, found [3]"),
    "a text for a number": ("model: {dropout: half}", '2:9: model.dropout: should be a number, found "half"'),
    "a number for a text": ("data: {train: rows.csv, text: 3}", "1:25: data.text: should be text, found 3"),
    "yes for true": ("report: {baseline: yes}", '2:10: report.baseline: should be true or false, found "yes"'),
    "a date": ("text: {lowercase: 2024-01-01}", '2:8: text.lowercase: should be true or false, found "2024-01-01"'),
    "a text for a list": ("text: {clean: html}", '2:8: text.clean: should be a list, found "html"'),
    "a section for a text": ("data: {train: {a: 1}}", '1:8: data.train: should be text, found {"a": 1}'),
    "too small": ("model: {units: 0}", "2:9: model.units: should be greater than or equal to 1, found 0"),
    "too large": (
        "training: {seed: 2147483648}",
        "2:12: training.seed: should be less than or equal to 2147483647, found 2147483648",
    ),
    "the bound that is left out": ("model: {dropout: 1}", "2:9: model.dropout: should be less than 1, found 1"),
    "infinite": (
        "training: {learning_rate: .inf}",
        "2:12: training.learning_rate: should be less than or equal to 100, found Infinity",
    ),
    "not a number": (
        "training: {learning_rate: .nan}",
        "2:12: training.learning_rate: should be less than or equal to 100, found NaN",
    ),
    "5,000 digits": (
        f"training: {{seed: {'9' * 5000}}}",
        "2:12: training.seed: should be a whole number, found Infinity",
    ),
    "a choice that there is not": (
        "model: {pooling: min}",
        "2:9: model.pooling: should be 'last', 'max', 'mean' or 'max_mean', found \"min\"",
    ),
    "a choice in a list that there is not": (
        "text: {clean: [html, css]}",
        "2:22: text.clean.1: should be 'html', 'nfkc', 'url', 'email', 'number' or 'accents', found \"css\"",
    ),
    "an empty text": (
        "data: {train: rows.csv, label_separator: ''}",
        "1:25: data.label_separator: is empty; put a mark such as | in quotes",
    ),
    "a section that is a list": ("model: [3]", "2:1: model: should be a section with keys, found [3]"),
    "data that are no section": ("data: rows.csv", '1:1: data: should be a section with keys, found "rows.csv"'),
    "items of a list of files": ("data: {train: [3]}", "1:16: data.train.0: should be text, found 3"),
    "no data.train": ("data: {text: review}", f"1:1: {TRAIN_IS_MISSING}"),
    "no section data": ("report: {baseline: false}", f"1:1: {TRAIN_IS_MISSING}"),
    "an empty list of files": ("data: {train: []}", "1:8: data.train: an empty list; name at least one file."),
}


@pytest.mark.parametrize(("config", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_shown_with_its_location(config: str, message: str) -> None:
    first_line = message.startswith("1:")
    assert refusal(config if first_line else MINIMAL + config) == f"c.yaml:{message}\n"


@pytest.mark.parametrize("name", ["nowhere.csv", "*.parquet", "a" * 300])
@pytest.mark.parametrize("key", ["train", "validation", "test"])
def test_a_file_that_is_missing_is_shown(key: str, name: str) -> None:
    message = refusal("data:\n  train: rows.csv\n" if key != "train" else "data:\n", "--set", f"data.{key}={name!r}")
    assert message == f"--set data.{key}={name!r}: data.{key}: no file '{name}' (looked in {Path.cwd()}).\n"


@pytest.mark.parametrize("name", ["glove.txt", "a" * 300])
def test_word_vectors_that_are_missing_are_shown(name: str) -> None:
    message = refusal(f"{MINIMAL}model: {{pretrained: {name}}}")
    assert message == f"c.yaml:2:9: model.pretrained: no file '{name}' (looked in {Path.cwd()}).\n"


def test_every_problem_is_shown_at_once() -> None:
    Path("stars.csv").write_text("review,stars\na,1\n")
    config = """\
data:
  train: [rows.csv, nowhere.csv]
  validation: stars.csv
  test: 3
  label: stars
text:
  clean: [css]
model:
  unit: 64
  units: 0
  pretrained: glove.txt
trainning: {}
"""
    here = Path.cwd()
    assert refusal(config) == (
        "c.yaml:4:3: data.test: should be text, found 3\n"
        "c.yaml:7:11: text.clean.0: should be 'html', 'nfkc', 'url', 'email', 'number' or 'accents', found \"css\"\n"
        "c.yaml:10:3: model.units: should be greater than or equal to 1, found 0\n"
        "c.yaml:9:3: model.unit: unknown key; did you mean 'units'?\n"
        "c.yaml:12:1: trainning: unknown key; did you mean 'training'?\n"
        f"c.yaml:2:3: data.train: no file 'nowhere.csv' (looked in {here}).\n"
        "c.yaml:1:1: data.text: stars.csv has no column 'text'; it has: review, stars. Set data.text.\n"
        f"c.yaml:11:3: model.pretrained: no file 'glove.txt' (looked in {here}).\n"
    )


def test_missing_columns_of_several_files_are_shown_at_once() -> None:
    Path("other.csv").write_text("a,b\n")
    assert refusal("data:\n  train: [rows.csv, other.csv]\n  text: body\n") == (
        "c.yaml:3:3: data.text: rows.csv has no column 'body'; it has: text, label. Set data.text.\n"
        "c.yaml:3:3: data.text: other.csv has no column 'body'; it has: a, b. Set data.text.\n"
        "c.yaml:1:1: data.label: other.csv has no column 'label'; it has: a, b. Set data.label.\n"
    )


def test_a_config_that_is_missing_is_refused() -> None:
    result = textclf("check", "nowhere.yaml")
    message = f"no config 'nowhere.yaml' (looked in {Path.cwd()}). Write one for your table: textclf init DATA.csv\n"
    assert (result.exit_code, result.output) == (1, message)


# Overrides


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("model.units=128", "model", "units", 128),
        ("training.learning_rate=1e-2", "training", "learning_rate", 0.01),
        ("model.dropout=0", "model", "dropout", 0),
        ("model.type=mlp", "model", "hidden", [64, 64]),
        ("text.clean=[url, html]", "text", "clean", ["url", "html"]),
        ("training.early_stopping=null", "training", "early_stopping", None),
        ("data.label_separator='1'", "data", "label_separator", "1"),
        ("data.label_separator=a=b", "data", "label_separator", "a=b"),
        *[(f"data.label_separator={mark}", "data", "label_separator", mark) for mark in "|,;#>&*-%@ ["],
    ],
)
def test_an_override_replaces_a_key(override: str, section: str, key: str, value: object) -> None:
    config = load(MINIMAL, override)
    assert getattr(getattr(config, section), key) == value


def test_the_last_override_of_a_key_holds() -> None:
    assert load(MINIMAL, "model.units=3", "model.units=4").model.units == 4


def test_an_override_makes_a_wrong_config_right() -> None:
    assert load(MINIMAL + "model: {units: many}", "model.units=4").model.units == 4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.units=many", 'model.units: should be a whole number, found "many"'),
        ("model.units=", "model.units: should be a whole number, found null"),
        ("model.unit=3", "model.unit: unknown key; did you mean 'units'?"),
        (
            "model.type=mlps",
            "model.type: should be 'bilstm' or 'mlp' or 'encoder', found \"mlps\"; did you mean 'mlp'?",
        ),
        ("units=3", "units: unknown key; did you mean 'model.units'?"),
        ("zzz.a=3", "zzz: unknown key; known: data, text, model, training, augment, decision, report, tune"),
        ("model.units.x=3", 'model.units: should be a whole number, found {"x": 3}'),
        ("model=3", "model: should be a section with keys, found 3"),
        ("model.units", "should be KEY=VALUE, such as model.units=128"),
        ("=3", "should be KEY=VALUE, such as model.units=128"),
        ("data.test=nowhere.csv", "data.test: no file 'nowhere.csv' (looked in HERE)."),
        ("data.text=body", "data.text: rows.csv has no column 'body'; it has: text, label. Set data.text."),
    ],
)
def test_a_wrong_override_is_shown_as_it_was_given(override: str, message: str) -> None:
    assert refusal(MINIMAL, "--set", override) == f"--set {override}: {message.replace('HERE', str(Path.cwd()))}\n"


def test_an_override_that_is_no_yaml_is_shown_with_its_location() -> None:
    message = refusal(MINIMAL, "--set", "text.clean=[html")
    problem = "while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"
    assert message == f"--set text.clean=[html:1:6: not YAML: {problem}\n"


# Written and read back


@pytest.mark.parametrize(
    "text",
    ["|", "#", ":", "-", " ", "\t", "1e-3", "12", "true", "yes", "null", "~", "0x10", "2024-01-01", "1:30", "<<", "=",
     "'", '"', "a: b", "a #b", "*a", "&a", "!a", "%", "@", "é", "我", "🙂", "a\nb", "a\r\nb", "\x85", "\u2028", "\x00",
     "\\", " a ", "9" * 30, "word " * 60],
)  # fmt: skip
def test_a_dumped_config_loads_as_the_same_config(text: str, folder: Path) -> None:
    data = DataOptions(train=["rows.csv", text], label=text, label_separator=text)
    config = Config(data=data, text=TextOptions(clean=[]), model=BilstmOptions(dropout=1e-5, pretrained=text))
    (folder / "dumped.yaml").write_text(dump_config(config), encoding="utf-8", newline="\n")
    assert load_saved_config(folder / "dumped.yaml") == config


def test_a_dumped_config_has_every_key() -> None:
    written = yaml.safe_load(dump_config(Config(data=DataOptions(train="rows.csv"))))
    assert [f"{section}.{key}" for section, keys in written.items() for key in keys] == [
        row.key for row in option_rows() if row.type in ("", "bilstm")
    ]


def test_a_config_of_another_type_loads_as_the_same_config(folder: Path) -> None:
    config = Config(data=DataOptions(train="rows.csv"), model=MlpOptions(type="mlp", hidden=[3, 4]))
    (folder / "dumped.yaml").write_text(dump_config(config), encoding="utf-8")
    assert load_saved_config(folder / "dumped.yaml") == config


def test_the_config_of_a_run_loads_where_its_data_are_gone() -> None:
    Path("c.yaml").write_text("data: {train: nowhere.csv}")
    assert load_saved_config(Path("c.yaml")) == Config(data=DataOptions(train="nowhere.csv"))


def test_a_damaged_config_of_a_run_is_refused() -> None:
    Path("c.yaml").write_text(MINIMAL + "model: {unit: 3}")
    with pytest.raises(UserError) as refused:
        load_saved_config(Path("c.yaml"))
    assert str(refused.value) == "c.yaml is damaged: model.unit: unknown key; did you mean 'units'?."
