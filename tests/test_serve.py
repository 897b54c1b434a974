"""`textclf serve`: predictions over HTTP, several runs, tokens, names of hosts, limits, counts, files of the page."""

import json
import logging
import re
import shutil
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, SAMPLES, textclf
from serving import FROZEN, JSON, REVIEWS, TOPICS, Client, serving

from textclf.cli import serving as command
from textclf.inference.classifier import load_classifier
from textclf.serving import app
from textclf.serving.bodies import Limits

ENCODER = ROOT / "tests" / "frozen" / "format_5" / "questions"
LINES = (SAMPLES / "lines.txt").read_text(encoding="utf-8").splitlines()
TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server of four models; the first is of a run with a report."""
    run = tmp_path_factory.mktemp("runs") / "reviews"
    shutil.copytree(REVIEWS, run / "model")
    (run / "report.html").write_text("<p>the report</p>", encoding="utf-8")
    with serving(run, TOPICS, FROZEN / "questions", ENCODER, hosts=["localhost", "127.0.0.1"]) as client:
        yield client


MODELS = {"reviews": REVIEWS, "topics": TOPICS, "questions": FROZEN / "questions", "questions-2": ENCODER}


def predicted(model: Path, *texts: str) -> list[dict[str, Any]]:
    """What `predict` says of texts."""
    result = textclf("predict", "--run", model, "--format", "jsonl", stdin="".join(f"{text}\n" for text in texts))
    rows = map(json.loads, result.stdout.split("\n")[:-1])
    return [{name: value for name, value in row.items() if name != "row"} for row in rows]


@pytest.mark.parametrize("name", MODELS)
def test_predictions_are_those_of_predict_to_the_last_digit(server: Client, name: str) -> None:
    assert server.predict(LINES, f"?model={name}") == predicted(MODELS[name], *LINES)
    for line in LINES[:5]:
        assert server.predict([line], f"?model={name}") == predicted(MODELS[name], line)


@pytest.mark.parametrize("name", MODELS)
def test_the_open_inference_protocol_gives_the_same(server: Client, name: str) -> None:
    expected = predicted(MODELS[name], *LINES)
    data = {"name": "text", "datatype": "BYTES", "shape": [len(LINES)], "data": LINES}
    answer = server.post(f"/v2/models/{name}/infer", {"id": "42", "inputs": [data]}).json
    label, probability, probabilities = answer["outputs"]
    flat = [value for row in expected for value in row["probabilities"].values()]
    count, labels = len(LINES), len(expected[0]["probabilities"])
    assert label == {"name": "label", "datatype": "BYTES", "shape": [count], "data": [row["label"] for row in expected]}
    assert probability["data"] == [row["probability"] for row in expected]
    assert probabilities == {"name": "probabilities", "datatype": "FP64", "shape": [count, labels], "data": flat}
    assert (answer["model_name"], answer["id"]) == (name, "42")
    rows = {**data, "shape": [count, 1], "data": [[line] for line in LINES]}
    answer = server.post(f"/v2/models/{name}/infer", {"inputs": [rows], "outputs": [{"name": "label"}]}).json
    assert (answer["outputs"], "id" in answer) == ([label], False)


def test_words_have_the_weights_that_explain_gives_them(server: Client) -> None:
    texts = LINES[:3]
    lines = textclf("explain", "--run", TOPICS, "--json", stdin="".join(f"{text}\n" for text in texts)).stdout
    answers = server.predict(texts, "?model=topics", explain=True)
    for line, answer, expected in zip(lines.splitlines(), answers, predicted(TOPICS, *texts), strict=True):
        words = [
            {**each, "words": [{k: v for k, v in word.items() if k != "share"} for word in each["words"]]}
            for each in answer.pop("explanations")
        ]
        assert words == json.loads(line)["explanations"]
        assert answer == expected


def test_no_text_has_no_prediction(server: Client) -> None:
    assert server.predict([]) == []
    assert server.predict([], explain=True) == []
    data = {"name": "text", "datatype": "BYTES", "shape": [0], "data": []}
    outputs = server.post("/v2/models/topics/infer", {"inputs": [data]}).json["outputs"]
    assert [output["shape"] for output in outputs] == [[0], [0], [0, 5]]


def test_threads_encode_texts_as_one_does() -> None:
    classifier = load_classifier(REVIEWS)
    texts = [[f"word{number} a{number % 7} fine film {number * 31}"] for number in range(3000)]
    expected = [classifier.encode(each).flat.tolist() for each in texts]
    classifier = load_classifier(REVIEWS)
    with ThreadPoolExecutor(4) as threads:
        assert [ids.flat.tolist() for ids in threads.map(classifier.encode, texts)] == expected


def test_what_there_is_can_be_asked_for(server: Client) -> None:
    assert server.get("/v2").json["name"] == "textclf"
    assert server.get("/v2/health/live").json == {"live": True}
    assert server.get("/v2/health/ready").json == {"ready": True}
    assert server.get("/v2/models/topics/ready").json == {"name": "topics", "ready": True}
    answer = server.get("/v2/models/topics").json
    assert re.fullmatch("[0-9a-f]{12}", answer["versions"][0])
    assert answer == {
        "name": "topics",
        "versions": answer["versions"],
        "platform": "textclf_onnx",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "probability", "datatype": "FP64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP64", "shape": [-1, 5]},
        ],
        "parameters": {"labels": ["food", "noise", "place", "price", "service"]},
    }
    models = server.get("/models").json["models"]
    assert [(model["name"], model["report"]) for model in models] == [
        ("reviews", True), ("topics", False), ("questions", False), ("questions-2", False)
    ]  # fmt: skip


def test_the_page_on_the_server_shows_what_is_answered(server: Client) -> None:
    page = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
    examples = re.findall(r"^\$ curl -s --json '(.*)' localhost:8000(\S+)\n(.*)\n```$", page, re.MULTILINE)
    assert len(examples) == page.count("$ curl") == 4
    for body, path, shown in examples:  # figures differ between machines
        answer = server.post(path, body.encode()).body.decode()
        assert re.sub(r"-?\d[\d.]*", "#", answer) == re.sub(r"-?\d[\d.]*", "#", shown)


NO_MODEL = "no model 'no'; there are: reviews, topics, questions, questions-2."
NO_REPORT = "model topics has no report: it is a bare model/ folder, not a run."
ABSENT = {
    "a model": ("POST", "/predict?model=no", 404, NO_MODEL),
    "a model of the protocol": ("GET", "/v2/models/no", 404, NO_MODEL),
    "a path": ("GET", "/no", 404, "nothing is at '/no'; /openapi.json says what there is."),
    "a slash too many": ("GET", "/metrics/", 404, "nothing is at '/metrics/'; /openapi.json says what there is."),
    "a method": ("GET", "/predict", 405, "GET is not for '/predict'; it takes POST."),
    "a report": ("GET", "/report?model=topics", 404, NO_REPORT),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "status", "message"), ABSENT.values(), ids=ABSENT)
def test_what_there_is_not(server: Client, method: str, path: str, status: int, message: str) -> None:
    assert server.get(path, JSON, method=method).error == (status, message)


def test_the_page_loads_nothing_from_elsewhere(server: Client) -> None:
    page = server.get("/")
    policy = page.headers["content-security-policy"]
    assert policy == app.PAGE_POLICY
    assert "unsafe" not in policy
    assert re.findall(rb"<script>|<style>| style=| on\w+=|https?://", page.body) == []
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.body.decode()):
        assert server.get(path).status == 200
    assert server.get("/icon.svg").headers["content-type"] == "image/svg+xml"
    assert re.findall(rb"innerHTML|outerHTML|insertAdjacent|document\.write|eval", server.get("/page.js").body) == []
    assert re.findall(rb"url\(|@import", server.get("/page.css").body) == []


def test_the_report_may_run_nothing(server: Client) -> None:
    report = server.get("/report")
    assert (report.body, report.headers["content-security-policy"]) == (b"<p>the report</p>", app.REPORT_POLICY)
    assert report.headers["x-content-type-options"] == "nosniff"


def test_the_description_of_the_routes_is_complete(server: Client) -> None:
    document = server.get("/openapi.json").json
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}
    source = Path(app.__file__).read_text(encoding="utf-8")
    routes = set(re.findall(r'Route\("([^"]+)"', source)) | set(re.findall(r'^ +"(/\S*)": \("', source, re.MULTILINE))
    assert {path for path, _ in described} | {"/page.js", "/page.css", "/icon.svg"} == routes
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert names == document["components"]["schemas"].keys()
    for path, method in described:
        assert server.get(path.replace("{name}", "topics"), method=method.upper()).status in (200, 415)


def test_requests_are_counted() -> None:
    with serving(REVIEWS) as client:
        client.predict(["a fine film", "dull"])
        client.predict(["a fine film"], explain=True)
        client.post("/predict", {"texts": 5})
        client.get("/a/secret/path")
        answer = client.get("/metrics")
    lines = answer.body.decode().splitlines()
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    for line in (
        'textclf_requests_total{path="/predict",method="POST",status="200"} 2',
        'textclf_requests_total{path="/predict",method="POST",status="400"} 1',
        'textclf_requests_total{path="other",method="GET",status="404"} 1',
        'textclf_request_seconds_bucket{path="/predict",le="+Inf"} 3',
        'textclf_request_seconds_count{path="/predict"} 3',
        'textclf_texts_total{model="reviews",kind="explain"} 1',
        'textclf_texts_total{model="reviews",kind="predict"} 2',
        "textclf_requests_under_way 0",
        "textclf_ready 1",
    ):
        assert line in lines
    sample = r'textclf_\w+(\{(\w+="[^"]*",?)+\})? [\d.e+-]+'
    assert [line for line in lines if not re.fullmatch(rf"# (HELP|TYPE) textclf_\w+ .*|{sample}", line)] == []
    assert not [line for line in lines if "secret" in line]


AUTHORIZATION = {
    "none": (None, (401, "this server needs a token: 'Authorization: Bearer TOKEN'.")),
    "another": ("Bearer 0123456789abcdeF", (401, "the token is not this server's.")),
    "a part": ("Bearer 0123456789abcde", (401, "the token is not this server's.")),
    "no scheme": (TOKEN, (401, "the token is not this server's.")),
    "no base64": ("Basic ?", (401, "the token is not this server's.")),
    "not ASCII": ("Bearer \xe9", (401, "the token is not this server's.")),
    "as the user's name": ("Basic MDEyMzQ1Njc4OWFiY2RlZjo=", (401, "the token is not this server's.")),
    "bearer": (f"bearer {TOKEN}", None),
    "a password": ("Basic YW55OjAxMjM0NTY3ODlhYmNkZWY=", None),
}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Client]:
    """A server with a token, and an origin that may read its answers."""
    with serving(REVIEWS, token=TOKEN, origins=["https://a.example"]) as client:
        yield client


@pytest.mark.parametrize(("header", "error"), AUTHORIZATION.values(), ids=AUTHORIZATION)
def test_a_token_is_asked_for(guarded: Client, header: str | None, error: tuple[int, str] | None) -> None:
    headers = {"authorization": header} if header else {}
    for answer in (guarded.post("/predict", {"texts": ["x"]}, headers), guarded.get("/", headers)):
        if error:
            assert answer.error == error
            assert answer.headers.get_all("www-authenticate") == ["Bearer", 'Basic realm="textclf", charset="UTF-8"']
        else:
            assert answer.status == 200
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert guarded.get(path).status == 200


def test_only_named_origins_may_read(guarded: Client, server: Client) -> None:
    asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
    preflight = guarded.get("/predict", {**asked, "access-control-request-headers": "content-type"}, method="OPTIONS")
    assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (200, "https://a.example")
    answer = guarded.post("/predict", {}, {"origin": "https://a.example"})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (401, "https://a.example")
    other = guarded.get("/predict", {**asked, "origin": "https://b.example"}, method="OPTIONS")
    assert (other.status, other.headers["access-control-allow-origin"]) == (400, None)
    for answer in (server.get("/predict", asked, method="OPTIONS"), server.post("/predict", {"texts": []}, asked)):
        assert [name for name in answer.headers if name.startswith("access-control")] == []


HOSTS = {"localhost": 200, "LOCALHOST:80": 200, "127.0.0.1": 200, "localhost.": 200, "a.example": 421, "[::1]:80": 421}


@pytest.mark.parametrize(("host", "status"), HOSTS.items())
def test_a_page_that_renames_this_machine_is_refused(server: Client, host: str, status: int) -> None:
    answer = server.post("/predict", {"texts": []}, {"host": host})
    assert answer.status == status
    if status == 421:
        name = host.partition("]")[0].strip("[")
        message = f"host '{name}': this server answers to localhost, 127.0.0.1. Others: --allow-host."
        assert answer.error == (421, message)


LIMITS = Limits(body=200, texts=3, characters=10, explained_texts=2, explained_characters=15, at_once=1, seconds=5)
TOO_MUCH = {
    "body": ({"texts": ["x" * 300]}, "the body has more than 200 bytes, the most that are read."),
    "a larger body": ({"texts": ["x" * 3000]}, "the body has more than 200 bytes, the most that are read."),
    "texts": ({"texts": ["x"] * 4}, "texts: found 4; at most 3 texts are predicted at once."),
    "a text": ({"texts": ["x", "x" * 11]}, "texts[1]: found 11; at most 10 characters of a text are read."),
    "explained": ({"texts": ["x"] * 3, "explain": True}, "texts: found 3; at most 2 texts are explained at once."),
    "explained characters": (
        {"texts": ["x" * 8] * 2, "explain": True}, "texts: found 16; at most 15 characters are explained at once."
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def limited() -> Iterator[Client]:
    with serving(REVIEWS, limits=LIMITS) as client:
        yield client


@pytest.mark.parametrize(("document", "message"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_limits_are_kept(limited: Client, document: Any, message: str) -> None:
    assert limited.post("/predict", document).error == (413, message)
    assert len(limited.predict(["x" * 10] * 3)) == 3


def test_no_more_requests_than_allowed_are_under_way(limited: Client) -> None:
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n"
    with socket.create_connection(("127.0.0.1", limited.port), timeout=10) as other:
        other.sendall(head + b'{"texts"')
        while (answer := limited.post("/predict", {"texts": []})).status == 200:
            pass
        assert answer.error == (429, "1 requests are under way, the most at once. Try again.")
        assert answer.headers["retry-after"] == "1"
        other.sendall(b": []}")
        assert other.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
    assert limited.predict([]) == []


def test_a_bug_is_told_without_the_text(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a secret text")

    monkeypatch.setattr(logging.getLogger("textclf"), "propagate", True)  # where the command line ran before
    with serving(REVIEWS) as client:
        monkeypatch.setattr(app, "answer_predict", broken)
        answer = client.post("/predict", {"texts": ["a secret text"]})
        assert answer.error == (500, "a bug of textclf; the server's stderr says where.")
        end = time.monotonic() + 10
        while not caplog.messages and time.monotonic() < end:  # it is told after the answer
            time.sleep(0.01)
        monkeypatch.undo()
        assert len(client.predict(["x"])) == 1
    (message,) = {*caplog.messages}
    assert message.startswith("a request failed with ValueError, a bug of textclf, at ")
    assert "test_serve.py:" in message


PUBLIC = (
    "--host 0.0.0.0 serves to other machines, and without a token anyone there may use the model. Set TEXTCLF_TOKEN in "
    "the environment, or say --no-token."
)
SHORT_TOKEN = (
    "TEXTCLF_TOKEN needs 16 characters at least, of ASCII and without blanks; `openssl rand -hex 16` gives such a one."
)
NO_RUN = "no holds no model: no/model.json is missing. Name a run or a model/ folder."
NO_SIZE = "Error: Invalid value for '--max-body': 'much' is no size; write one such as 300kB or 1MB."
NO_NAME = "--allow-host {}: write the name alone, such as models.example.com, without scheme or port."
NO_ORIGIN = (
    "--allow-origin {}: write it as browsers do, such as https://example.com, in small letters and without a path or "
    "slash at the end."
)
REFUSED = {
    "a name with a port": (["--allow-host", "a.org:80"], {}, 1, NO_NAME.format("a.org:80")),
    "a name that is a URL": (["--allow-host", "http://a.org"], {}, 1, NO_NAME.format("http://a.org")),
    "an origin without scheme": (["--allow-origin", "a.org"], {}, 1, NO_ORIGIN.format("a.org")),
    "an origin with a slash": (["--allow-origin", "https://a.org/"], {}, 1, NO_ORIGIN.format("https://a.org/")),
    "a public host": (["--host", "0.0.0.0"], {}, 1, PUBLIC),
    "an empty token": ([], {"TEXTCLF_TOKEN": ""}, 1, SHORT_TOKEN),
    "a token of blanks": ([], {"TEXTCLF_TOKEN": "a token of many words"}, 1, SHORT_TOKEN),
    "a run that is none": (["--run", "no"], {}, 1, NO_RUN),
    "a size that is none": (["--max-body", "much"], {}, 2, NO_SIZE),
}


@pytest.mark.parametrize(("options", "environment", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_served_is_refused(
    options: list[str], environment: dict[str, str], code: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = textclf("serve", *(["--run", REVIEWS] if "--run" not in options else []), *options)
    assert (result.exit_code, result.stdout, result.stderr.splitlines()[-1]) == (code, "", message)


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = textclf("serve", "--run", REVIEWS, "--port", str(port))
    reason = "Address already in use. Choose another with --port; 0 is any free one."
    assert (result.exit_code, result.stderr) == (1, f"port {port} of 127.0.0.1 cannot be used: {reason}\n")


def test_without_its_packages_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda _name: None)
    result = textclf("serve")
    assert (result.exit_code, result.stderr) == (
        1, "textclf serve needs further packages: pip install 'starlette>=1.10' 'uvicorn>=0.54' 'h11>=0.16'.\n"
    )  # fmt: skip
