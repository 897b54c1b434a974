"""Folders of pretrained encoders: each family is read, and a damaged or hostile folder is refused with one message."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hostile_encoders import HOSTILE
from safetensors.numpy import load_file, save_file
from tiny_encoders import (
    CONFIG,
    CONFIG_KEYS,
    PREFIXES,
    TOKENIZER,
    WEIGHTS,
    Damage,
    header,
    pooling,
    write_tiny_encoder,
)

from textclf.errors import UserError
from textclf.models.encoder.folder import encoder_files, read_encoder
from textclf.models.encoder.sizes import EncoderSizes, encoder_weight_shapes
from textclf.models.encoder.weights import check_weights, read_weights
from textclf.text.piece_tokenizer import PieceTokenizer, _library, read_tokenizer
from textclf.text.tokenizer import TruncatedEnd


def read_all(folder: Path) -> None:
    encoder = read_encoder(folder)
    check_weights(encoder)
    read_tokenizer(folder / TOKENIZER, pieces=encoder.sizes.pieces).encode(
        ["a good film"], max_length=8, truncate="end"
    )
    read_weights(encoder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_encoder(tmp_path / "encoder", "bert")


@pytest.mark.skipif(os.name != "posix", reason="some damages are pipes and links")
@pytest.mark.parametrize(("damage", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_damaged_or_hostile_folder_gets_one_message(damage: Damage, message: str, folder: Path) -> None:
    damage(folder)
    with pytest.raises(UserError) as error:
        read_all(folder)
    assert str(error.value) == message.replace("{folder}", str(folder))


def test_a_folder_that_is_none_gets_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").touch()
    long = "x" * 300
    messages = {
        "intfloat/e5-small": f"no folder 'intfloat/e5-small' (looked in {tmp_path}). textclf downloads nothing: fetch "
        "the encoder's folder first.",
        "file": "file is a file. Name the folder of the encoder, which has config.json.",
        "empty": "empty has no config.json; it is empty. Name the folder of a pretrained encoder as Hugging Face "
        "writes it.",
        long: f"{long} cannot be read: File name too long.",
        "a\0b": "a\0b cannot be read: embedded null byte.",
    }
    for name, message in messages.items():
        with pytest.raises(UserError) as error:
            read_encoder(Path(name))
        assert str(error.value) == message


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_gets_one_message(folder: Path) -> None:
    (folder / CONFIG).chmod(0)
    with pytest.raises(UserError, match=r"config\.json cannot be read: Permission denied\.$"):
        read_encoder(folder)


@pytest.mark.parametrize("family", CONFIG_KEYS)
def test_each_family_is_read(family: str, folder: Path) -> None:
    write_tiny_encoder(folder, family)
    encoder = read_encoder(folder)
    check_weights(encoder)
    weights = read_weights(encoder)
    rows = read_tokenizer(folder / TOKENIZER, pieces=1000).size
    first, epsilon = (2, 1e-5) if "roberta" in family else (0, 1e-12)
    assert (encoder.family, encoder.first_position) == (family, first)
    assert encoder.sizes == EncoderSizes(rows, 40, 16, 2, 2, 32, epsilon, "mean")
    shapes = encoder_weight_shapes(encoder.sizes)
    assert [(name, array.shape, array.dtype) for name, array in weights.items()] == [
        (name, shape, np.dtype(np.float32)) for name, shape in shapes.items()
    ]
    tensors = load_file(folder / WEIGHTS)
    query, intermediate, norm = {
        "distilbert": ("transformer.layer.1.attention.q_lin", "transformer.layer.0.ffn.lin1", "sa_layer_norm"),
    }.get(
        family,
        ("encoder.layer.1.attention.self.query", "encoder.layer.0.intermediate.dense", "attention.output.LayerNorm"),
    )
    prefix = PREFIXES[family]
    positions = tensors[f"{prefix}embeddings.position_embeddings.weight"][first:]
    if family != "distilbert":
        positions = positions + tensors[f"{prefix}embeddings.token_type_embeddings.weight"][0]
    np.testing.assert_array_equal(weights["positions"], positions)
    np.testing.assert_array_equal(weights["layer_2.query.kernel"], tensors[f"{prefix}{query}.weight"].T)
    np.testing.assert_array_equal(weights["layer_1.intermediate.bias"], tensors[f"{prefix}{intermediate}.bias"])
    layer = query.rsplit(".attention")[0]
    np.testing.assert_array_equal(weights["layer_2.attention_norm.beta"], tensors[f"{prefix}{layer}.{norm}.bias"])


def test_the_names_of_the_first_berts_are_read(folder: Path) -> None:
    expected = read_weights(read_encoder(folder))
    ends = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    tensors = load_file(folder / WEIGHTS)
    for old, new in ends.items():
        tensors = {name.replace(old, new): array for name, array in tensors.items()}
    save_file(tensors, folder / WEIGHTS)
    np.testing.assert_equal(read_weights(read_encoder(folder)), expected)


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_halves_are_read_as_float32(dtype: str, folder: Path) -> None:
    tensors = {name: tensor.astype(np.float32) for name, tensor in load_file(folder / WEIGHTS).items()}
    few_bits = {name: (tensor.view(np.uint32) >> 16).astype(np.uint16) for name, tensor in tensors.items()}
    exact = {name: (bits.astype(np.uint32) << 16).view(np.float32) for name, bits in few_bits.items()}
    if dtype == "F16":
        exact = {name: tensor.astype(np.float16).astype(np.float32) for name, tensor in exact.items()}
    save_file(exact, folder / WEIGHTS)
    expected = read_weights(read_encoder(folder))
    halves = few_bits if dtype == "BF16" else {name: tensor.astype(np.float16) for name, tensor in exact.items()}
    save_file(halves, folder / WEIGHTS)
    # NumPy has no bfloat16, so its bits were written as whole numbers
    header(lambda document: [entry.update(dtype=dtype) for entry in document.values()])(folder)
    np.testing.assert_equal(read_weights(read_encoder(folder)), expected)


# PieceTokenizer


@pytest.mark.parametrize("family", CONFIG_KEYS)
def test_either_end_is_cut_off_and_the_special_pieces_are_kept(family: str, folder: Path) -> None:
    tokenizer = read_tokenizer(write_tiny_encoder(folder, family) / TOKENIZER, pieces=1000)
    text = "the film was good and the play was brilliant"
    whole = tokenizer.encode([text], max_length=100, truncate="end").flat.tolist()
    first, *middle, last = whole
    cut: dict[TruncatedEnd, list[int]] = {"end": middle[:3], "start": middle[-3:]}
    for truncate, kept in cut.items():
        token_ids = tokenizer.encode(["", text], max_length=5, truncate=truncate)
        assert token_ids.flat.tolist() == [first, last, first, *kept, last]
        assert token_ids.lengths.tolist() == [2, 5]
        assert token_ids.token_counts.tolist() == [2, len(whole)]
    assert len(tokenizer.encode([], max_length=5, truncate="end")) == 0


def test_padding_and_truncation_in_the_file_are_switched_off(folder: Path) -> None:
    settings = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))
    assert settings["padding"]["strategy"] == {"Fixed": 32}
    assert settings["truncation"]["max_length"] == 8
    tokenizer = read_tokenizer(folder / TOKENIZER, pieces=74)
    texts = ["good", "good " * 10]
    assert tokenizer.encode(texts, max_length=100, truncate="end").lengths.tolist() == [3, 12]


def test_texts_are_split_as_the_library_splits_them(folder: Path) -> None:
    texts = ["The FILM, was g\u00f6od!", "zebra \u4e2d\u6587 \U0001f600", " \t\n", "a [SEP] b <s> c </s>", "A\0B"]
    for family in CONFIG_KEYS:
        write_tiny_encoder(folder, family)
        library = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER))
        library.no_padding()
        library.no_truncation()
        token_ids = read_tokenizer(folder / TOKENIZER, pieces=1000).encode(texts, max_length=100, truncate="end")
        assert [token_ids.row(index).tolist() for index in range(len(texts))] == [
            encoding.ids for encoding in library.encode_batch(texts)
        ]


def test_what_has_no_piece_is_unknown(folder: Path) -> None:
    for family, unknown in {"bert": 1, "distilbert": 1, "roberta": None, "xlm-roberta": 3}.items():
        tokenizer = read_tokenizer(write_tiny_encoder(folder, family) / TOKENIZER, pieces=1000)
        assert tokenizer.unknown == unknown
        ids = tokenizer.encode(["\u4e2d"], max_length=9, truncate="end").flat
        assert (unknown in ids[1:-1]) == (unknown is not None)


def test_half_characters_are_replaced(folder: Path) -> None:
    tokenizer = read_tokenizer(write_tiny_encoder(folder, "roberta") / TOKENIZER, pieces=1000)
    token_ids = tokenizer.encode(["a\ud800b", "a\ufffdb"], max_length=20, truncate="end")
    assert token_ids.row(0).tolist() == token_ids.row(1).tolist()


def test_a_model_that_does_not_say_its_type_is_read(folder: Path) -> None:
    for family in CONFIG_KEYS:
        data = (write_tiny_encoder(folder, family) / TOKENIZER).read_bytes()
        document = json.loads(data)
        del document["model"]["type"]
        old, new = (PieceTokenizer(d, source=folder) for d in (json.dumps(document).encode(), data))
        assert old.encode(["a film"], max_length=9, truncate="end").flat.tolist() == (
            new.encode(["a film"], max_length=9, truncate="end").flat.tolist()
        )


def test_a_fork_is_quiet_and_goes_on(folder: Path) -> None:
    script = f"""
import os
from pathlib import Path
from textclf.text.piece_tokenizer import read_tokenizer
tokenizer = read_tokenizer(Path({str(folder / TOKENIZER)!r}), pieces=74)
texts = ["a good film"] * 1000
tokenizer.encode(texts, max_length=9, truncate="end")
child = os.fork()
tokenizer.encode(texts, max_length=9, truncate="end")
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    assert result.stderr == b""


def test_without_the_package_a_message_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _library.cache_clear()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UserError) as error:
        read_tokenizer(folder / TOKENIZER, pieces=74)
    _library.cache_clear()
    assert str(error.value) == "model.type encoder needs the package tokenizers: pip install 'tokenizers>=0.21.1'."


def test_the_files_that_are_read_are_listed(folder: Path) -> None:
    assert encoder_files(folder) == [folder / CONFIG, folder / WEIGHTS, folder / TOKENIZER]
    pooling('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}')(folder)
    assert encoder_files(folder)[3:] == [folder / "1_Pooling" / CONFIG]
    assert read_encoder(folder).sizes.pooling == "first"
