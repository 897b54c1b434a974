"""TF-IDF and logistic regression in scikit-learn: `train TRAIN TEST MODEL`, `predict MODEL LINES OUTPUT`."""

import json
import sys
from pathlib import Path

import joblib
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


def train(train: Path, test: Path, model: Path) -> None:
    rows, held_out = pd.read_csv(train), pd.read_csv(test)
    pipeline = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=1000))
    pipeline.fit(rows.text, rows.label)
    model.mkdir(parents=True, exist_ok=True)
    joblib.dump(pipeline, model / "pipeline.joblib")
    (model / "score.json").write_text(json.dumps({"accuracy": pipeline.score(held_out.text, held_out.label)}))


def predict(model: Path, lines: Path, output: Path) -> None:
    pipeline = joblib.load(model / "pipeline.joblib")
    probabilities = pipeline.predict_proba(lines.read_text(encoding="utf-8").split("\n")[:-1])
    with output.open("w", encoding="utf-8") as file:
        for row in probabilities:
            file.write(f"{pipeline.classes_[row.argmax()]}\t{row.max():.6f}\n")


if __name__ == "__main__":
    {"train": train, "predict": predict}[sys.argv[1]](*map(Path, sys.argv[2:]))
