"""Checks of the pretrained files that a config names: word vectors, and the folder of an encoder."""

from importlib.util import find_spec
from pathlib import Path

from textclf.config.schema import AUGMENTATIONS, Config
from textclf.errors import UserError
from textclf.io.streams import expand_home, is_regular_file, missing_file
from textclf.models.encoder.folder import MAX_WEIGHT_BYTES, encoder_files, read_encoder
from textclf.models.encoder.network import EncoderOptions
from textclf.models.encoder.sizes import weight_count
from textclf.models.encoder.weights import check_weights

ENCODER_OPTIMIZERS = ("adam", "adamw")
"""Those that have a learning rate for the encoder and one for the last layer."""


def pretrained_files(config: Config) -> list[Path]:
    """Return the files that the weights, or word vectors, of a config's network come from."""
    if isinstance(config.model, EncoderOptions):
        return encoder_files(Path(expand_home(config.model.encoder)))
    return [Path(expand_home(config.model.pretrained))] if config.model.pretrained else []


def pretrained_key(config: Config) -> str:
    """Return the option that names the `pretrained_files`."""
    return "model.encoder" if isinstance(config.model, EncoderOptions) else "model.pretrained"


def pretrained_problems(config: Config, *, config_folder: Path | None = None) -> list[tuple[str, str]]:
    """Return the problems of options that concern pretrained files, as (dotted key, message) pairs.

    Args:
        config_folder: folder of the config, for messages.
    """
    if isinstance(config.model, EncoderOptions):
        return _encoder_problems(config, config.model)
    problems = []
    pretrained = config.model.pretrained
    if pretrained is not None and not is_regular_file(expand_home(pretrained)):
        is_beside = config_folder is not None and is_regular_file(str(config_folder / pretrained))
        message = missing_file(pretrained, beside=config_folder if is_beside else None)
        problems.append(("model.pretrained", message))
    if config.augment.synonyms and pretrained is None:
        problems.append(("augment.synonyms", "needs word vectors, whose neighbours they are. Set model.pretrained."))
    return problems


def _encoder_problems(config: Config, options: EncoderOptions) -> list[tuple[str, str]]:
    """Return the problems of an encoder's folder, and of options that do not fit it."""
    problems = [
        (f"augment.{name}", "changes words, and an encoder reads pieces of words. Leave it out.")
        for name in AUGMENTATIONS
        if getattr(config.augment, name)
    ]
    if config.training.optimizer not in ENCODER_OPTIMIZERS:
        problems.append(("training.optimizer", f"should be {' or '.join(ENCODER_OPTIMIZERS)} for an encoder"))
    if find_spec("tokenizers") is None:
        return [*problems, ("model.type", "encoder needs the package tokenizers: pip install 'tokenizers>=0.21.1'")]
    try:
        encoder = read_encoder(Path(expand_home(options.encoder)))
        check_weights(encoder)
    except UserError as problem:
        return [*problems, ("model.encoder", str(problem))]
    layers, positions = encoder.sizes.layers, encoder.sizes.positions
    if options.trainable.startswith("last_") and int(options.trainable.removeprefix("last_")) > layers:
        problems.append(
            ("model.trainable", f"{options.encoder} has {layers} layers; write all, or last_{layers} at most")
        )
    if config.text.max_length > positions:
        problems.append(
            ("text.max_length", f"should be at most {positions}, the pieces that {options.encoder} can read")
        )
    seeds, weight_bytes = config.training.seeds, 4 * weight_count(encoder.sizes)
    if config.training.ensemble and seeds * weight_bytes > MAX_WEIGHT_BYTES:
        message = (
            f"should be at most {MAX_WEIGHT_BYTES // weight_bytes} in an ensemble of {options.encoder}: each network "
            f"has {weight_bytes:,} bytes, and model.onnx can hold {MAX_WEIGHT_BYTES:,}"
        )
        problems.append(("training.seeds", message))
    return problems
