"""The targets of fuzzing: functions that read bytes and may raise nothing but UserError, with seeds."""

import contextlib
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow
import pyarrow.parquet
from tiny_encoders import write_tiny_encoder

from textclf.config.load import dump_config, load_saved_config
from textclf.config.schema import Config
from textclf.config.suggest import profile_table, suggest_settings
from textclf.data.columns import find_columns, read_table
from textclf.data.readers import FORMATS, read_columns
from textclf.data.rows import DataOptions, data_problems
from textclf.errors import UserError
from textclf.inference.classifier import load_classifier, save_classifier
from textclf.inference.inputs import read_lines
from textclf.inference.model_folder import Description, checksum
from textclf.models.architecture import Shape
from textclf.models.bilstm.onnx import stack_directions
from textclf.models.encoder.folder import CONFIG as CONFIG_FILE
from textclf.models.encoder.folder import TOKENIZER, WEIGHTS, read_encoder
from textclf.models.encoder.weights import read_weights
from textclf.models.ensemble import rewrite_onnx_model
from textclf.text.encoding import WordEncoder
from textclf.text.piece_tokenizer import read_tokenizer
from textclf.text.tokenizer import TextOptions
from textclf.text.vectors import read_vectors, vector_words
from textclf.tuning.search_space import load_space


class Target(NamedTuple):
    """A reader of bytes."""

    seeds: list[bytes]
    words: list[bytes]
    """Pieces that a mutation may insert."""
    run: Callable[[bytes], None]
    """Reads the bytes as a file in the working directory; any error that it raises is a bug."""


CONFIG = b"""\
data: {train: rows.csv, text: "text", label: 'label'}
text:
  tokenizer: char
  clean: [html, url]
model: {units: 1e1, pretrained: null}
training: {learning_rate: 1e-3, early_stopping: ~}
report: {slices: []}
tune: {model.units: [8, 16], model: {dropout: {low: 0, high: 0.5, step: 0.1}}}
"""


def read_config(data: bytes) -> None:
    """Read bytes as a config, and as the argument of --set."""
    path = Path("config.yaml")
    path.write_bytes(data)
    override = data.decode("utf-8", "surrogateescape")
    attempts: list[Callable[[], Config]] = [
        lambda: load_space(path)[0],
        lambda: load_space(Path("good.yaml"), [override])[0],
    ]
    for attempt in attempts:
        with contextlib.suppress(UserError):
            attempt()
    with contextlib.suppress(UserError):
        config = load_saved_config(path)
        path.write_text(dump_config(config), encoding="utf-8", newline="\n")
        assert load_saved_config(path) == config


ROWS = [("good film", "yes"), ('so "bad",\nreally', "no"), ("", "1"), ("caf\u00e9 \U0001f600 x", "no")]
NAMES = [f"rows{suffix}" for suffix in FORMATS]


def row_seeds() -> list[bytes]:
    """Return the same rows in every format, after a byte that says how they are read."""
    table = io.BytesIO()
    columns = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}
    pyarrow.parquet.write_table(pyarrow.table(columns), table)
    csv = b'text,label\ngood film,yes\n"so ""bad"",\nreally",no\n,1\n\xc3\xa9 x,no\n'
    tsv = b"text\tlabel\ngood film\tyes\nbad\tno\n"
    jsonl = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS).encode()
    records = json.dumps([{"text": text, "label": [label]} for text, label in ROWS], indent=1).encode()
    contents = [csv, tsv, jsonl, jsonl, records, table.getvalue()]
    plain = [bytes([index]) + content for index, content in enumerate(contents)]
    to_compress = [bytes([index + 8]) + content for index, content in enumerate(contents)]
    compressed = [bytes([index + 16]) + gzip.compress(content, mtime=0) for index, content in enumerate(contents)]
    return plain + to_compress + compressed


def read_rows(data: bytes) -> None:
    """Read bytes as a table; the first byte says which format, and if they are plain, to compress, or compressed."""
    kind, content = data[:1] or b"\0", data[1:]
    name = NAMES[kind[0] % len(NAMES)]
    compressed = (kind[0] >> 3) % 3
    path = Path(name + (".gz" if compressed else ""))
    path.write_bytes(gzip.compress(content, 1, mtime=0) if compressed == 1 else content)
    attempts: list[Callable[[], Any]] = [
        lambda: list(read_columns(path, [("data.text", "text"), ("data.label", "label")], lists={"data.label": "|"})),
        lambda: list(read_lines(io.BytesIO(content), "-")),
        lambda: data_problems(DataOptions(train=str(path)), ["stars"]),
        lambda: suggest(path),
    ]
    for attempt in attempts:
        with contextlib.suppress(UserError):
            attempt()


def suggest(path: Path) -> None:
    """Suggest settings for a table, as init does."""
    table = read_table(path)
    profile = profile_table(table, find_columns(table, str(path)))
    if len(profile.labels) > 1:
        list(suggest_settings(profile, has_validation_file=False))


VECTORS = b"3 2\ngood 1 -2.5\nfilm 3e-1 4\n\xc3\xa9 0 0\n"


def vector_seeds() -> list[bytes]:
    """Return the same vectors in every format, after a byte that says how the file is named."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("v.txt", VECTORS)
    return [b"\0" + VECTORS, b"\1" + gzip.compress(VECTORS, mtime=0), b"\2" + archive.getvalue()]


def read_word_vectors(data: bytes) -> None:
    """Read bytes as word vectors; the first byte says how the file is named."""
    kind, content = data[:1] or b"\0", data[1:]
    path = Path(["v.txt", "v.txt.gz", "v.zip"][kind[0] % 3])
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        list(vector_words(path))
    with contextlib.suppress(UserError):
        read_vectors(path, ["good", "film", "the"], dimensions=2, seed=1)


def model_seeds() -> list[bytes]:
    """Save a network of five words and three labels in the folder model; return its model.json in both formats."""
    rng = np.random.default_rng(1)
    shapes = {"embedding": (5, 2), "dense.kernel": (4, 3), "dense.bias": (3,)}
    for direction in ("forward", "backward"):
        parts = {"kernel": (2, 8), "recurrent": (2, 8), "bias": (8,)}
        shapes |= {f"bilstm_1.{direction}.{part}": shape for part, shape in parts.items()}
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    metadata = {"architecture": "bilstm", "pooling": "last"}
    graph = rewrite_onnx_model(Shape.of(vocabulary=5, labels=3, multilabel=False), stack_directions(weights), metadata)
    description = Description(
        text=TextOptions(vocab_size=5, max_length=4),
        vocabulary=["good", "film", "bad"],
        labels=["no", "perhaps", "yes"],
        label_separator=None,
        column="text",
        label_column="label",
    )
    probe = WordEncoder(description.vocabulary, description.text).encode(["good film", "bad"])
    save_classifier(Path("model"), graph, description, probe)
    document = json.loads(Path("model/model.json").read_bytes())
    format_1 = {name: value for name, value in document.items() if name != "checksum"} | {"format": 1}
    return [json.dumps(version).encode() for version in (document, format_1)]


def read_model(data: bytes) -> None:
    """Read bytes as model.json beside a graph, with the right checksum to get past it, and predict with the model."""
    with contextlib.suppress(ValueError, RecursionError, TypeError):
        document = json.loads(data)
        data = json.dumps(document | {"checksum": checksum(document)} if "checksum" in document else document).encode()
    Path("model/model.json").write_bytes(data)
    with contextlib.suppress(UserError):
        classifier = load_classifier(Path("model"))
        classifier.decide(classifier.predict_proba(["good film", ""]))
        classifier.probe_difference()


def encoder_seeds() -> list[bytes]:
    """Write two encoders; return the files of each, after a byte that says which file it is."""
    seeds = []
    for index, family in enumerate(("bert", "xlm-roberta")):
        folder = write_tiny_encoder(Path(family), family)
        seeds += [bytes([3 * index + kind]) + (folder / name).read_bytes() for kind, name in enumerate(ENCODER_FILES)]
    return seeds


ENCODER_FILES = (CONFIG_FILE, TOKENIZER, WEIGHTS)


def read_pretrained(data: bytes) -> None:
    """Read bytes as a file of an encoder, beside its other ones; the first byte says which file."""
    kind, content = (data[:1] or b"\0")[0], data[1:]
    good = Path("xlm-roberta" if (kind // 3) % 2 else "bert")
    folder = Path("encoder")
    folder.mkdir(exist_ok=True)
    for name in ENCODER_FILES:
        (folder / name).write_bytes((good / name).read_bytes())
    (folder / ENCODER_FILES[kind % 3]).write_bytes(content)
    with contextlib.suppress(UserError):
        encoder = read_encoder(folder)
        read_weights(encoder)
        tokenizer = read_tokenizer(folder / TOKENIZER, pieces=encoder.sizes.pieces)
        tokenizer.encode(["a good film", ""], max_length=8, truncate="end")


# Pieces that a mutation may insert
YAML_WORDS = (
    b"data: train: model: null true .inf 1e999 -1 [ ] { } & * ! !!int | > ? - --- ... # "
    b"\\U00110000 %YAML <<: text: clean: [html] seed: \xff \xef\xbb\xbf"
).split()
ROW_WORDS = (
    b'" "" , \n \r \r\n \t \0 \xef\xbb\xbf \xff text label {"text": "label": \\ud83d NaN 1e999 [[ PAR1 \x1f\x8b'
).split(b" ")
JSON_WORDS = (
    b'null true 1e999 NaN -1 0 "" [] {} [ ] { } , : "\\ud83d" "format" "text" "labels" "probe" 2147483648'
).split()
VECTOR_WORDS = b"nan inf 1e39 -1 good film \n \xff PK\x01\x02 PK\x03\x04 PK\x05\x06 0x1p3 1_0".split(b" ")


def targets() -> dict[str, Target]:
    """Return every target by its name, and write the files that they need into the working directory."""
    Path("rows.csv").write_text("text,label\n" + "good,yes\nbad,no\n" * 3)
    Path("good.yaml").write_text("data: {train: rows.csv}\n")
    return {
        "config": Target([CONFIG, b"data.train=rows.csv", b'model: {units: "\\x41"}'], YAML_WORDS, read_config),
        "rows": Target(row_seeds(), ROW_WORDS, read_rows),
        "vectors": Target(vector_seeds(), VECTOR_WORDS, read_word_vectors),
        "model": Target(model_seeds(), JSON_WORDS, read_model),
        "encoder": Target(encoder_seeds(), JSON_WORDS, read_pretrained),
    }
