"""Pretrained encoders on this machine, and how long each trains: `textclf init` proposes one, or sets one by name."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from textclf.data.columns import evenly_spaced
from textclf.errors import UserError
from textclf.io.processors import usable_processors
from textclf.io.sanitize import is_encodable
from textclf.io.streams import expand_home
from textclf.models.encoder.folder import CONFIG, TOKENIZER, read_encoder
from textclf.models.encoder.sizes import EncoderSizes, weight_count
from textclf.models.encoder.weights import check_weights
from textclf.text.encoding import UNKNOWN
from textclf.text.model_input import PieceEncoder
from textclf.text.piece_tokenizer import read_tokenizer
from textclf.text.tokenizer import TextOptions
from textclf.text.vocabulary import WordCounts

FOLDER = "data/encoders"

VARIABLE = "TEXTCLF_ENCODER"
"""The environment variable that names an encoder's folder, or a folder of such folders."""

MAX_CHARACTERS = 2000  # of a text that are split into pieces: more than MAX_PIECES of them

MIN_PIECES, MAX_PIECES = 32, 256  # of a text: new texts may be longer than all known ones; time grows with the length

# MiniLM, 6 layers of 384 dimensions, trains 68 rows of 32 pieces a second on one processor, and 110 on two.
OPERATIONS_PER_SECOND = 7e10
SPEED_UP = 0.7  # n processors are n ** SPEED_UP times as fast as one

MAX_MINUTES = 15  # beyond which not the whole encoder is trained

FEW = 500  # rows: two layers are trained, in more epochs

# A word of its language is one piece or two; an encoder for English splits one of another language into 1.7 to 4.
MAX_PIECES_PER_WORD = 1.5
MULTILINGUAL, MAX_PIECES_PER_WORD_MULTILINGUAL = 100_000, 2.5  # from so many pieces on, which a hundred languages share
MAX_UNKNOWN = 0.05


class EncoderFolder(NamedTuple):
    """A folder of a pretrained encoder, and what its pieces are to the texts."""

    path: str
    weights: int = 0
    """Number of its weights."""
    layers: int = 0
    operations: int = 0
    """Multiplications for a piece of a text, from ids to vectors."""
    max_length: int = 0
    """Pieces of a text to read: almost all of those of almost all texts."""
    median: float = 0.0
    """Median number of pieces of a text. Counted in the first MAX_CHARACTERS, as are the next ones."""
    p99: int = 0
    """99th percentile of the number of pieces of a text."""
    mean: float = 0.0
    """Mean number of pieces that are read of a text."""
    cut: float = 0.0
    """Share of the texts with more than `max_length` pieces, 0 to 1."""
    pieces_per_word: float = 0.0
    unknown: float = 0.0
    """Share of the pieces that stand for characters which the encoder does not know, 0 to 1."""
    knows_language: bool = False
    """True if it splits few words, and knows their characters: it was trained on such texts."""
    problem: str = ""
    """The reason why it cannot be used."""


class EncoderTraining(NamedTuple):
    """What to train of an encoder, and how long that takes."""

    trainable: str
    """`last_2` or `all`, as in EncoderOptions."""
    epochs: int
    minutes: float
    minutes_of_all: float
    """If the whole encoder were trained."""


def find_encoders(texts: Sequence[str]) -> list[EncoderFolder]:
    """Return the encoders on this machine; first those that know the texts' language, the fastest first."""
    encoders = [_read_or_problem(path, texts) for path in encoder_paths()]
    return sorted(encoders, key=lambda encoder: (not encoder.knows_language, encoder.operations, encoder.path))


def encoder_paths() -> list[Path]:
    """Return the folders that may hold an encoder: in data/encoders, and where TEXTCLF_ENCODER points."""
    named = os.environ.get(VARIABLE)
    here = _folders(Path(FOLDER)) if os.path.lexists(FOLDER) else []
    place = Path(expand_home(named)) if named else None
    there = (_folders(place) or [place]) if place else []
    return list(dict.fromkeys([*here, *there]))


def _folders(place: Path) -> list[Path]:
    """Return the folder itself if it has an encoder or cannot be read, else the folders in it."""
    try:
        names = sorted(os.listdir(place))  # noqa: PTH208 - Path.iterdir makes a path of each name
    except OSError:
        return [place]
    if CONFIG in names:
        return [place]
    return [place / name for name in names if not name.startswith(".") and os.path.isdir(place / name)]  # noqa: PTH112


def _read_or_problem(path: Path, texts: Sequence[str]) -> EncoderFolder:
    try:
        return read_encoder_folder(path, texts)
    except UserError as error:
        problem, name = str(error), path.as_posix()
        return EncoderFolder(name, problem=problem if name in problem else f"{name}: {problem}")


def read_encoder_folder(path: Path, texts: Sequence[str]) -> EncoderFolder:
    """Read the sizes of an encoder, and split about a thousand of the texts into its pieces.

    Raises:
        UserError: there is no encoder that textclf can read, or the package tokenizers is missing.
    """
    if not is_encodable(str(path)):
        raise UserError(f"{path}: the name is not UTF-8, so that no config can hold it. Rename the folder.")
    encoder = read_encoder(path)
    check_weights(encoder)
    sizes = encoder.sizes
    tokenizer = read_tokenizer(path / TOKENIZER, pieces=sizes.pieces)
    sample = [text[:MAX_CHARACTERS] for text in evenly_spaced(list(texts))]
    splitter = PieceEncoder(tokenizer, TextOptions(), max_length=MAX_CHARACTERS, truncate="end")
    pieces = splitter.encode(sample)
    lengths = pieces.token_counts  # (texts,)
    p99 = int(np.quantile(lengths, 0.99, method="higher"))
    max_length = min(max(MIN_PIECES, -(-p99 // 8) * 8), MAX_PIECES, sizes.positions)
    words = int(WordCounts(TextOptions()).tokenize(sample).counts.sum())
    per_word = float((lengths - tokenizer.special_count).sum() / max(1, words))
    unknown = float((splitter.mark_unknown(pieces).flat == UNKNOWN).mean())
    most = MAX_PIECES_PER_WORD if sizes.pieces < MULTILINGUAL else MAX_PIECES_PER_WORD_MULTILINGUAL
    return EncoderFolder(
        path.as_posix(),
        weights=weight_count(sizes),
        layers=sizes.layers,
        operations=_operations(sizes),
        max_length=max_length,
        median=float(np.median(lengths)),
        p99=p99,
        mean=float(np.minimum(lengths, max_length).mean()),
        cut=float((lengths > max_length).mean()),
        pieces_per_word=per_word,
        unknown=unknown,
        knows_language=per_word <= most and unknown <= MAX_UNKNOWN,
    )


def _operations(sizes: EncoderSizes) -> int:
    """Return the multiplications for a piece: four square kernels and two of the feed-forward network in each layer."""
    return sizes.layers * (4 * sizes.hidden**2 + 2 * sizes.hidden * sizes.intermediate)


def suggest_encoder_training(encoder: EncoderFolder, *, rows: int, labels: int) -> EncoderTraining:
    """Suggest what to train of an encoder, for how many epochs, and estimate how long that takes on this machine."""
    epochs = _epochs(rows, labels)
    minutes_of_all = training_minutes(encoder, encoder.layers, rows=rows * epochs)
    if rows >= FEW and minutes_of_all <= MAX_MINUTES:
        return EncoderTraining("all", epochs, minutes_of_all, minutes_of_all)
    minutes = training_minutes(encoder, min(2, encoder.layers), rows=rows * epochs)
    return EncoderTraining("last_2", epochs, minutes, minutes_of_all)


def _epochs(rows: int, labels: int) -> int:
    """Suggest more epochs for fewer rows, and for fewer rows of a label."""
    if rows < FEW:
        return 6
    return 3 if rows < 2000 or rows < 200 * labels else 2


def training_minutes(encoder: EncoderFolder, trained_layers: int, *, rows: int) -> float:
    """Estimate how long training takes on this machine's processors, with rows counted once an epoch.

    A layer that is trained takes two further passes of a forward one's operations: for gradients and for states.
    """
    passes = 1 + 2 * trained_layers / encoder.layers
    per_second = OPERATIONS_PER_SECOND * usable_processors() ** SPEED_UP
    return rows * encoder.mean * encoder.operations * passes / per_second / 60


def minutes_text(minutes: float) -> str:
    """Format minutes, such as `4 min` or `2.5 hours`."""
    if minutes > 90:
        return f"{minutes / 60:.1f} hours"
    return f"{max(1, math.ceil(minutes))} min"
