"""The architectures by their name in `model.type`, and what may join them by its name in `model.blend`.

Networks consist of stock Keras layers and operations, so that a saved one loads where textclf is not installed. Keras
is imported inside the functions: prediction does not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textclf.models.architecture import Architecture, FurtherPart, Shrinking
from textclf.models.bilstm import network as bilstm
from textclf.models.bilstm import onnx as bilstm_onnx
from textclf.models.encoder import network as encoder
from textclf.models.encoder import onnx as encoder_onnx
from textclf.models.linear import network as linear
from textclf.models.linear import onnx as linear_onnx
from textclf.models.mlp import network as mlp
from textclf.models.mlp import onnx as mlp_onnx

if TYPE_CHECKING:
    import keras


MODELS: dict[str, Architecture] = {
    "bilstm": Architecture(
        options=bilstm.BilstmOptions,
        space=bilstm.BILSTM_SPACE,
        build=bilstm.build_bilstm,
        weights=bilstm.bilstm_weights,
        shrinking=Shrinking(bilstm.bilstm_weight_shapes, bilstm.smaller_bilstm, bilstm.shrink_bilstm),
        graph_constants=bilstm_onnx.graph_constants,
        check_constants=bilstm_onnx.check_constants,
        write_logits=bilstm_onnx.write_logits,
    ),
    "mlp": Architecture(
        options=mlp.MlpOptions,
        space=mlp.MLP_SPACE,
        build=mlp.build_mlp,
        weights=mlp.mlp_weights,
        shrinking=Shrinking(mlp.mlp_weight_shapes, mlp.smaller_mlp, mlp.shrink_mlp),
        graph_constants=mlp_onnx.graph_constants,
        check_constants=mlp_onnx.check_constants,
        write_logits=mlp_onnx.write_logits,
    ),
    "encoder": Architecture(
        options=encoder.EncoderOptions,
        space=encoder.ENCODER_SPACE,
        build=encoder.build_encoder,
        weights=encoder.encoder_weights,
        shrinking=None,
        graph_constants=encoder_onnx.graph_constants,
        check_constants=encoder_onnx.check_constants,
        write_logits=encoder_onnx.write_logits,
        integer_products=True,
    ),
}

PARTS: dict[str, FurtherPart] = {
    "linear": FurtherPart(
        weights=linear.linear_weights,
        graph_constants=linear_onnx.graph_constants,
        check_constants=linear_onnx.check_constants,
        write_logits=linear_onnx.write_logits,
    ),
}
"""What may join a network of MODELS, by its name in `model.blend`."""

ModelOptions = bilstm.BilstmOptions | mlp.MlpOptions | encoder.EncoderOptions
"""The options of any architecture, told apart by `type`."""


def logits_model(network: keras.Model, *, name: str | None = None) -> keras.Model:
    """Return the network up to its logits, without the activation: a loss of logits is numerically more exact."""
    import keras

    return keras.Model(network.inputs, network.get_layer("logits").output, name=name)
