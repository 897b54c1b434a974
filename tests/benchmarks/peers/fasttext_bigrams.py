"""fastText with word pairs, in an environment of its own: `train TRAIN TEST MODEL`, `predict MODEL LINES OUTPUT`."""

import csv
import json
import sys
from pathlib import Path

import fasttext

PREFIX = "__label__"


def train(train: Path, test: Path, model: Path) -> None:
    model.mkdir(parents=True, exist_ok=True)
    training_file = model / "train.txt"
    training_file.write_text("".join(f"{PREFIX}{label} {text}\n" for text, label in rows(train)), encoding="utf-8")
    classifier = fasttext.train_supervised(
        str(training_file), wordNgrams=2, epoch=25, lr=0.5, dim=50, thread=2, verbose=0
    )
    classifier.save_model(str(model / "model.bin"))
    held_out = list(rows(test))
    predicted, _ = classifier.predict([text for text, _ in held_out])
    correct = sum(labels[0] == PREFIX + label for labels, (_, label) in zip(predicted, held_out, strict=True))
    (model / "score.json").write_text(json.dumps({"accuracy": correct / len(held_out)}))


def rows(path: Path) -> list[tuple[str, str]]:
    """Read a table: texts in lower case without line ends, and labels without blanks."""
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8", newline="") as file:
        return [(" ".join(row["text"].lower().split()), "_".join(row["label"].split())) for row in csv.DictReader(file)]


def predict(model: Path, lines: Path, output: Path) -> None:
    classifier = fasttext.load_model(str(model / "model.bin"))
    labels, probabilities = classifier.predict(
        [line.lower() for line in lines.read_text(encoding="utf-8").split("\n")[:-1]]
    )
    with output.open("w", encoding="utf-8") as file:
        for label, probability in zip(labels, probabilities, strict=True):
            file.write(f"{label[0].removeprefix(PREFIX)}\t{probability[0]:.6f}\n")


if __name__ == "__main__":
    {"train": train, "predict": predict}[sys.argv[1]](*map(Path, sys.argv[2:]))
