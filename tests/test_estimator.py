"""TextClassifier: a scikit-learn estimator whose parameters are the options of a config."""

import csv
import inspect
import json
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from conftest import QUICK as QUICK_SETTINGS
from conftest import SAMPLES, overrides, textclf, write_config
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MultiLabelBinarizer
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import check_is_fitted, validate_data

from textclf import TextClassifier, load
from textclf.api.parameters import LEFT_OUT, PARAMETERS, config_values, params_of
from textclf.config.load import parse_config, schema_problems
from textclf.config.schema import option_rows
from textclf.config.yaml_source import source_of
from textclf.errors import UserError

QUICK: dict[str, Any] = {
    "type": "mlp", "features": "embedding", "embedding_dim": 16, "hidden": [8], "blend": None, "epochs": 3,
    "learning_rate": 1e-2,
}  # fmt: skip
"""The quick network of conftest.py."""

TEXTS = ["A fast phone with a clear screen", "The bus was late again"]


def sample(name: str, label: str = "label") -> tuple[list[str], list[str]]:
    """Return the texts and labels of a file in data/sample."""
    with (SAMPLES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row[label] for row in rows]


REVIEWS, LABELS = sample("reviews")
RATINGS = [10 if label == "positive" else 9 for label in LABELS]
"""Whole numbers, whose order as texts is another one."""


@pytest.fixture(scope="module")
def fitted() -> TextClassifier:
    """An estimator fitted to two whole numbers; tests leave it as it is."""
    return TextClassifier(**QUICK).fit(REVIEWS, RATINGS)


def message_of(call: Any, *arguments: Any, **options: Any) -> str:
    """Return the message of the error that a call ends with."""
    with pytest.raises((UserError, TypeError, ValueError)) as caught:
        call(*arguments, **options)
    return str(caught.value)


# Parameters


def test_the_parameters_are_the_options_of_the_config() -> None:
    keys = dict.fromkeys(row.key for row in option_rows() if row.key not in LEFT_OUT)
    assert [parameter.key for parameter in PARAMETERS.values()] == list(keys)  # so no two have the same name
    assert list(inspect.signature(TextClassifier).parameters) == list(PARAMETERS)
    assert sorted(TextClassifier().get_params()) == sorted(PARAMETERS)
    assert "        units: units of the LSTM in each direction\n" in (TextClassifier.__doc__ or "")


def test_defaults_give_the_default_config_of_each_type() -> None:
    data = {"data": {"train": "x.csv"}}
    for given in ({}, {"type": "mlp"}, {"type": "encoder", "encoder": "x"}):
        values = config_values(TextClassifier(**given).get_params())
        assert values == ({"model": given} if given else {})
        config = parse_config({**data, **values})
        assert config_values({**TextClassifier().get_params(), **params_of(config)}) == (
            {"model": {**given, "dropout": asdict(config.model)["dropout"]}}  # it has another default for each type
        )


def test_none_is_the_default_only_where_no_option_takes_another() -> None:
    for name, parameter in PARAMETERS.items():
        rows = [row for row in option_rows() if row.key == parameter.key]
        if parameter.default is None and {row.default for row in rows} != {"null"}:
            section = parameter.key.partition(".")[0]
            for row in rows:
                values = {"data": {"train": "x.csv"}, section: {"type": row.type, "encoder": "x", name: None}}
                assert (section, name) in dict(schema_problems(values))


def test_numbers_of_numpy_are_parameters() -> None:
    params = TextClassifier(epochs=np.int64(10), learning_rate=np.float64(0.5), lowercase=1).get_params()
    assert config_values(params) == {"text": {"lowercase": 1}, "training": {"learning_rate": 0.5}}


def test_the_positive_class_is_named_as_a_label() -> None:
    for positive, label in ((np.int64(10), "10"), (True, "True"), (1.0, "1.0"), ("spam", "spam")):
        values = config_values(TextClassifier(positive=positive).get_params())
        assert source_of(values).values == {"decision": {"positive": label}}


def test_a_wrong_parameter_is_named_with_the_nearest() -> None:
    assert message_of(TextClassifier, unit=3) == "TextClassifier has no parameter 'unit'; did you mean 'units'?"
    assert message_of(TextClassifier, model__units=3) == (
        "TextClassifier has no parameter 'model__units'; did you mean 'units'?"
    )
    assert message_of(TextClassifier, xyz=3) == "TextClassifier has no parameter 'xyz'"
    assert message_of(TextClassifier(epochs=0, type="mpl", clean=["htm"]).fit, REVIEWS, LABELS).splitlines() == [
        "text.clean.0: should be 'html', 'nfkc', 'url', 'email', 'number' or 'accents', found \"htm\"",
        "model.type: should be 'bilstm' or 'mlp' or 'encoder', found \"mpl\"; did you mean 'mlp'?",
        "training.epochs: should be greater than or equal to 1, found 0",
    ]
    assert message_of(TextClassifier(units=3, type="mlp").fit, REVIEWS, LABELS) == (
        "model.units: belongs to type bilstm; the type here is mlp"
    )


# Fitting and predicting


def test_classes_come_back_as_they_were(fitted: TextClassifier) -> None:
    assert (fitted.classes_.tolist(), fitted.classes_.dtype) == ([9, 10], np.int64)
    probabilities, predicted = fitted.predict_proba(TEXTS), fitted.predict(TEXTS)
    assert predicted.dtype == np.int64
    assert predicted.tolist() == [9 + int(row[1] >= 0.5) for row in probabilities]
    order = [fitted.classifier_.labels.index(label) for label in ("9", "10")]
    assert fitted.classifier_.labels == ["10", "9"]
    assert np.array_equal(probabilities, fitted.classifier_.predict_proba(TEXTS)[:, order])
    assert fitted.score(REVIEWS, RATINGS) == np.mean(fitted.predict(REVIEWS) == RATINGS)
    assert 0 < fitted.metrics_["accuracy"] < 1


def test_an_estimator_that_is_not_fitted_says_so() -> None:
    estimator = TextClassifier()
    for call in (estimator.predict, estimator.predict_proba):
        with pytest.raises(NotFittedError):
            call(TEXTS)
    with pytest.raises(NotFittedError):
        estimator.save("x")


def test_x_and_y_that_cannot_be_learnt_from_are_refused() -> None:
    fit, texts = TextClassifier(**QUICK).fit, REVIEWS[:4]
    assert message_of(fit, texts, None) == "TextClassifier requires y to be passed, but the target y is None."
    assert message_of(fit, "text", ["a"]) == "X: found one text, need a list of texts: [text]."
    assert message_of(fit, texts, ["a", "b"]) == "Found input variables with inconsistent numbers of samples: [4, 2]"
    assert message_of(fit, texts, [1] * 4) == "y has only one class, 1. There must be something to tell apart."
    assert message_of(fit, texts, ["a", "b", " a", "b"]) == (
        "y: the class 'a' as a label of a run stands for two. Rename it."
    )
    assert message_of(fit, texts, ["a", "", "a", "b"]) == "y: the class '' as a label of a run is empty. Rename it."
    assert message_of(fit, texts, np.array(["a", 1, "b", 2], object)) == (
        "y holds classes of several types. Make all text, or all numbers."
    )
    assert message_of(fit, texts, [["a"], ["a", "b"], [], ["b"]]).startswith("You appear to be using a legacy")
    assert message_of(fit, texts, ["a", "b", "c", "d"]) == (
        "X and y: no label has two different texts, one to learn from and one to validate on. Add rows, name "
        "data.validation, or set data.text to another column."
    )


def test_ctrl_c_stops_instead_of_keeping_an_epoch() -> None:
    @contextmanager
    def pressed() -> Iterator[list[int]]:
        yield [2]

    with patch("textclf.training.loop.catch_interrupt", pressed), pytest.raises(KeyboardInterrupt):
        TextClassifier(**QUICK).fit(REVIEWS, LABELS)


# Saving


def test_a_pickle_and_a_saved_run_give_the_same(fitted: TextClassifier, tmp_path: Path) -> None:
    fitted.save(tmp_path / "saved")
    for copy in (pickle.loads(pickle.dumps(fitted)), TextClassifier.load(tmp_path / "saved")):
        assert np.array_equal(copy.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
        assert (copy.predict(TEXTS).tolist(), copy.metrics_) == (fitted.predict(TEXTS).tolist(), fitted.metrics_)
        assert copy.classes_.tolist() == [9, 10]
        assert {name: copy.get_params()[name] for name in ("type", "epochs", "blend")} == {
            "type": "mlp", "epochs": 3, "blend": None
        }  # fmt: skip
    assert load(tmp_path / "saved").labels == ["10", "9"]
    assert textclf("check", tmp_path / "saved").exit_code == 0
    assert textclf("report", tmp_path / "saved").exit_code == 0
    assert json.loads((tmp_path / "saved" / "estimator.json").read_text("utf-8")) == {
        "format": 1, "type": "int", "labels": ["9", "10"]
    }  # fmt: skip


def test_what_needs_the_rows_says_that_they_are_gone(fitted: TextClassifier, tmp_path: Path) -> None:
    path = tmp_path / "saved"
    fitted.save(path)
    problem = f"{path} is a TextClassifier that was saved, without the rows that it was fitted to."
    for command, advice in [
        (["evaluate"], f"Name a file: textclf evaluate DATA --run {path}"),
        (
            ["compress", "--method", "int8", "--output", tmp_path / "small"],
            "Write them as a table, train a run on it with `textclf train`, and compress that.",
        ),
    ]:
        result = textclf(*command, "--run", path)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"{problem} {advice}\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["saved"]


def test_a_run_is_overwritten_only_on_request(fitted: TextClassifier, tmp_path: Path) -> None:
    path = tmp_path / "saved"
    fitted.save(path)
    message = f"{path} exists. Replace it with overwrite=True, or choose another folder with the argument path."
    assert message_of(fitted.save, path) == message
    (path / "notes.txt").write_text("mine", encoding="utf-8")
    TextClassifier.load(path).save(path, overwrite=True)
    assert (path / "notes.txt").read_text("utf-8") == "mine"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["saved"]
    config = write_config(tmp_path, "questions")
    assert textclf("train", config, "--run", path, "--overwrite", *overrides(*QUICK_SETTINGS)).exit_code == 0
    assert not (path / "estimator.json").exists()  # else its classes would be those of the new run
    assert TextClassifier.load(path).classes_.tolist() == ["number", "person", "place", "time"]


def test_a_run_of_the_command_is_loaded(questions: Path, topics: Path) -> None:
    estimator = TextClassifier.load(questions)
    assert estimator.classes_.tolist() == ["number", "person", "place", "time"]
    assert estimator.predict(["When is it?"]).tolist() == load(questions).predict(["When is it?"])
    params = clone(estimator).get_params()
    assert (params["pooling"], params["optimizer"], params["blend"]) == ("max_mean", "adamw", None)
    several = TextClassifier.load(topics)
    [labels] = load(topics).predict(["Cheap cakes"])
    assert several.classes_[several.predict(["Cheap cakes"])[0] == 1].tolist() == labels


def test_a_folder_that_holds_no_estimator_is_refused(fitted: TextClassifier, reviews: Path, tmp_path: Path) -> None:
    model = reviews / "model"
    message = f"{model} is no complete run. To predict with a model/ folder: textclf.load."
    assert message_of(TextClassifier.load, model) == message
    fitted.save(tmp_path / "saved")
    file = tmp_path / "saved" / "estimator.json"
    for document, problem in [
        ("[]", "is damaged: TypeError('list indices must be integers or slices, not str')"),
        ('{"format": 2}', "has format 2; this textclf reads 1."),
        ('{"format": 1, "type": "object", "labels": ["9"]}', "is damaged: KeyError('object')"),
        ('{"format": 1, "type": "int", "labels": ["9", "x"]}', "is damaged: ValueError"),
        ('{"format": 1, "type": "int", "labels": ["9"]}', "is damaged: it lacks labels of the model."),
    ]:
        file.write_text(document, encoding="utf-8")
        assert message_of(TextClassifier.load, tmp_path / "saved").startswith(f"{file} {problem}")


# Several labels in a row


def test_a_matrix_of_labels_gives_a_matrix(tmp_path: Path) -> None:
    texts, fields = sample("topics", "labels")
    binarizer = MultiLabelBinarizer()
    matrix = binarizer.fit_transform([field.split("|") if field else [] for field in fields])
    y = pd.DataFrame(matrix, columns=binarizer.classes_)
    y.insert(0, "unseen", 0)  # a label that no row has
    estimator = TextClassifier(**QUICK).fit(pd.Series(texts), y)
    assert estimator.classes_.tolist() == ["unseen", *binarizer.classes_]
    predicted, probabilities = estimator.predict(texts), estimator.predict_proba(texts)
    assert predicted.shape == probabilities.shape == y.shape
    assert np.array_equal(predicted, probabilities >= 0.5)
    assert probabilities[:, 0].tolist() == [0.0] * len(texts)
    assert estimator.score(texts, y) == np.mean((predicted == y.to_numpy()).all(axis=1))
    estimator.save(tmp_path / "saved")
    assert TextClassifier.load(tmp_path / "saved").classes_.tolist() == estimator.classes_.tolist()


def test_columns_without_names_are_numbered() -> None:
    from textclf.api.targets import read_targets

    matrix = [[0, 1], [1, 1], [0, 0]]
    for y in (np.array(matrix), csr_array(matrix), np.array(matrix, bool)):
        targets = read_targets(y)
        assert (targets.classes.values.tolist(), targets.classes.multilabel) == ([0, 1], True)
        assert targets.rows == [["1"], ["0", "1"], []]
    assert "0 and 1" in message_of(read_targets, np.array([[0, 2], [2, 2], [0, 0]]))


# scikit-learn around it


def test_it_works_in_a_thread_and_a_pipeline() -> None:
    pipeline = make_pipeline(
        FunctionTransformer(lambda texts: [text.lower() for text in texts]), TextClassifier(**QUICK)
    )
    pipeline.set_params(textclassifier__epochs=1)
    thread = threading.Thread(target=pipeline.fit, args=(np.array(REVIEWS, object), np.array(LABELS)))
    thread.start()
    thread.join()
    assert set(pipeline.predict(TEXTS)) <= {"negative", "positive"}


@pytest.mark.slow
def test_cross_validation_and_a_grid_search_in_two_processes() -> None:
    scores = cross_val_score(TextClassifier(**QUICK), REVIEWS, RATINGS, cv=2, scoring="roc_auc")
    assert (scores > 0.5).all()
    grid = {"epochs": [1, 3], "hidden": [[4], [8]]}
    search = GridSearchCV(TextClassifier(**QUICK), grid, cv=2, n_jobs=2, error_score="raise")
    search.fit(np.array(REVIEWS), np.array(RATINGS))
    assert set(search.best_params_) == {"epochs", "hidden"}
    assert set(search.predict(TEXTS)) <= {9, 10}


class NumberTexts(TextClassifier):
    """A TextClassifier of numbers, as the checks of scikit-learn have them: each number becomes a word."""

    def fit(self, X: Any, y: Any) -> "NumberTexts":  # noqa: N803
        X, _ = validate_data(self, X, y, multi_output=True)  # noqa: N806
        return super().fit(self._texts(X), y)

    def predict(self, X: Any) -> Any:  # noqa: N803
        check_is_fitted(self)
        return super().predict(self._texts(validate_data(self, X, reset=False)))

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        check_is_fitted(self)
        return super().predict_proba(self._texts(validate_data(self, X, reset=False)))

    def _texts(self, X: Any) -> list[str]:  # noqa: N803
        return [
            " ".join(f"f{column}{'m' if value < 0 else 'p'}{round(2 * abs(value))}" for column, value in enumerate(row))
            for row in X.tolist()
        ]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        tags.classifier_tags.poor_score = True  # words know no distance
        return tags


EXCLUDED = {
    "check_class_weight_classifiers": "class_weight is None or 'balanced', as in the config; no dictionary",
    "check_classifiers_multilabel_output_format_decision_function": "there is no decision_function",
    "check_array_api_input": "texts are no arrays of numbers",
}
"""Checks of scikit-learn that do not apply, with the reason."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_it_passes_the_checks_of_scikit_learn() -> None:
    estimator = NumberTexts(**{**QUICK, "epochs": 2, "baseline": False, "texts": False})
    passed = 0
    for checked, check in estimator_checks_generator(estimator, legacy=True, mark=None):
        if getattr(check, "func", check).__name__ not in EXCLUDED:
            check(checked)
            passed += 1
    assert passed > 50
