"""Folders of pretrained encoders as Hugging Face writes them: what they hold, and their sizes.

A folder may come from a stranger. Nothing in it is run or unpickled, and every number that memory depends on is
checked before weights are read. Links are followed: Hugging Face's cache is made of them.
"""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from textclf.errors import UserError
from textclf.io.sanitize import join_names
from textclf.io.streams import missing_file, open_data
from textclf.models.encoder.sizes import (
    MAX_HEADS,
    MAX_POSITIONS,
    EncoderSizes,
    PoolingOfPieces,
    weight_count,
)

CONFIG, WEIGHTS, TOKENIZER, POOLING = "config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"

MAX_CONFIG_BYTES = 1 << 20  # those of Hugging Face have a few kilobytes, at most one line for each of many labels

MAX_WEIGHT_BYTES = (1 << 31) - 1  # limit of Protocol Buffers, and so of model.onnx

COPY = "Copy the folder again."


class _Keys(NamedTuple):
    """The names that a family has for the sizes in config.json."""

    hidden: str
    layers: str
    heads: str
    intermediate: str
    activation: str


_BERT = _Keys("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act")

_DISTILBERT = _Keys("dim", "n_layers", "n_heads", "hidden_dim", "activation")

FAMILIES = {"bert": _BERT, "distilbert": _DISTILBERT, "roberta": _BERT, "xlm-roberta": _BERT}
"""The values of `model_type` that are read."""

_POSITIONS_AFTER_PADDING = ("roberta", "xlm-roberta")

# Keys that change the network, with the values under which it is the one that textclf builds; all may be missing.
_NEEDED: Mapping[str, tuple[Any, ...]] = {
    "position_embedding_type": ("absolute", None),
    "is_decoder": (False, None),
    "is_encoder_decoder": (False, None),
    "add_cross_attention": (False, None),
    "quantization_config": (None,),
}

_POOLING: Mapping[str, PoolingOfPieces] = {"pooling_mode_cls_token": "first", "pooling_mode_mean_tokens": "mean"}


@dataclass(frozen=True)
class PretrainedEncoder:
    """A folder of a pretrained encoder, its family and its sizes."""

    path: Path
    family: str
    """The config's `model_type`, a key of FAMILIES."""
    sizes: EncoderSizes
    first_position: int
    """Row of the file's table of positions that the first piece of a text has; those before it are not used."""


def read_encoder(path: Path) -> PretrainedEncoder:
    """Read the sizes of the encoder in a folder, after checks that textclf can read it.

    Raises:
        UserError: there is no such folder, a file is missing or damaged, or the encoder is of another kind.
    """
    _check_files(path)
    file = path / CONFIG
    config = _read_json(file)
    family = config.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise _not_supported(file, f"model_type {_shown(family)}", ", ".join(FAMILIES))
    _check_network(file, config, FAMILIES[family])
    first_position = 0
    if family in _POSITIONS_AFTER_PADDING:
        first_position = _whole_number(file, {"pad_token_id": 1, **config}, "pad_token_id", 0, 1000) + 1
    sizes = _sizes(file, config, FAMILIES[family], first_position=first_position, pooling=_pooling(path))
    weight_bytes = 4 * weight_count(sizes)
    if weight_bytes > MAX_WEIGHT_BYTES:
        raise UserError(
            f"{path} is too large: its weights take {weight_bytes:,} bytes, and model.onnx can hold "
            f"{MAX_WEIGHT_BYTES:,}. Take a smaller encoder."
        )
    return PretrainedEncoder(path, family, sizes, first_position)


def encoder_files(path: Path) -> list[Path]:
    """Return the files that are read of an encoder's folder."""
    pooling = path / POOLING
    names = [CONFIG, WEIGHTS, TOKENIZER, *([POOLING] if os.path.lexists(pooling) else [])]
    return [path / name for name in names]


# Files

_ADVICE = {
    CONFIG: "Name the folder of a pretrained encoder as Hugging Face writes it.",
    WEIGHTS: "textclf reads safetensors only, which cannot run code. Load the encoder where you trust it, and save it "
    "with save_pretrained(folder, safe_serialization=True).",
    TOKENIZER: "Hugging Face's AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes it.",
}


def _check_files(path: Path) -> None:
    """Refuse a folder that is missing or lacks a file.

    Raises:
        UserError: there is no such folder, or it lacks a file.
    """
    names = _names(path)
    for name, advice in _ADVICE.items():
        if name == WEIGHTS and WEIGHTS not in names and f"{WEIGHTS}.index.json" in names:
            raise UserError(
                f"{path} has its weights in several files ({WEIGHTS}.index.json); textclf reads one. Save the encoder "
                "with save_pretrained(folder, max_shard_size='100GB')."
            )
        if name not in names:
            rest = f"it has: {join_names(names)}" if names else "it is empty"
            raise UserError(f"{path} has no {name}; {rest}. {advice}")
        _check_regular(path / name)
    if os.path.lexists(path / POOLING):
        _check_regular(path / POOLING)


def _check_regular(path: Path) -> None:
    """Refuse a folder, a pipe, or a link that leads nowhere.

    Raises:
        UserError: it is no regular file.
    """
    try:
        state = path.stat()
    except FileNotFoundError:
        raise UserError(f"{path} is a link to {path.readlink()}, which does not exist. {COPY}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    if not stat.S_ISREG(state.st_mode):
        raise UserError(f"{path} is no regular file. {COPY}")


def _names(path: Path) -> list[str]:
    """Return the sorted names of the files in a folder.

    Raises:
        UserError: there is no such folder, or it cannot be read.
    """
    try:
        return sorted(os.listdir(path))  # noqa: PTH208 - Path.iterdir makes a path of each name
    except FileNotFoundError:
        missing = missing_file(str(path)).replace("no file", "no folder", 1)
        raise UserError(f"{missing} textclf downloads nothing: fetch the encoder's folder first.") from None
    except NotADirectoryError:
        raise UserError(f"{path} is a file. Name the folder of the encoder, which has {CONFIG}.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:  # a NUL in the name
        raise UserError(f"{path} cannot be read: {error}.") from None


def _read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of the folder.

    Raises:
        UserError: it cannot be read, is too large or no JSON object.
    """
    with open_data(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_CONFIG_BYTES:
            raise UserError(f"{path} has {size} bytes: at most {MAX_CONFIG_BYTES} are read. {COPY}")
        data = file.read(size)
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except ValueError as error:
        raise damaged(path, str(error)) from None
    except RecursionError:
        raise damaged(path, "nested too deeply") from None
    if not isinstance(document, dict):
        raise damaged(path, f"found {_shown(document)}, need an object")
    return document


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


# Fields


def _check_network(file: Path, config: Mapping[str, Any], keys: _Keys) -> None:
    """Refuse a config of a network that textclf does not build.

    Raises:
        UserError: a key of the config has a value that is not supported.
    """
    for key, values in {keys.activation: ("gelu",), **_NEEDED}.items():
        value = config.get(key, values[0])
        if not any(value is needed or (isinstance(value, str) and value == needed) for needed in values):
            raise _not_supported(file, f"{key} {_shown(value)}", json.dumps(values[0]))


def _sizes(
    file: Path, config: Mapping[str, Any], keys: _Keys, *, first_position: int, pooling: PoolingOfPieces
) -> EncoderSizes:
    """Return the sizes in a config.

    Raises:
        UserError: a size is missing, of a wrong type or out of range.
    """
    hidden = _whole_number(file, config, keys.hidden, 1, 4096)
    heads = _whole_number(file, config, keys.heads, 1, MAX_HEADS)
    if hidden % heads:
        raise damaged(file, f"{keys.hidden}: found {hidden}, need a multiple of {keys.heads}, which is {heads}")
    if (embedding := config.get("embedding_size", hidden)) != hidden:
        raise _not_supported(file, f"embedding_size {_shown(embedding)}", f"{keys.hidden}, which is {hidden}")
    rows = _whole_number(file, config, "max_position_embeddings", first_position + 2, first_position + MAX_POSITIONS)
    return EncoderSizes(
        pieces=_whole_number(file, config, "vocab_size", 1, 1_000_000),
        positions=rows - first_position,
        hidden=hidden,
        layers=_whole_number(file, config, keys.layers, 1, 48),
        heads=heads,
        intermediate=_whole_number(file, config, keys.intermediate, 1, 16384),
        epsilon=1e-12 if keys is _DISTILBERT else _epsilon(file, config),  # DistilBERT has it in its code
        pooling=pooling,
    )


def _whole_number(file: Path, config: Mapping[str, Any], key: str, least: int, most: int) -> int:
    if key not in config:
        raise damaged(file, f"it lacks {key}")
    value = config[key]
    if type(value) is not int or value < least:
        raise damaged(file, f"{key}: found {_shown(value)}, need a whole number from {least} to {most}")
    if value > most:
        raise _not_supported(file, f"{key} {_shown(value)}", f"{least} to {most}")
    return value


def _epsilon(file: Path, config: Mapping[str, Any]) -> float:
    value = config.get("layer_norm_eps", 1e-12)
    if not isinstance(value, float) or not value >= 1e-15:
        raise damaged(file, f"layer_norm_eps: found {_shown(value)}, need a number from 1e-15 to 0.01")
    if value > 1e-2:
        raise _not_supported(file, f"layer_norm_eps {_shown(value)}", "1e-15 to 0.01")
    return value


def _pooling(path: Path) -> PoolingOfPieces:
    """Return how sentence-transformers pools the vectors of pieces; the mean where the folder does not say.

    Raises:
        UserError: the folder says a way that textclf does not know.
    """
    file = path / POOLING
    if not file.exists():
        return "mean"
    modes = [name for name, used in _read_json(file).items() if name.startswith("pooling_mode_") and used is not False]
    if len(modes) != 1 or modes[0] not in _POOLING:
        raise _not_supported(file, join_names(modes) if modes else "no pooling mode", f"one of {', '.join(_POOLING)}")
    return _POOLING[modes[0]]


def _shown(value: object) -> str:
    return f"{value!r:.60}"


def damaged(file: Path, problem: str) -> UserError:
    """Return the error of a file that is damaged."""
    return UserError(f"{file} is damaged: {problem}. {COPY}")


def _not_supported(file: Path, what: str, supported: str) -> UserError:
    return UserError(f"{file}: {what} is not supported; supported: {supported}. Take another encoder.")
