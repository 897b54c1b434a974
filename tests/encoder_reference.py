"""A pretrained encoder by the textbook: one text at a time, in NumPy, straight from the files of its folder.

Devlin et al.: BERT (2019), with the names that each family of Hugging Face's models has for its weights.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

Array = npt.NDArray[np.float64]

DISTILBERT = {
    "attention.self.query": "attention.q_lin", "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin", "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm", "intermediate.dense": "ffn.lin1", "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}  # fmt: skip
"""DistilBERT's names for the modules of a layer of BERT."""


class ReferenceEncoder:
    """The encoder in a folder, from the pieces of a text to a vector for each."""

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.family: str = self.config["model_type"]
        self.tensors = load_file(folder / "model.safetensors")

    def states(self, pieces: list[int]) -> Array:
        """Return the vectors of the pieces of a text, shape (pieces, hidden)."""
        width = len(pieces)
        # RoBERTa counts the positions from behind that of its padding
        first = self.config.get("pad_token_id", 1) + 1 if self.family in ("roberta", "xlm-roberta") else 0
        x = self.tensor("embeddings.word_embeddings.weight")[pieces]
        x = x + self.tensor("embeddings.position_embeddings.weight")[first : first + width]
        if self.family != "distilbert":
            x = x + self.tensor("embeddings.token_type_embeddings.weight")[0]
        x = self.norm("embeddings.LayerNorm", x)
        for layer in range(self.config["n_layers" if self.family == "distilbert" else "num_hidden_layers"]):
            name = f"encoder.layer.{layer}"
            x = self.norm(f"{name}.attention.output.LayerNorm", x + self.attend(name, x))
            wide = gelu(self.linear(f"{name}.intermediate.dense", x))
            x = self.norm(f"{name}.output.LayerNorm", x + self.linear(f"{name}.output.dense", wide))
        return x

    def attend(self, name: str, x: Array) -> Array:
        """Vaswani et al.: Attention is all you need (2017), section 3.2.2."""
        q, k, v = (self.linear(f"{name}.attention.self.{part}", x) for part in ("query", "key", "value"))
        heads = self.config["n_heads" if self.family == "distilbert" else "num_attention_heads"]
        mixed = [
            softmax(q_head @ k_head.T / math.sqrt(q_head.shape[1])) @ v_head
            for q_head, k_head, v_head in zip(*(np.split(part, heads, axis=1) for part in (q, k, v)), strict=True)
        ]  # (pieces, hidden / heads) each
        return self.linear(f"{name}.attention.output.dense", np.concatenate(mixed, axis=1))

    def linear(self, name: str, x: Array) -> Array:
        return x @ self.tensor(f"{name}.weight").T + self.tensor(f"{name}.bias")

    def norm(self, name: str, x: Array) -> Array:
        """Ba, Kiros, Hinton: Layer normalization (2016)."""
        epsilon = self.config.get("layer_norm_eps", 1e-12)
        centred = x - x.mean(axis=1, keepdims=True)
        normal = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + epsilon)
        return normal * self.tensor(f"{name}.weight") + self.tensor(f"{name}.bias")

    def tensor(self, name: str) -> Array:
        """Return a tensor by BERT's name for it, whatever the family's own name and prefix."""
        if self.family == "distilbert":
            name = own_name(name)
        [stored] = [key for key in self.tensors if key == name or key.endswith(f".{name}")]
        return self.tensors[stored].astype(np.float64)


def own_name(name: str) -> str:
    """Return DistilBERT's name for a tensor of BERT's name."""
    if name.startswith("embeddings."):
        return name
    number, module = name.removeprefix("encoder.layer.").split(".", 1)
    module, kind = module.rsplit(".", 1)
    return f"transformer.layer.{number}.{DISTILBERT[module]}.{kind}"


def softmax(x: Array) -> Array:
    power = np.exp(x - x.max(axis=1, keepdims=True))
    return power / power.sum(axis=1, keepdims=True)


def gelu(x: Array) -> Array:
    """Hendrycks, Gimpel: Gaussian error linear units (2016): x P(X <= x) for a standard normal X."""
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2
