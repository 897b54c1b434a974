"""Tiny pretrained encoders of each family, in folders as Hugging Face writes them, and ways to damage them."""

import base64
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from textclf.models.encoder.folder import MAX_CONFIG_BYTES
from textclf.text.tokenizer_json import MAX_BYTES

Damage = Callable[[Path], object]
Cases = dict[str, tuple[Damage, str]]
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
TEXTS = (
    "the film was good and the play was brilliant",
    "a bad film with a weak story",
    "we liked the music but not the ending",
)

BERT_CONFIG = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act")
CONFIG_KEYS = {
    "bert": BERT_CONFIG,
    "distilbert": ("dim", "n_layers", "n_heads", "hidden_dim", "activation"),
    "roberta": BERT_CONFIG,
    "xlm-roberta": BERT_CONFIG,
}
"""The families, and their names in config.json."""
PREFIXES = {"bert": "bert.", "distilbert": "distilbert.", "roberta": "roberta.", "xlm-roberta": ""}


def write_tiny_encoder(
    folder: Path,
    family: str,
    *,
    texts: Sequence[str] = TEXTS,
    seed: int = 0,
    hidden: int = 16,
    layers: int = 2,
    heads: int = 2,
    intermediate: int = 32,
    positions: int = 40,
) -> Path:
    """Write config.json, model.safetensors and tokenizer.json, the same for the same arguments; return the folder.

    Args:
        family: a key of CONFIG_KEYS.
        texts: the tokenizer knows their words.
        positions: pieces of a text that the encoder can read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = TOKENIZERS[family](sorted({word for text in texts for word in text.split()}))
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    rows = positions + (2 if "roberta" in family else 0)
    config = {
        "architectures": ["Model"],
        "model_type": family,
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": rows,
        "pad_token_id": 1 if "roberta" in family else 0,
        **dict(zip(CONFIG_KEYS[family], (hidden, layers, heads, intermediate, "gelu"), strict=True)),
    }
    if family != "distilbert":
        config |= {"layer_norm_eps": 1e-12 if family == "bert" else 1e-5, "position_embedding_type": "absolute"}
        config["type_vocab_size"] = 2 if family == "bert" else 1
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    shapes = _embedding_shapes(family, tokenizer.get_vocab_size(), rows, hidden)
    for layer in range(layers):
        shapes |= _layer_shapes(family, layer, hidden, intermediate)
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes.items():
        around = 1 if name.endswith(("LayerNorm.weight", "layer_norm.weight")) else 0
        tensors[PREFIXES[family] + name] = rng.normal(around, 0.2, shape).astype(np.float32)
    tensors |= {"cls.predictions.bias": np.full(3, np.nan, np.float32)}  # a head that is not read
    position_ids = {PREFIXES[family] + "embeddings.position_ids": np.arange(rows, dtype=np.int64)[None]}
    save_file(position_ids | tensors, folder / WEIGHTS, metadata={"format": "pt"})
    return folder


# Weights: PyTorch's kernels have shape (outputs, inputs)


def _embedding_shapes(family: str, pieces: int, rows: int, hidden: int) -> dict[str, tuple[int, ...]]:
    shapes = {
        "embeddings.word_embeddings.weight": (pieces, hidden),
        "embeddings.position_embeddings.weight": (rows, hidden),
        "embeddings.LayerNorm.weight": (hidden,),
        "embeddings.LayerNorm.bias": (hidden,),
    }
    if family != "distilbert":
        shapes["embeddings.token_type_embeddings.weight"] = (2 if family == "bert" else 1, hidden)
        shapes |= _linear("pooler.dense", hidden, hidden)
    return shapes


def _layer_shapes(family: str, layer: int, hidden: int, intermediate: int) -> dict[str, tuple[int, ...]]:
    if family == "distilbert":
        name = f"transformer.layer.{layer}"
        attention, norm, last_norm = ("q_lin", "k_lin", "v_lin", "out_lin"), "sa_layer_norm", "output_layer_norm"
        first, second = "ffn.lin1", "ffn.lin2"
    else:
        name = f"encoder.layer.{layer}"
        attention = ("self.query", "self.key", "self.value", "output.dense")
        norm, last_norm = "attention.output.LayerNorm", "output.LayerNorm"
        first, second = "intermediate.dense", "output.dense"
    shapes: dict[str, tuple[int, ...]] = {}
    for part in attention:
        shapes |= _linear(f"{name}.attention.{part}", hidden, hidden)
    for part in (norm, last_norm):
        shapes |= {f"{name}.{part}.weight": (hidden,), f"{name}.{part}.bias": (hidden,)}
    shapes |= _linear(f"{name}.{first}", hidden, intermediate)
    return shapes | _linear(f"{name}.{second}", intermediate, hidden)


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


# Tokenizers, built from words: training one takes seconds, and depends on the version of the package


def _wordpiece(words: Sequence[str]) -> Tokenizer:
    """A tokenizer as BERT's, uncased, with padding and truncation switched on as sentence-transformers leaves them."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = sorted({letter for word in words for letter in word.lower()} | set(".,!?'"))
    vocabulary = [*special, *letters, *(f"##{letter}" for letter in letters), *(w.lower() for w in words if len(w) > 1)]
    ids = {piece: index for index, piece in enumerate(dict.fromkeys(vocabulary))}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.add_special_tokens(special)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(length=32, pad_id=0, pad_token="[PAD]")
    tokenizer.enable_truncation(8)
    return tokenizer


def _byte_level(words: Sequence[str]) -> Tokenizer:
    """A tokenizer as RoBERTa's: bytes, and merges of those of a word from its first letter on."""
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = []
    for word in words:
        [(bytes_, _)] = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(f" {word}")
        for end in range(2, len(bytes_) + 1):
            merges.append((bytes_[: end - 1], bytes_[end - 1]))
            vocabulary.append(bytes_[:end])
    ids = {piece: index for index, piece in enumerate(dict.fromkeys([*vocabulary, "<mask>"]))}
    tokenizer = Tokenizer(models.BPE(ids, list(dict.fromkeys(merges))))
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def _unigram(words: Sequence[str]) -> Tokenizer:
    """A tokenizer as XLM-R's: pieces with scores, with a map of characters, which makes each A an a."""
    letters = sorted({letter for word in words for letter in word} | set("\u2581.,!?'"))
    pieces = [*((f"\u2581{word}", -3.0) for word in words), *((letter, -8.0) for letter in letters)]
    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    tokenizer = Tokenizer(models.Unigram([*special, *dict.fromkeys(pieces), ("<mask>", 0.0)], unk_id=3))
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)])
    tokenizer.normalizer = normalizers.Precompiled(base64.b64decode(characters_map()))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def characters_map(*, base: int = 321, place: int = 0) -> str:
    """Return a `precompiled_charsmap` that replaces A by a.

    Args:
        base: index of the unit that has the place of the replacement.
        place: the place in the replacements.
    """
    units = np.zeros(512, "<u4")
    units[ord("A")] = (ord("A") ^ base) << 10 | 1 << 8 | ord("A")  # offset, has a leaf, label
    if base < len(units):
        units[base] = 1 << 31 | place
    return base64.b64encode(units.nbytes.to_bytes(4, "little") + units.tobytes() + b"a\0").decode()


TOKENIZERS = {"bert": _wordpiece, "distilbert": _wordpiece, "roberta": _byte_level, "xlm-roberta": _unigram}


# Damages


def changed(name: str, *keys: str | int, value: Any) -> Damage:
    """Set a field of a JSON file, which may be nested, to another value."""

    def damage(folder: Path) -> None:
        container = document = json.loads((folder / name).read_text(encoding="utf-8"))
        for key in keys[:-1]:
            container = container[key]
        container[keys[-1]] = value
        (folder / name).write_text(json.dumps(document), encoding="utf-8")

    return damage


def config(key: str, value: Any) -> Damage:
    return changed(CONFIG, key, value=value)


def without(key: str) -> Damage:
    def damage(folder: Path) -> None:
        document = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        del document[key]
        (folder / CONFIG).write_text(json.dumps(document), encoding="utf-8")

    return damage


def content(name: str, data: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(data)


def removed(name: str, *, other: str | None = None) -> Damage:
    """Remove a file, or rename it."""
    return lambda folder: (folder / name).rename(folder / other) if other else (folder / name).unlink()


def replaced(name: str, put: Callable[[Path], object]) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        put(folder / name)

    return damage


def pooling(text: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / CONFIG).write_text(text, encoding="utf-8")

    return damage


def header(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Change the header of model.safetensors, and nothing else."""

    def damage(folder: Path) -> None:
        data = (folder / WEIGHTS).read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        document = json.loads(data[8:start])
        change(document)
        new = json.dumps(document).encode()
        (folder / WEIGHTS).write_bytes(len(new).to_bytes(8, "little") + new + data[start:])

    return damage


def tensor(name: str, **fields: Any) -> Damage:
    return header(lambda document: document[name].update(fields))


def number(name: str, value: float) -> Damage:
    """Set the first number of a tensor."""

    def damage(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        tensors[name].flat[0] = value
        save_file(tensors, folder / WEIGHTS)

    return damage


def pieces(*keys: str | int, value: Any) -> Damage:
    return changed(TOKENIZER, *keys, value=value)


def of_family(family: str, damage: Damage) -> Damage:
    """Damage a folder of another family."""

    def damage_other(folder: Path) -> None:
        write_tiny_encoder(folder, family)
        damage(folder)

    return damage_other


QUERY = "bert.encoder.layer.0.attention.self.query.weight"
KEY = QUERY.replace("query", "key")
TABLE = "embeddings.word_embeddings.weight"
DAMAGED_WEIGHTS: Cases = {
    "an endless header": (
        content(WEIGHTS, b"\xff" * 8 + b"{}"),
        "its header has 18446744073709551615 bytes, more than the file or than 4194304, or none",
    ),
    "an empty file": (content(WEIGHTS, b""), "its header has 0 bytes, more than the file or than 4194304, or none"),
    "a header that is no JSON": (
        content(WEIGHTS, b"\x01" + bytes(7) + b"x" * 100),
        "its header is no JSON: Expecting value: line 1 column 1 (char 0)",
    ),
    "a deep header": (
        content(WEIGHTS, (1 << 20).to_bytes(8, "little") + b"[" * (1 << 20)),
        "its header is nested too deeply",
    ),
    "a shape that is text": (
        tensor(QUERY, shape="16"),
        f"{QUERY}: shape is '16', no list of whole numbers",
    ),
    "a negative shape": (
        tensor(QUERY, shape=[-16, -16]),
        f"{QUERY}: shape is [-16, -16], no list of whole numbers",
    ),
    "a tensor that is a number": (
        header(lambda document: document.update({QUERY: 1})),
        f"{QUERY}: found 1, need an object",
    ),
    "fewer bytes than numbers": (
        tensor(QUERY, data_offsets=[0, 8]),
        f"{QUERY}: data_offsets are [0, 8], no 1024 bytes",
    ),
    "a place outside the file": (
        tensor(QUERY, data_offsets=[1 << 30, (1 << 30) + 1024]),
        f"{QUERY} ends at byte 1073747514, and the file has 31430",
    ),
    "one place for two tensors": (
        header(lambda document: document[QUERY].update(data_offsets=document[KEY]["data_offsets"])),
        f"{QUERY} and {KEY} share bytes",
    ),
    "the file is cut short": (
        lambda folder: os.truncate(folder / WEIGHTS, 20_000),
        "bert.encoder.layer.0.output.dense.weight ends at byte 21080, and the file has 20000",
    ),
}
BAD_FILES: Cases = {
    "no config": (
        removed(CONFIG),
        "{folder} has no config.json; it has: model.safetensors, tokenizer.json. Name the folder of a pretrained "
        "encoder as Hugging Face writes it.",
    ),
    "pickled weights": (
        removed(WEIGHTS, other="pytorch_model.bin"),
        "{folder} has no model.safetensors; it has: config.json, pytorch_model.bin, tokenizer.json. textclf reads "
        "safetensors only, which cannot run code. Load the encoder where you trust it, and save it with "
        "save_pretrained(folder, safe_serialization=True).",
    ),
    "weights in several files": (
        removed(WEIGHTS, other="model.safetensors.index.json"),
        "{folder} has its weights in several files (model.safetensors.index.json); textclf reads one. Save the "
        "encoder with save_pretrained(folder, max_shard_size='100GB').",
    ),
    "no fast tokenizer": (
        removed(TOKENIZER, other="vocab.txt"),
        "{folder} has no tokenizer.json; it has: config.json, model.safetensors, vocab.txt. Hugging Face's "
        "AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes it.",
    ),
    "config.json is a folder": (
        replaced(CONFIG, Path.mkdir),
        "{folder}/config.json is no regular file. Copy the folder again.",
    ),
    "the weights are a pipe": (
        replaced(WEIGHTS, os.mkfifo),
        "{folder}/model.safetensors is no regular file. Copy the folder again.",
    ),
    "the tokenizer is a device": (
        replaced(TOKENIZER, lambda path: path.symlink_to("/dev/zero")),
        "{folder}/tokenizer.json is no regular file. Copy the folder again.",
    ),
    "a link that leads nowhere": (
        replaced(WEIGHTS, lambda path: path.symlink_to("/nowhere/blob")),
        "{folder}/model.safetensors is a link to /nowhere/blob, which does not exist. Copy the folder again.",
    ),
    "a link that leads to itself": (
        replaced(WEIGHTS, lambda path: path.symlink_to(path)),
        "{folder}/model.safetensors cannot be read: Too many levels of symbolic links.",
    ),
    "a pointer of Git LFS": (
        content(WEIGHTS, b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 90868376\n"),
        "{folder}/model.safetensors is a pointer of Git LFS, not the data. Fetch them: git lfs pull.",
    ),
}
"""Folders that lack a file or have something else in its place, each with the message that refuses it."""
OTHER_FOLDERS: Cases = {
    "a huge config": (
        lambda folder: os.truncate(folder / CONFIG, MAX_CONFIG_BYTES + 1),
        "{folder}/config.json has 1048577 bytes: at most 1048576 are read. Copy the folder again.",
    ),
    "a huge tokenizer": (
        lambda folder: os.truncate(folder / TOKENIZER, MAX_BYTES + 1),
        "{folder}/tokenizer.json has 67108865 bytes, more than any tokenizer: at most 67108864 are read. Copy the "
        "folder again.",
    ),
    "more weights than a graph holds": (
        lambda folder: [
            config(key, value)(folder) for key, value in {"hidden_size": 4096, "vocab_size": 10**6}.items()
        ],
        "{folder} is too large: its weights take 16,923,951,360 bytes, and model.onnx can hold 2,147,483,647. "
        "Take a smaller encoder.",
    ),
    "another pooling": (
        pooling('{"word_embedding_dimension": 16, "pooling_mode_max_tokens": true, "pooling_mode_mean_tokens": false}'),
        "{folder}/1_Pooling/config.json: pooling_mode_max_tokens is not supported; supported: one of "
        "pooling_mode_cls_token, pooling_mode_mean_tokens. Take another encoder.",
    ),
    "no pooling": (
        pooling("{}"),
        "{folder}/1_Pooling/config.json: no pooling mode is not supported; supported: one of "
        "pooling_mode_cls_token, pooling_mode_mean_tokens. Take another encoder.",
    ),
    "no encoder": (
        header(lambda document: document.pop("bert." + TABLE)),
        "{folder}/model.safetensors needs one tensor whose name ends in embeddings.word_embeddings.weight; it has: "
        "bert.embeddings.position_ids, bert.embeddings.LayerNorm.bias, bert.embeddings.LayerNorm.weight and 37 more. "
        "Take another encoder.",
    ),
    "two encoders": (
        header(lambda document: document.update({"passages." + TABLE: document["bert." + TABLE]})),
        "{folder}/model.safetensors needs one tensor whose name ends in embeddings.word_embeddings.weight; it has "
        "2 of them. Take another encoder.",
    ),
    "a tensor is missing": (
        header(lambda document: document.pop(QUERY)),
        "{folder}/model.safetensors lacks bert.encoder.layer.0.attention.self.query.weight, which config.json "
        "promises. Copy the folder again.",
    ),
    "another shape": (
        config("intermediate_size", 64),
        "{folder}/model.safetensors: bert.encoder.layer.0.intermediate.dense.weight has shape (32, 16), and by "
        "config.json it needs (64, 16). Copy the folder again.",
    ),
    "a type that is not read": (
        tensor(QUERY, dtype="F8_E4M3"),
        "{folder}/model.safetensors: bert.encoder.layer.0.attention.self.query.weight has values of type "
        "'F8_E4M3'; textclf reads F32, F16, BF16. Save the encoder in one of these.",
    ),
    "NaN": (
        number(QUERY, np.nan),
        "{folder}/model.safetensors: bert.encoder.layer.0.attention.self.query.weight holds NaN or infinity. Take "
        "another encoder.",
    ),
    "more ids than rows": (
        pieces("model", "vocab", "a", value=74),
        "{folder}/tokenizer.json is of another encoder: it has the ids 0 to 74, and the table of pieces has 74 "
        "rows. Copy the folder again.",
    ),
}
