"""The answers of a model: predictions with the words' weights, and the tensors of the open inference protocol."""

from collections.abc import Sequence
from typing import Any, Literal, NotRequired, TypedDict

from textclf import __version__
from textclf.inference.classifier import Classifier
from textclf.inference.explain import explain
from textclf.inference.predict import prediction_documents
from textclf.io.contract import ExplanationDocument, PredictionDocument
from textclf.serving.bodies import OUTPUTS, InferRequest, PredictRequest


class ExplainedDocument(PredictionDocument):
    """A prediction with the words' weights."""

    explanations: list[ExplanationDocument]
    """Of the predicted label, or of every predicted one."""


class PredictionsDocument(TypedDict):
    """The answer of POST /predict."""

    model: str
    predictions: list[PredictionDocument]
    """On request each is an ExplainedDocument."""


class Tensor(TypedDict):
    """An output of the open inference protocol."""

    name: str
    datatype: Literal["BYTES", "FP64"]
    shape: list[int]
    data: list[Any]


class InferDocument(TypedDict):
    """The answer of POST /v2/models/NAME/infer."""

    model_name: str
    model_version: str
    id: NotRequired[str]
    outputs: list[Tensor]


def answer_predict(classifier: Classifier, name: str, request: PredictRequest) -> PredictionsDocument:
    """Return label and probabilities of each text, as `textclf predict --format jsonl` gives them."""
    predictions = _predictions(classifier, request.texts)
    if not request.explain:
        return {"model": name, "predictions": predictions}
    explained: list[PredictionDocument] = [
        ExplainedDocument(**prediction, explanations=[explanation.document() for explanation in explanations])
        for prediction, explanations in zip(predictions, explain(classifier, request.texts), strict=True)
    ]
    return {"model": name, "predictions": explained}


def answer_infer(classifier: Classifier, name: str, request: InferRequest, version: str) -> InferDocument:
    """Return the tensors that are asked for, whose numbers are those of `answer_predict`."""
    predictions = _predictions(classifier, request.texts)
    data: dict[str, list[Any]] = {
        "label": [prediction["label"] for prediction in predictions],
        "probability": [prediction["probability"] for prediction in predictions],
        "probabilities": [
            probability for prediction in predictions for probability in prediction["probabilities"].values()
        ],
    }
    outputs = [
        Tensor(**{**output, "shape": [len(request.texts), *output["shape"][1:]], "data": data[output["name"]]})
        for output in _outputs(classifier)
        if output["name"] in request.outputs
    ]
    document: InferDocument = {"model_name": name, "model_version": version, "outputs": outputs}
    return document if request.id is None else {**document, "id": request.id}


def _predictions(classifier: Classifier, texts: Sequence[str]) -> list[PredictionDocument]:
    if not texts:
        return []
    probabilities = classifier.predict_proba(texts)
    return prediction_documents(classifier.labels, *classifier.decide(probabilities), probabilities)


def _outputs(classifier: Classifier) -> list[Tensor]:
    """Return the outputs of a model, of any number of texts and without data."""
    labels = len(classifier.labels)
    shapes: dict[str, list[int]] = {"label": [-1], "probability": [-1], "probabilities": [-1, labels]}
    return [
        {"name": name, "datatype": "BYTES" if name == "label" else "FP64", "shape": shapes[name], "data": []}
        for name in OUTPUTS
    ]


def describe_server() -> dict[str, Any]:
    """Return the protocol's description of the server."""
    return {"name": "textclf", "version": __version__, "extensions": []}


def describe_model(classifier: Classifier, name: str, version: str) -> dict[str, Any]:
    """Return the protocol's description of a model."""
    return {
        "name": name,
        "versions": [version],
        "platform": "textclf_onnx",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{name: value for name, value in each.items() if name != "data"} for each in _outputs(classifier)],
        "parameters": {"labels": classifier.labels},
    }
