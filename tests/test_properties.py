"""Properties of any text, any bytes and any setting: hypothesis looks for counterexamples."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textclf.config.load import dump_config, load_saved_config
from textclf.config.schema import Config, DecisionOptions, ReportOptions, TrainingOptions
from textclf.data.readers import read_columns
from textclf.data.rows import DataOptions, LabelBuilder, text_keys
from textclf.data.split import split
from textclf.evaluation.predictions import Predictions, read_predictions, write_predictions
from textclf.inference.classifier import Classifier, load_classifier
from textclf.inference.inputs import read_lines
from textclf.inference.predict import predict_stream
from textclf.io.files import write_csv
from textclf.models.bilstm.network import BilstmOptions
from textclf.models.mlp.network import MlpOptions
from textclf.text.encoding import UNKNOWN, WordEncoder
from textclf.text.tokenizer import CLEANINGS, RULES, TOKENIZERS, TextOptions, join_tokens, tokenize

pytestmark = pytest.mark.usefixtures("_folder")
SAME_EVERY_TIME = settings(
    derandomize=True, deadline=None, database=None, max_examples=60, suppress_health_check=list(HealthCheck)
)

CHARACTERS = st.characters(exclude_categories=["Cs"])  # no file can hold half a character
ODD = " \t\n\r\0'\"<>&#;@.,x0n\u0301\u0130\u2019\u3042\u9152\U0001f600\u200d\x85\u2028"
ODD += "\xad\u034f\u094d\u200b\u200c\u200e\u20e3\ufe0f\uff21\uff9e\U0001f1e9\U0001f3f4\U0001f3fd\U000e0067\U000e007f"
TEXTS = st.text(CHARACTERS | st.sampled_from(ODD), max_size=40)
HTML = st.sampled_from("<b> <b x=' <!-- --> &amp; &copy=1 &#0; &#x110000; www.x a@b.org n't 1,5".split())  # noqa: SIM905
ANY_TEXT = st.lists(TEXTS | HTML, max_size=4).map("".join)


@pytest.fixture
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@st.composite
def text_options(draw: st.DrawFn) -> TextOptions:
    return TextOptions(
        tokenizer=draw(st.sampled_from(list(TOKENIZERS))),
        lowercase=draw(st.booleans()),
        clean=draw(st.lists(st.sampled_from(["html", *CLEANINGS]), unique=True)),
        max_length=draw(st.integers(1, 5)),
        truncate=draw(st.sampled_from(["start", "end"])),
        rules=draw(st.sampled_from(list(RULES))),
    )


VOCABULARY = ["a", "x", "0", "url", "n't", "<", "\u9152", "\u3042", " ", "film"]


@given(st.lists(ANY_TEXT, max_size=5), text_options())
@SAME_EVERY_TIME
def test_any_text_becomes_valid_ids(texts: list[str], options: TextOptions) -> None:
    ids = WordEncoder(VOCABULARY, options).encode(texts)
    assert len(ids) == len(texts)
    assert ((ids.lengths >= 1) & (ids.lengths <= options.max_length)).all()
    assert ((ids.flat >= UNKNOWN) & (ids.flat < len(VOCABULARY) + 2)).all()
    assert len(ids.flat) == ids.lengths.sum()


@given(st.lists(ANY_TEXT, min_size=1, max_size=5), text_options())
@SAME_EVERY_TIME
def test_how_texts_are_grouped_does_not_matter(texts: list[str], options: TextOptions) -> None:
    together = WordEncoder(VOCABULARY, options).encode(texts)
    one_by_one = WordEncoder(VOCABULARY, options)
    alone = [one_by_one.encode([text]) for text in texts]
    assert together.flat.tolist() == np.concatenate([ids.flat for ids in alone]).tolist()
    assert together.token_counts.tolist() == [int(ids.token_counts[0]) for ids in alone]


@given(ANY_TEXT, text_options())
@SAME_EVERY_TIME
def test_words_joined_are_split_into_the_same_words(text: str, options: TextOptions) -> None:
    options = replace(options, tokenizer="word")
    tokens = tokenize(text, options)
    assert tokenize(join_tokens(tokens, options), options) == tokens


@given(ANY_TEXT)
@SAME_EVERY_TIME
def test_characters_joined_are_split_into_the_same_characters(text: str) -> None:
    options = TextOptions(tokenizer="char", clean=["html"])
    tokens = tokenize(text, options)
    assert tokenize(join_tokens(tokens, options), options) == tokens


@pytest.fixture(scope="session")
def classifier(reviews: Path) -> Classifier:
    return load_classifier(reviews)


LINES = st.lists(ANY_TEXT.map(lambda text: text.replace("\n", " ")), max_size=6)


@given(LINES, st.booleans(), st.sampled_from(["tsv", "csv", "jsonl"]))
@SAME_EVERY_TIME
def test_a_line_in_is_a_row_out(classifier: Classifier, lines: list[str], last_newline: bool, format: str) -> None:
    content = "".join([f"{line}\n" for line in lines]).encode()
    if not last_newline and lines and lines[-1]:
        content = content.removesuffix(b"\n")
    chunks = read_lines(io.BytesIO(content), "-")
    output = "".join(predict_stream(classifier, chunks, format=format))
    rows = list(csv.reader(io.StringIO(output)))[1:] if format == "csv" else output.splitlines()
    assert len(rows) == len(lines)


@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT), max_size=5))
@SAME_EVERY_TIME
def test_csv_written_is_csv_read(rows: list[tuple[str, str]]) -> None:
    write_csv(Path("rows.csv"), ["text", "label"], rows, raw=True)
    assert list(read_columns(Path("rows.csv"), [("data.text", "text"), ("data.label", "label")])) == rows


LABELS = st.lists(ANY_TEXT.filter(str.strip), min_size=2, max_size=4, unique=True)


@given(LABELS, st.data())
@SAME_EVERY_TIME
def test_predictions_written_are_the_predictions_read(names: list[str], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5))
    codes = [np.array(data.draw(st.lists(st.integers(0, len(names) - 1), min_size=count, max_size=count)))] * 2
    shares = data.draw(st.lists(st.floats(0, 1), min_size=count * len(names), max_size=count * len(names)))
    builder = LabelBuilder()
    builder.add([names[code] for code in codes[0]])
    probabilities = np.array(shares).reshape(count, len(names))
    written = Predictions(np.arange(count), builder.labels(), None, names, *codes, probabilities)
    write_predictions(Path("predictions.csv"), written)
    read = read_predictions(Path("predictions.csv"), separator=None)
    assert (read.label_names, read.true_fields(), read.predicted_fields()) == (
        names,
        written.true_fields(),
        written.predicted_fields(),
    )
    assert (read.row_ids == written.row_ids).all()
    assert (read.probabilities == probabilities).all()


NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
BILSTM_OPTIONS = st.builds(
    BilstmOptions,
    type=st.just("bilstm"),
    embedding_dim=st.integers(1, 4096),
    pretrained=st.none() | NAME,
    units=st.integers(1, 4096),
    layers=st.integers(1, 8),
    dropout=st.floats(0, 1, exclude_max=True),
    embedding_dropout=st.floats(0, 1, exclude_max=True),
)
MLP_OPTIONS = st.builds(
    MlpOptions,
    type=st.just("mlp"),
    features=st.sampled_from(["count", "binary", "tfidf", "embedding"]),
    ngrams=st.integers(1, 2),
    buckets=st.integers(1, 1 << 24),
    hidden=st.lists(st.integers(1, 4096), min_size=1, max_size=3),
    input_dropout=st.floats(0, 1, exclude_max=True),
    dropout=st.floats(0, 1, exclude_max=True),
)
CONFIGS = st.builds(
    Config,
    data=st.builds(
        DataOptions,
        train=NAME | st.lists(NAME, max_size=3),
        validation=st.none() | NAME,
        test=st.none() | NAME,
        text=NAME,
        label=NAME,
        validation_split=st.floats(0, 1, exclude_min=True, exclude_max=True),
        label_separator=st.none() | NAME,
    ),
    text=text_options(),
    model=BILSTM_OPTIONS | MLP_OPTIONS,
    training=st.builds(
        TrainingOptions,
        epochs=st.integers(1, 10_000),
        batch_size=st.integers(1, 65536),
        learning_rate=st.floats(0, 100, exclude_min=True),
        early_stopping=st.none() | st.integers(min_value=1, max_value=10**18 - 1),
        seed=st.integers(0, 2**31 - 1),
    ),
    decision=st.builds(DecisionOptions, aim=st.just("f1")),
    report=st.builds(ReportOptions, slices=st.lists(NAME, max_size=3)),
)


@given(CONFIGS)
@SAME_EVERY_TIME
def test_a_config_dumped_is_the_config_loaded(config: Config) -> None:
    Path("c.yaml").write_text(dump_config(config), encoding="utf-8", newline="\n")
    assert load_saved_config(Path("c.yaml")) == config


@given(
    st.lists(st.tuples(ANY_TEXT, st.sampled_from(["a", "b", "a|b", ""])), min_size=1, max_size=30),
    st.floats(0.01, 0.99),
    st.integers(0, 5),
    st.sampled_from([None, "|"]),
)
@SAME_EVERY_TIME
def test_no_text_is_on_both_sides(
    rows: list[tuple[str, str]], fraction: float, seed: int, separator: str | None
) -> None:
    keys = text_keys([text for text, _ in rows]).near
    reader = LabelBuilder()
    reader.add([label for _, label in rows])
    parts = split(reader.labels(), keys, fraction=fraction, seed=seed, separator=separator)
    assert sorted([*parts.train.tolist(), *parts.validation.tolist()]) == list(range(len(rows)))
    assert set(keys[parts.train]).isdisjoint(keys[parts.validation])
