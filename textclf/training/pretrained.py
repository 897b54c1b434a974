"""Training on a pretrained encoder: its weights, and for its last layer alone the vectors of all rows."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.errors import UserError
from textclf.io.files import replacing
from textclf.io.streams import expand_home
from textclf.models.architecture import Floats, Shape
from textclf.models.encoder.folder import read_encoder
from textclf.models.encoder.network import EncoderOptions, build_head
from textclf.models.encoder.sizes import EncoderWeights
from textclf.models.encoder.weights import read_weights
from textclf.text.encoding import TokenIds
from textclf.training.loop import Examples, forward_function, forward_tokens

logger = logging.getLogger(__name__)


def pretrained_encoder(options: EncoderOptions) -> EncoderWeights:
    """Read the encoder that the options name.

    Raises:
        UserError: the folder cannot be read.
    """
    encoder = read_encoder(Path(expand_home(options.encoder)))
    return EncoderWeights(encoder.sizes, read_weights(encoder))


class HeadTraining(NamedTuple):
    """The last layer of a network as a network of its own, and the rows as it takes them."""

    network: Any
    train: Examples
    validation: Examples


def head_training(
    options: EncoderOptions, shape: Shape, network: Any, train: Examples, validation: Examples, *, file: Path | None
) -> HeadTraining:
    """Return the last layer of a network and the vectors that it reads of all rows: epochs then cost next to nothing.

    Args:
        file: where the vectors are kept for further trainings on the same rows; None: nowhere.

    Raises:
        UserError: the file is damaged.
    """
    import keras

    if file and file.exists():
        vectors = _load(file, rows=len(train) + len(validation))
    else:
        logger.info("the encoder computes the vectors of %d texts once", len(train) + len(validation))
        pooled = keras.Model(network.input, network.get_layer("pooled").output)
        forward = forward_function(pooled, batch_size=32, tokens=forward_tokens(options))
        vectors = np.concatenate([forward(train.token_ids), forward(validation.token_ids)])  # (n, hidden)
        if file:
            _save(file, vectors)
    head = build_head(options, shape, vectors)
    head.get_layer("logits").set_weights(network.get_layer("logits").get_weights())
    row_ids = np.arange(1, len(vectors) + 1)  # 0 is padding
    return HeadTraining(
        head,
        replace(train, token_ids=_single_id_rows(row_ids[: len(train)])),
        replace(validation, token_ids=_single_id_rows(row_ids[len(train) :])),
    )


def _single_id_rows(row_ids: npt.NDArray[np.int64]) -> TokenIds:
    """Return rows of one id each."""
    ones = np.ones(len(row_ids), np.int64)
    return TokenIds(row_ids, ones, ones)


def _save(file: Path, vectors: Floats) -> None:
    file.parent.mkdir(exist_ok=True)
    with replacing(file) as temporary, temporary.open("wb") as stream:  # given a path, NumPy adds .npy to its name
        np.save(stream, vectors, allow_pickle=False)


def _load(file: Path, *, rows: int) -> Floats:
    try:
        vectors = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{file} is damaged: {error}. Begin anew with --overwrite.") from None
    if vectors.ndim != 2 or len(vectors) != rows or vectors.dtype != np.float32:
        raise UserError(f"{file} is of other rows. Begin anew with --overwrite.")
    return vectors
