"""The plain Keras script of most tutorials: `train TRAIN TEST MODEL [--epochs N]`, `predict MODEL LINES OUTPUT`."""

import argparse
import json
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pandas as pd

WORDS, LENGTH = 10_000, 100


def encode(texts: list[str], index: dict[str, int]) -> np.ndarray:
    """Return the ids of the last LENGTH words of each text, shape (n, LENGTH), with zeros before them."""
    ids = [[index.get(word, 1) for word in text.lower().split()] for text in texts]
    return keras.utils.pad_sequences(ids, maxlen=LENGTH)


def train(arguments: argparse.Namespace) -> None:
    rows, test = pd.read_csv(arguments.train), pd.read_csv(arguments.test)
    counts = Counter(word for text in rows.text for word in text.lower().split())
    index = {word: number for number, (word, _) in enumerate(counts.most_common(WORDS - 2), start=2)}
    labels = sorted(rows.label.unique())
    model = keras.Sequential(
        [
            keras.layers.Embedding(WORDS, 100),
            keras.layers.Bidirectional(keras.layers.LSTM(64)),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(
        encode(list(rows.text), index),
        (rows.label == labels[1]).to_numpy(int),
        batch_size=32,
        epochs=arguments.epochs,
        validation_data=(encode(list(test.text), index), (test.label == labels[1]).to_numpy(int)),
        verbose=2,
    )
    arguments.model.mkdir(parents=True, exist_ok=True)
    model.save(arguments.model / "model.keras")
    (arguments.model / "words.json").write_text(json.dumps({"index": index, "labels": [str(name) for name in labels]}))
    (arguments.model / "history.json").write_text(json.dumps(history.history))


def predict(arguments: argparse.Namespace) -> None:
    words = json.loads((arguments.model / "words.json").read_text())
    model = keras.models.load_model(arguments.model / "model.keras")
    lines = arguments.lines.read_text(encoding="utf-8").split("\n")[:-1]
    probabilities = model.predict(encode(lines, words["index"]), verbose=0)[:, 0]
    with arguments.output.open("w", encoding="utf-8") as file:
        for probability in probabilities:
            file.write(f"{words['labels'][int(probability >= 0.5)]}\t{max(probability, 1 - probability):.6f}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("train")
    verb.add_argument("train", type=Path)
    verb.add_argument("test", type=Path)
    verb.add_argument("model", type=Path)
    verb.add_argument("--epochs", type=int, default=10)
    verb.set_defaults(run=train)
    verb = verbs.add_parser("predict")
    verb.add_argument("model", type=Path)
    verb.add_argument("lines", type=Path)
    verb.add_argument("output", type=Path)
    verb.set_defaults(run=predict)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
