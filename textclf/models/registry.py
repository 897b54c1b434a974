"""The architectures: what a network can be, by the name that `model.type` gives it.

An architecture is an options class and its functions, named in MODELS; see `Architecture`. Stock Keras layers and ops
only, so that a saved model loads where textclf is not installed. TensorFlow is imported inside `build`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textclf.models.architecture import Architecture
from textclf.models.bilstm.network import (
    BILSTM_SPACE,
    BilstmOptions,
    bilstm_checked,
    bilstm_constants,
    bilstm_logits,
    bilstm_weights,
    build_bilstm,
)
from textclf.models.bilstm.shrink import bilstm_weight_shapes, shrink_bilstm, smaller_bilstm
from textclf.models.mlp.network import (
    MLP_SPACE,
    MlpOptions,
    build_mlp,
    mlp_checked,
    mlp_constants,
    mlp_logits,
    mlp_weights,
)
from textclf.models.mlp.shrink import mlp_weight_shapes, shrink_mlp, smaller_mlp

if TYPE_CHECKING:
    import keras


MODELS: dict[str, Architecture] = {
    "bilstm": Architecture(
        options=BilstmOptions,
        build=build_bilstm,
        constants=bilstm_constants,
        checked=bilstm_checked,
        logits=bilstm_logits,
        weights=bilstm_weights,
        weight_shapes=bilstm_weight_shapes,
        smaller=smaller_bilstm,
        shrink=shrink_bilstm,
        space=BILSTM_SPACE,
    ),
    "mlp": Architecture(
        options=MlpOptions,
        build=build_mlp,
        constants=mlp_constants,
        checked=mlp_checked,
        logits=mlp_logits,
        weights=mlp_weights,
        weight_shapes=mlp_weight_shapes,
        smaller=smaller_mlp,
        shrink=shrink_mlp,
        space=MLP_SPACE,
    ),
}

ModelOptions = BilstmOptions | MlpOptions
"""The options of any of them, told apart by `type`."""


def logits_model(network: keras.Model, *, name: str | None = None) -> keras.Model:
    """The network less its activation: numerically the better end for a loss."""
    import keras

    return keras.Model(network.inputs, network.get_layer("logits").output, name=name)
