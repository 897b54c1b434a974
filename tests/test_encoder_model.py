"""model/ folders with a pretrained encoder: frozen ones, exports, and damaged and malicious ones."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import ROOT, CopyRun, textclf
from damages import Damage, field, graph, replaced, sparse
from hostile_models import COPY, DAMAGED, FOREIGN, TRAIN
from test_export import HOSTILE as TEXTS
from test_export import exported

from textclf.export.export import EXPORTERS
from textclf.inference.classifier import load_classifier
from textclf.io.run_folder import Run
from textclf.text.piece_tokenizer import PieceTokenizer
from textclf.text.tokenizer_json import MAX_BYTES

FROZEN = ROOT / "tests" / "frozen" / "format_5" / "questions"
"""Four labels, 141 words, 74 pieces, one layer of 8 dimensions in 2 heads, blended."""
OTHER = ": another sha256" + COPY


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of a good folder, to damage."""
    folder = Path(shutil.copytree(FROZEN, tmp_path / "model"))
    (folder / "predictions.jsonl").unlink()
    return folder


def metadata(key: str, value: str) -> Damage:
    """Set an entry of the graph's metadata."""

    def change(document: dict) -> None:
        next(entry for entry in document["metadata_props"] if entry["key"] == key).update(value=value)

    return graph(change)


def both(*damages: Damage) -> Damage:
    return lambda folder: [damage(folder) for damage in damages]


def tokenizer(change: Callable[[bytes], bytes]) -> Damage:
    """Change the bytes of tokenizer.json, but not its sha256 in model.json."""

    def damage(folder: Path) -> None:
        path = folder / "tokenizer.json"
        path.write_bytes(change(path.read_bytes()))

    return damage


TOKENIZER = "{model}/tokenizer.json"
REFUSED: dict[str, tuple[Damage, str]] = {
    "tokenizer.json is missing": (
        lambda folder: (folder / "tokenizer.json").unlink(),
        TOKENIZER + " cannot be read: No such file or directory.",
    ),
    "a byte of it was changed": (
        tokenizer(lambda data: data.replace(b"##a", b"##e", 1)),
        TOKENIZER + " is not the file that {model}/model.json describes" + OTHER,
    ),
    "it leads out of the folder": (
        replaced("tokenizer.json", lambda path: path.symlink_to("/etc/passwd")),
        TOKENIZER + " is no regular file" + COPY,
    ),
    "it is a pipe": (replaced("tokenizer.json", os.mkfifo), TOKENIZER + " is no regular file" + COPY),
    "it is huge": (
        sparse("tokenizer.json", MAX_BYTES + 1),
        TOKENIZER + f" has {MAX_BYTES + 1} bytes, more than any model: at most {MAX_BYTES} are read.",
    ),
    "no tokenizer": (
        field("tokenizer", value=None),
        DAMAGED + "network_limits.first_piece: found 143, need null" + COPY,
    ),
    "no tokenizer, and no first piece": (
        both(field("tokenizer", value=None), field("network_limits", "first_piece", value=None)),
        DAMAGED + "probe.token_ids[0]: found a list of 23, need 1 to 100000 whole numbers from 1 to 142" + COPY,
    ),
    "no tokenizer, and words only": (
        both(
            field("tokenizer", value=None),
            field("network_limits", value={"vocabulary": 76, "max_length": 16, "truncate": "end", "first_piece": None}),
            field("probe", "token_ids", value=[[1]]),
            field("probe", "probabilities", value=[[0.25] * 4]),
        ),
        FOREIGN + "graph.node[1].input[1] is missing, not 'token_ids'" + TRAIN,
    ),
    "a tokenizer that is text": (
        field("tokenizer", value="bert"),
        DAMAGED + "tokenizer: found 'bert', need an object or null" + COPY,
    ),
    "a tokenizer with more fields": (
        field("tokenizer", "path", value="/etc/passwd"),
        DAMAGED + "tokenizer has 'path', which this textclf does not know" + COPY,
    ),
    "no sha256 of the tokenizer": (
        field("tokenizer", "sha256", value="x"),
        DAMAGED + "tokenizer.sha256: found 'x', need 64 hexadecimal digits" + COPY,
    ),
    "fewer pieces": (
        field("tokenizer", "pieces", value=73),
        DAMAGED + "network_limits.vocabulary: found 76, need a whole number from 75 to 75" + COPY,
    ),
    "fewer pieces everywhere": (
        both(field("tokenizer", "pieces", value=73), field("network_limits", "vocabulary", value=75)),
        FOREIGN + "its constant 'pieces' has float32 of shape (74, 8), not float32, float16, int8 of (73, 8)" + TRAIN,
    ),
    "endless pieces": (
        field("tokenizer", "pieces", value=10**9),
        DAMAGED + "tokenizer.pieces: found 1000000000, need a whole number from 1 to 1000000" + COPY,
    ),
    "another first piece": (
        field("network_limits", "first_piece", value=142),
        DAMAGED + "network_limits.first_piece: found 142, need 143" + COPY,
    ),
    "a first piece that is true": (
        field("network_limits", "first_piece", value=True),
        DAMAGED + "network_limits.first_piece: found True, need 143" + COPY,
    ),
    "a probe with a piece that there is not": (
        field("probe", "token_ids", 0, value=[217]),
        DAMAGED + "probe.token_ids[0]: found a list of 1, need 1 to 100016 whole numbers from 1 to 216" + COPY,
    ),
    "a probe without pieces": (
        field("probe", "token_ids", 0, value=[5]),
        DAMAGED + "probe.token_ids[0]: found a list of 1, need words and, behind them, 1 to 16 pieces" + COPY,
    ),
    "a probe with words behind pieces": (
        field("probe", "token_ids", 0, value=[150, 5]),
        DAMAGED + "probe.token_ids[0]: found a list of 2, need words and, behind them, 1 to 16 pieces" + COPY,
    ),
    "a probe with more pieces than a text has": (
        field("probe", "token_ids", 0, value=[150] * 17),
        DAMAGED + "probe.token_ids[0]: found a list of 17, need words and, behind them, 1 to 16 pieces" + COPY,
    ),
    "more pieces of a text than the encoder has positions": (
        field("network_limits", "max_length", value=17),
        FOREIGN + "its encoder has 16 positions, and model.json lets it read 17 pieces of a text" + TRAIN,
    ),
    "other heads": (
        metadata("heads", "3"),
        FOREIGN + "its heads are '3', no whole number up to 64 that divides 8" + TRAIN,
    ),
    "more heads": (
        metadata("heads", "4"),
        FOREIGN + "graph.initializer[30].raw_data holds other bytes" + TRAIN,
    ),
    "another epsilon": (
        metadata("epsilon", "1e-05"),
        FOREIGN + "graph.node[36].attribute[1].f is 9.999999960041972e-13, not 9.999999747378752e-06" + TRAIN,
    ),
    "no epsilon": (
        metadata("epsilon", "0"),
        FOREIGN + "its epsilon is '0', no number from 1e-30 to 1.0" + TRAIN,
    ),
    "another architecture": (
        metadata("architecture", "bilstm"),
        FOREIGN + "its constant 'embedding' is missing or no table" + TRAIN,
    ),
}


@pytest.mark.skipif(os.name != "posix", reason="makes pipes and links")
@pytest.mark.parametrize(("damage", "message"), REFUSED.values(), ids=REFUSED)
def test_a_damaged_folder_is_refused(damage: Damage, message: str, model: Path) -> None:
    damage(model)
    result = textclf("predict", "--run", model, stdin="When?\n")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", message.format(model=model) + "\n")
    checked = textclf("check", model)
    assert (checked.exit_code, checked.output) == (1, result.stderr)


def test_a_tokenizer_of_another_encoder_is_refused(model: Path) -> None:
    """Its digest is right: whoever replaces the file can compute it."""
    import hashlib

    document = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    document["model"]["vocab"].popitem()
    data = json.dumps(document).encode()
    (model / "tokenizer.json").write_bytes(data)
    field("tokenizer", "sha256", value=hashlib.sha256(data).hexdigest())(model)
    result = textclf("predict", "--run", model, stdin="When?\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "tokenizer" in result.stderr


def test_an_encoder_without_words_has_no_longer_probe_than_texts(copy_run: CopyRun) -> None:
    model = copy_run("encoder_head") / "model"
    field("probe", "token_ids", 0, value=[5] * 25)(model)
    result = textclf("check", model)
    damaged = f"{model}/model.json is damaged: probe.token_ids[0]: found a list of 25"
    assert (result.exit_code, result.output) == (1, f"{damaged}, need 1 to 24 whole numbers from 1 to 75{COPY}\n")


def test_an_encoder_without_words_reads_no_more_pieces_than_it_has_positions(copy_run: CopyRun) -> None:
    model = copy_run("encoder_head") / "model"
    field("text", "max_length", value=25)(model)
    result = textclf("check", model)
    foreign = f"{model}/model.onnx is no graph that this textclf writes: its encoder has 24 positions"
    assert (result.exit_code, result.output) == (
        1, f"{foreign}, and model.json lets it read 25 pieces of a text{TRAIN}\n"
    )  # fmt: skip


# Exports


@pytest.mark.parametrize("name", ["encoder", "encoder_head"])
@pytest.mark.parametrize("format", EXPORTERS)
def test_an_export_has_the_probabilities_of_the_run(format: str, name: str, copy_run: CopyRun, tmp_path: Path) -> None:
    run = copy_run(name)
    classifier = load_classifier(run)
    path = exported(run, format, tmp_path)
    probabilities = EXPORTERS[format].load(path, Run(run), classifier)(TEXTS)
    assert np.abs(probabilities - classifier.predict_proba(TEXTS)).max() < 1e-5


def test_a_package_in_a_zip_file_predicts_too(copy_run: CopyRun, tmp_path: Path) -> None:
    run = copy_run("encoder_topics")
    result = textclf("export", "--run", run, "--format", "python", "--output", tmp_path / "zipped.zip", "--json")
    assert (result.exit_code, json.loads(result.stdout)["parity"]) == (0, 0.0)


FILES: dict[str, Callable[[Path], dict[str, str]]] = {
    "keras": lambda path: members(path),
    "onnx": lambda path: {entry.key: entry.value for entry in onnx.load(path).metadata_props},
}


def members(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in ("textclf.json", "tokenizer.json")}


@pytest.mark.parametrize("format", FILES)
def test_an_export_holds_its_tokenizer(format: str, copy_run: CopyRun, tmp_path: Path) -> None:
    run = copy_run("encoder")
    files = FILES[format](exported(run, format, tmp_path))
    assert files["tokenizer.json"] == (run / "model" / "tokenizer.json").read_text(encoding="utf-8")
    document, description = json.loads(files["textclf.json"]), load_classifier(run).description
    assert document["piece_count"] == 74
    assert document["token_ids"] == {
        "padding": 0, "unknown": 1, "first_of_vocabulary": 2, "first_of_pieces": len(description.vocabulary) + 2
    }  # fmt: skip


def test_the_text_of_each_piece_is_known() -> None:
    path = FROZEN / "tokenizer.json"
    texts = PieceTokenizer(path.read_bytes(), source=path).texts()
    assert (len(texts), texts[:6]) == (74, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "!"])
