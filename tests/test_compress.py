"""textclf compress: a smaller run, compared with the original."""

import json
import re
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from conftest import SAMPLES, textclf
from faults import contents, failing_writes
from test_models import CASES, SHAPES, VOCABULARY, network_of, options_of, token_ids

from textclf.cli.commands import compress as compress_command
from textclf.compression.candidates import PART_BYTES, estimate_bytes
from textclf.compression.compress import METHODS
from textclf.compression.distill import STUDENTS
from textclf.config.load import load_saved_config
from textclf.inference.classifier import load_classifier
from textclf.models.architecture import Shape
from textclf.models.ensemble import onnx_model, rewrite_onnx_model
from textclf.models.onnx.graph import read_graph
from textclf.models.onnx.quantization import Storage, dequantize, quantize, quantized_bytes
from textclf.models.registry import MODELS
from textclf.models.shrinking import Sizes
from textclf.text.encoding import RESERVED

METHODS_AND_RUNS = [
    ("int8", "reviews"), ("int8", "bags"), ("float16", "topics"), ("distill", "questions"), ("prune", "bags")
]  # fmt: skip


def compressed(run: Path, folder: Path, *options: str) -> Path:
    """Compress a run; it may lose all its accuracy, as these networks are tiny."""
    result = textclf("compress", "--run", run, "--output", folder / "small", "--max-loss", "1", *options)
    assert result.exit_code == 0, result.output
    return folder / "small"


@pytest.fixture(scope="module", params=METHODS_AND_RUNS, ids="-".join)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """A method, a run, and the run compressed by it."""
    method, name = request.param
    original = request.getfixturevalue(name)
    return method, original, compressed(original, tmp_path_factory.mktemp(method), "--method", method)


def document(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def size(run: Path) -> int:
    return sum(path.stat().st_size for path in (run / "model").iterdir())


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_the_command_knows_every_method_and_student() -> None:
    choices = {
        option.name: list(option.type.choices) for option in compress_command.params if hasattr(option.type, "choices")
    }
    assert choices == {"method": list(METHODS), "student": list(STUDENTS)}


def test_a_compressed_run_is_a_run_like_any_other(pair: tuple[str, Path, Path]) -> None:
    method, original, small = pair
    assert names(small) == names(original)
    metrics = document(small)
    assert metrics["parity"] < 1e-5
    assert metrics["compression"]["method"] == method
    assert metrics["compression"]["bytes"] == {"original": size(original), "compressed": size(small)}
    assert list(json.loads((small / "environment.json").read_text())["rows_a_second"]) == ["original", "compressed"]
    assert json.loads(textclf("check", small, "--json").stdout)["probe_difference"] == 0
    again = textclf("evaluate", "--run", small)
    assert (again.exit_code, document(small)) == (0, metrics)
    compared = json.loads(textclf("compare", small, original, "--json").stdout)
    assert compared["runs"][original.as_posix()]["metrics"] == metrics["baselines"]["original"]
    turned = compared["against_first"][original.as_posix()]["difference"]
    assert turned == pytest.approx(
        {key: -value for key, value in metrics["comparisons"]["original"]["difference"].items()}
    )
    card = (small / "README.md").read_text(encoding="utf-8")
    assert f"\n\nMade of {original.name} by {method}" in card
    assert "what `textclf compress` made of another run. sha256" in card
    assert "repeats the training" not in card
    page = (small / "report.html").read_text(encoding="utf-8")
    assert "What does it cost to be small?" in page
    assert f"{size(small):,} bytes instead of {size(original):,}" in page


def test_the_size_is_known_before_the_network_is_made(pair: tuple[str, Path, Path]) -> None:
    method, _, small = pair
    config, description = load_saved_config(small / "config.yaml"), load_classifier(small).description
    shape = Shape.of(
        vocabulary=description.network_limits.vocabulary
        if description.network_limits
        else len(description.vocabulary) + RESERVED,
        labels=len(description.labels),
        multilabel=description.label_separator is not None,
    )
    shapes = MODELS[config.model.type].shrinking.weight_shapes(config.model, shape)
    estimate = estimate_bytes(shapes, description.vocabulary, "float16" if method == "float16" else "int8")
    constants, _ = read_graph((small / "model" / "model.onnx").read_bytes())
    linear = [array.nbytes for name, array in constants.items() if name.startswith("linear.")]
    assert estimate + sum(linear) + PART_BYTES * bool(linear) == pytest.approx(size(small), rel=0.04)


def test_predictions_do_not_depend_on_the_batch_and_explanations_add_up(pair: tuple[str, Path, Path]) -> None:
    small = pair[2]
    texts = (SAMPLES / "lines.txt").read_text(encoding="utf-8").splitlines()[:20]
    classifier = load_classifier(small)
    together = classifier.predict_proba(texts)
    alone = np.concatenate([classifier.predict_proba([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-6
    explained = json.loads(textclf("explain", texts[0], "--run", small, "--json").stdout)["explanations"]
    for explanation in explained:
        weights = sum(word["weight"] for word in explanation["words"])
        assert weights == pytest.approx(explanation["log_odds"] - explanation["without_words"], abs=1e-4)


def test_quantizing_changes_probabilities_little_and_no_other_file(pair: tuple[str, Path, Path]) -> None:
    method, original, small = pair
    if method not in get_args(Storage):
        pytest.skip("another network")
    texts = (SAMPLES / "lines.txt").read_text(encoding="utf-8").splitlines()
    before, after = (load_classifier(run).predict_proba(texts) for run in (original, small))
    assert np.abs(before - after).max() < {"int8": 0.05, "float16": 0.001}[method]
    for name in ("config.yaml", "history.csv", "split.json"):
        assert (small / name).read_bytes() == (original / name).read_bytes()


@pytest.mark.parametrize("storage", get_args(Storage))
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_every_architecture_is_quantized_and_read_again(
    name: str, variant: dict, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "textclf.models.onnx.quantization.MIN_SIZE", 2
    )  # the networks here are smaller than any that is worth it
    options, shape = options_of(name, variant), SHAPES["more labels"]
    network = network_of(options, shape)
    graph = onnx_model(options, shape, network, storage=storage)
    constants, metadata = read_graph(graph)
    assert rewrite_onnx_model(shape, constants, metadata) == graph
    exact, _ = MODELS[name].graph_constants(options, network)
    kept = quantize(exact, storage)
    assert sum(array.nbytes for array in kept.values()) == sum(
        quantized_bytes(key, array.shape, storage) for key, array in exact.items()
    )
    for key, array in dequantize(constants).items():
        if key in exact:
            steps = {"int8": 253 if name != "encoder" else 125}.get(storage, 2000)
            assert np.abs(array - exact[key]).max() <= np.abs(exact[key]).max() / steps
    matrices = [key for key, array in exact.items() if array.ndim == 2 and min(array.shape) > 1]
    assert {constants[key].dtype.name for key in matrices} == {storage}
    rounded = dequantize(quantize(exact, storage))
    again = dequantize(quantize(rounded, storage))
    assert all(np.allclose(again[key], rounded[key], rtol=1e-6, atol=0) for key in rounded)


@pytest.mark.parametrize(("name", "variant"), [case for case in CASES if MODELS[case.values[0]].shrinking])
def test_shrinking_by_nothing_changes_nothing_and_shrunk_weights_fit_their_network(name: str, variant: dict) -> None:
    kind, options, shape = MODELS[name], options_of(name, variant), SHAPES["more labels"]
    network = kind.build(options, shape)
    rows = token_ids()
    counts = np.bincount(rows.flat, minlength=VOCABULARY)
    padded = np.array([[*rows.row(row), *[0] * (9 - rows.lengths[row])] for row in range(len(rows))], np.int32)
    for keep in (1.0, 0.5):
        sizes = Sizes(keep, counts, unknown=1)
        smaller, weights = (
            kind.shrinking.smaller(options, sizes),
            kind.shrinking.shrink(options, kind.weights(network), sizes),
        )
        small_shape = shape._replace(vocabulary=sizes.vocabulary)
        assert {key: array.shape for key, array in weights.items()} == kind.shrinking.weight_shapes(
            smaller, small_shape
        )
        built = kind.build(smaller, small_shape)
        built.set_weights(list(weights.values()))
        assert list(weights) == list(kind.weights(built))
        if keep == 1:
            assert np.abs(built(padded).numpy() - network(padded).numpy()).max() < 1e-5
    assert sum(array.size for array in weights.values()) < sum(map(np.size, kind.weights(network).values()))


def test_pruning_keeps_the_given_fraction(questions: Path, tmp_path: Path) -> None:
    small = compressed(questions, tmp_path, "--method", "prune", "--keep", "0.5")
    vocabulary = len(load_classifier(questions).description.vocabulary)
    kept = load_classifier(small).description
    assert kept.vocabulary == load_classifier(questions).description.vocabulary[: round((vocabulary + 2) / 2) - 2]
    settings = json.loads(textclf("compare", small, questions, "--json").stdout)["settings"]
    assert settings == {
        "text.vocab_size": [len(kept.vocabulary) + 2, 10000],
        "model.embedding_dim": [8, 16],
        "model.units": [4, 8],
        "training.early_stopping": [None, 2],
    }
    assert document(small)["compression"]["keep"] == 0.5
    assert size(small) < 0.5 * size(questions)
    unknown = [document(run)["validation"]["unknown_words"] for run in (questions, small)]
    assert unknown[0] < unknown[1] == document(small)["unknown_words"]
    assert textclf("check", small / "config.yaml").exit_code == 0


def test_a_linear_part_keeps_the_same_fraction_of_words_and_ngrams(bags: Path, tmp_path: Path) -> None:
    small = compressed(bags, tmp_path, "--method", "prune", "--keep", "0.3")
    vocabularies = [load_classifier(run).description.vocabulary for run in (bags, small)]
    assert vocabularies[1] == vocabularies[0][: round(0.3 * len(vocabularies[0]))]
    graphs = [read_graph((run / "model" / "model.onnx").read_bytes())[0] for run in (bags, small)]
    ngrams = [(graph["linear.fingerprints"] >= 0).sum() for graph in graphs]
    assert ngrams[1] == round(0.3 * ngrams[0])
    assert load_saved_config(small / "config.yaml").model.blend == "linear"


def test_compressing_repeats_to_the_byte(pair: tuple[str, Path, Path], tmp_path: Path) -> None:
    method, original, small = pair
    if method != "prune":
        pytest.skip("one method that trains")
    again = compressed(original, tmp_path, "--method", method)
    for name in ("metrics.json", "model/model.onnx", "model/model.json"):
        assert (again / name).read_bytes() == (small / name).read_bytes()


def test_a_student_learns_from_unlabelled_texts_too(bags: Path, tmp_path: Path) -> None:
    texts = SAMPLES / "lines.txt"
    small = compressed(bags, tmp_path, "--method", "distill", "--student", "small", "--unlabelled", str(texts))
    rows = len(texts.read_text(encoding="utf-8").splitlines())
    compression = document(small)["compression"]
    assert (compression["student"], compression["unlabelled texts"]) == ("small", rows)


def test_a_student_can_do_without_the_linear_part(bags: Path, tmp_path: Path) -> None:
    small = compressed(bags, tmp_path, "--method", "distill", "--alone", "--keep", "0.3")
    model = load_saved_config(small / "config.yaml").model
    assert (load_saved_config(bags / "config.yaml").model.blend, model.blend, model.ngrams) == ("linear", None, 2)
    assert "original" in document(small)["comparisons"]


def test_within_a_budget_the_most_accurate_candidate_is_kept(questions: Path, tmp_path: Path) -> None:
    budget, target = round(0.55 * size(questions)), tmp_path / "small"
    result = textclf("compress", "--run", questions, "--budget", f"{budget}B", "--output", target, "--max-loss", "1")
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stderr.splitlines() if "accuracy on the validation rows" in line]
    tried = dict(line.rsplit(" ", 1) for line in lines)
    assert re.search(r"^float16: [\d,]+ bytes at the least$", result.stderr, re.MULTILINE)
    assert {"prune", "distill, small"} <= {line.split(":")[0] for line in tried} <= {"int8", "prune", "distill, small"}
    compression = document(target)["compression"]
    assert compression["bytes"]["compressed"] == size(target) <= budget
    best = max(tried, key=lambda line: float(tried[line]))
    assert best.split(":")[0] == ", ".join(
        [compression["method"], *([compression["student"]] if "student" in compression else [])]
    )


REFUSED = {
    "too small a budget": (
        ["--budget", "100"],
        1,
        r"--budget: nothing that was tried fits into 100 bytes\. Allow more\.",
    ),
    "neither method nor budget": ([], 2, r".*say how with --method, or how small with --budget\."),
    "an option that the method does not use": (
        ["--method", "int8", "--keep", "0.5"],
        2,
        r".*--method int8 has no use for --keep\.",
    ),
    "a student where nothing learns": (
        ["--method", "prune", "--alone"],
        2,
        r".*--method prune has no use for --alone\.",
    ),
    "no size": (["--budget", "much"], 2, r".*'much' is no size; write one such as 300kB or 1MB\."),
}


@pytest.mark.parametrize(("options", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_a_request_that_cannot_be_met_is_refused(
    options: list[str], code: int, message: str, reviews: Path, tmp_path: Path
) -> None:
    result = textclf("compress", "--run", reviews, "--output", tmp_path / "small", *options)
    assert result.exit_code == code
    assert re.fullmatch(message, result.stderr.splitlines()[-1])
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_if_too_much_accuracy_is_lost(questions: Path, tmp_path: Path) -> None:
    options = ["--method", "prune", "--keep", "0.01", "--max-loss", "0.02"]
    result = textclf("compress", "--run", questions, "--output", tmp_path / "small", *options)
    assert (result.exit_code, result.stdout) == (1, "")
    message = result.stderr.splitlines()[-1]
    accuracy = document(questions)["metrics"]["accuracy"]
    assert message.startswith(f"accuracy on {SAMPLES / 'questions.csv'} falls from {accuracy:.4f} to ")
    assert message.endswith(
        ", by more than 0.02 (--max-loss): nothing was written. Allow a greater loss, keep more with --keep, or take "
        "another method."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_cannot_be_compared_is_refused(reviews: Path, tmp_path: Path) -> None:
    def refusal(*options: str | Path) -> str:
        result = textclf("compress", "--method", "int8", *options)
        assert (result.exit_code, result.stdout) == (1, "")
        return result.stderr

    own = Path(shutil.copytree(reviews, tmp_path / "own"))
    assert refusal("--run", own, "--output", own) == f"--output {own} is the run itself. Choose another folder.\n"
    assert refusal("--run", own, "--output", reviews) == (
        f"{reviews} exists. Replace it with --overwrite, or choose another folder with --output.\n"
    )
    assert refusal("--run", own / "model", "--output", tmp_path / "small") == (
        f"{own}/model is no complete run; a smaller network is measured beside it, on its own rows. Name a run, not "
        "its model/ folder.\n"
    )
    split = json.loads((own / "split.json").read_text())
    (own / "split.json").write_text(json.dumps(split | {"sha256": ["0" * 64]}))
    assert refusal("--run", own, "--output", tmp_path / "small") == (
        f"{own}: the data have changed since it was trained. Train it again, and compress that.\n"
    )
    (own / "split.json").write_text(json.dumps(split | {"validation": split["validation"][1:]}))
    assert refusal("--run", own, "--output", tmp_path / "small") == (
        f"{own}: this textclf splits its rows, or reads its labels, differently from the one that trained it. Train "
        "it again, and compress that.\n"
    )
    (own / "model.keras").unlink()
    assert refusal("--run", own, "--output", tmp_path / "small").startswith(f"{own}/model.keras is missing")
    assert list(tmp_path.iterdir()) == [own]


@pytest.mark.parametrize("n", [9, 20])
def test_an_earlier_run_stays_if_a_write_fails(n: int, reviews: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    small = compressed(reviews, folder, "--method", "float16")
    before = contents(folder)
    with failing_writes(n, folder) as disk:
        result = textclf("compress", "--run", reviews, "--method", "int8", "--output", small, "--overwrite")
    assert (result.exit_code, bool(disk.failed)) == (1, True)
    assert contents(folder) == before
    assert "No space left on device" in result.stderr.splitlines()[-1]
