"""The seconds of the parts of `predict` in this process, one after the other in one thread: for phases.py.

    python tests/benchmarks/predict_parts.py RUN LINES

Nothing is imported before the clock starts, but for what the clock needs. The parts are printed as a JSON object.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

parts: dict[str, float] = {}


@contextmanager
def part(name: str) -> Iterator[None]:
    """Count the seconds of the block as those of a part."""
    start = time.perf_counter()
    yield
    parts[name] = time.perf_counter() - start


def main(run: Path, lines: Path) -> None:
    """Predict the lines with a run."""
    with part("import NumPy"):
        import numpy  # noqa: F401
    with part("import ONNX Runtime"):
        import onnxruntime  # noqa: F401
    with part("import textclf"):
        import textclf.cli.main  # noqa: F401
        from textclf.inference.classifier import load_classifier
        from textclf.inference.inputs import is_short, read_texts
        from textclf.inference.predict import WRITERS, PredictedChunk
    with part("load the model"):
        classifier = load_classifier(run, threads=1, few_texts=is_short(lines))
    with part("read"):
        chunks = list(read_texts(lines))
    with part("texts to token ids"):
        encoded = list(map(classifier.encode, chunks))
    with part("network"):
        computed = list(map(classifier.probabilities, encoded))
    with part("write"):
        for texts, probabilities in zip(chunks, computed, strict=True):
            labels, confidence = classifier.decide(probabilities)
            chunk = PredictedChunk(classifier.labels, None, "", texts, 0, labels, confidence, probabilities)
            WRITERS["tsv"].rows(chunk)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write(json.dumps(parts))
