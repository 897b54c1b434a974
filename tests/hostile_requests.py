"""Hostile requests to `textclf serve`: what is sent, and the status and the message that must come back.

The server takes bodies of 100,000 bytes, 100 texts of 1,000 characters, and 1 second for a request.
"""

# ruff: noqa: E501 - a request and its answer on one line

import json
from collections.abc import Sequence
from typing import Any

HEAD = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
GET = b"GET /v2/health/live HTTP/1.1\r\n"
NO_HTTP = (400, "this is no valid HTTP request.")
OTHER_VERSION = (400, "this server speaks HTTP/1.1.")
SLOW = (408, "the request did not arrive within 1 seconds.")
TOO_LARGE = (413, "the body has more than 100,000 bytes, the most that are read.")
BOTH = (400, "the request has content-length and transfer-encoding; send one of them.")
DEEP = (400, "the body is nested too deeply.")
CLOSED = None
"""The connection is closed without an answer."""

Sent = bytes | Sequence[bytes | float]
"""Bytes, or parts of them with pauses of so many seconds; a pause of -1 closes the client's side."""

Expected = tuple[int, str | None] | None


def post(body: bytes | Any, head: bytes = HEAD) -> bytes:
    """Return a request with a body, which may be a document."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head + b"content-length: %d\r\n\r\n" % len(data) + data


def predict(body: bytes | Any, message: str, status: int = 400) -> tuple[Sent, Expected]:
    return post(body), (status, message)


def infer(message: str, **changes: Any) -> tuple[Sent, Expected]:
    """Return a request of the open inference protocol with other fields than it should have."""
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["x"]} | changes
    head = HEAD.replace(b"/predict", b"/v2/models/reviews/infer")
    return post({"inputs": [{name: value for name, value in tensor.items() if value != "absent"}]}, head), (
        400,
        message,
    )


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    parts = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return HEAD + b"transfer-encoding: chunked\r\n\r\n" + parts + end


def get(path: bytes, status: int, message: str | None = None) -> tuple[Sent, Expected]:
    return b"GET %b HTTP/1.1\r\nhost: localhost\r\n\r\n" % path, (status, message)


def nothing_at(path: str) -> str:
    return f"nothing is at {path!r:.80}; /openapi.json says what there is."


OK = b'{"texts": []}'

DOCUMENTS: dict[str, tuple[Sent, Expected]] = {
    "no body": predict(b"", "the body is empty, need a JSON object."),
    "blanks": predict(b" \n\t", "the body is empty, need a JSON object."),
    "no JSON": predict(b"texts=x", "the body is no JSON: line 1, column 1: expecting value."),
    "cut JSON": predict(b'{"texts": ["a', "the body is no JSON: line 1, column 12: unterminated string starting at."),
    "two documents": predict(OK + OK, "the body is no JSON: line 1, column 14: extra data."),
    "a comma too many": predict(b'{"texts": ["a",]}', "the body is no JSON: line 1, column 16: expecting value."),
    "single quotes": predict(
        b"{'texts': []}", "the body is no JSON: line 1, column 2: expecting property name enclosed in double quotes."
    ),
    "a comment": predict(b'{"texts": [] /* */}', "the body is no JSON: line 1, column 14: expecting ',' delimiter."),
    "a control character": predict(
        b'{"texts": ["a\nb"]}', "the body is no JSON: line 1, column 14: invalid control character at."
    ),
    "a bad escape": predict(b'{"texts": ["\\x"]}', "the body is no JSON: line 1, column 13: invalid \\escape."),
    "NaN": predict(b'{"texts": [NaN]}', "the body is no JSON: NaN is no number."),
    "-Infinity": predict(b'{"texts": -Infinity}', "the body is no JSON: -Infinity is no number."),
    "a huge number": predict(b'{"texts": ' + b"9" * 5000 + b"}", "the body has a number of too many digits."),
    "a number beyond floats": predict(b'{"texts": [1e999]}', "texts[0]: found inf, need a text."),
    "a name twice": predict(b'{"texts": [], "texts": ["a"]}', "the body has 'texts' twice in one object."),
    "a name twice, deep": predict(b'{"texts": [{"a": 1, "a": 2}]}', "the body has 'a' twice in one object."),
    "a list": predict([], "the body: found a list of 0, need an object."),
    "null": predict(None, "the body: found None, need an object."),
    "a text": predict("texts", "the body: found 'texts', need an object."),
    "a long text": predict("x" * 9000, "the body: found 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, need an object."),
    "deep lists": predict(b"[" * 50_000, DEEP[1]),
    "deep objects": predict(b'{"a":' * 15_000, DEEP[1]),
    "deep in texts": predict(b'{"texts": ' + b"[" * 40_000 + b"]" * 40_000 + b"}", DEEP[1]),
    "many lists": predict(b'{"texts": [' + b"[]," * 30_000 + b"[]]}", "texts: found 30,001; at most 100 texts are predicted at once.", 413),
    "many names": predict({str(number): 0 for number in range(8000)}, "the body lacks texts."),
    "no texts": predict({"text": "x"}, "the body lacks texts."),
    "an unknown name": predict({"texts": [], "txt": 1}, "the body has 'txt', which is unknown; it takes texts, explain."),
    "an evil name": predict({"texts": [], "__proto__\x00<b>": 1}, "the body has '__proto__\\x00<b>', which is unknown; it takes texts, explain."),
    "a text for texts": predict({"texts": "x"}, "texts: found 'x', need a list of texts."),
    "an object for texts": predict({"texts": {}}, "texts: found an object, need a list of texts."),
    "a number among texts": predict({"texts": ["a", "b", "c", 5]}, "texts[3]: found 5, need a text."),
    "null among texts": predict({"texts": [None]}, "texts[0]: found None, need a text."),
    "true among texts": predict({"texts": [True]}, "texts[0]: found True, need a text."),
    "a list among texts": predict({"texts": [["a"]]}, "texts[0]: found a list of 1, need a text."),
    "half a surrogate pair": predict(b'{"texts": ["\\ud83d"]}', "texts[0]: it has half of a surrogate pair, which is no character."),
    "a surrogate as a name": predict(b'{"texts": [], "\\udc00": 1}', "the body has '\\udc00', which is unknown; it takes texts, explain."),
    "explain as a text": predict({"texts": [], "explain": "no"}, "explain: found 'no', need true or false."),
    "explain as a number": predict({"texts": [], "explain": 1}, "explain: found 1, need true or false."),
    "too many texts": predict({"texts": ["x"] * 101}, "texts: found 101; at most 100 texts are predicted at once.", 413),
    "too long a text": predict({"texts": ["x" * 1001]}, "texts[0]: found 1,001; at most 1,000 characters of a text are read.", 413),
    "latin-1": predict('{"texts": ["é"]}'.encode("latin-1"), "the body is not UTF-8: byte 0xe9 at 12."),
    "UTF-16": predict('{"texts": []}'.encode("utf-16"), "the body is not UTF-8: byte 0xff at 0."),
    "overlong UTF-8": predict(b'{"texts": ["\xc0\xaf"]}', "the body is not UTF-8: byte 0xc0 at 12."),
    "a cut character": predict(b'{"texts": ["\xe2\x82', "the body is not UTF-8: byte 0xe2 at 12."),
    "a byte order mark": predict(b"\xef\xbb\xbf" + OK, "the body is no JSON: line 1, column 1: unexpected utf-8 bom."),
    "gzip": predict(b"\x1f\x8b\x08\x00", "the body is not UTF-8: byte 0x8b at 1."),
}  # fmt: skip

PROTOCOL: dict[str, tuple[Sent, Expected]] = {
    "no inputs": (post({}, HEAD.replace(b"/predict", b"/v2/models/reviews/infer")), (400, "the body lacks inputs.")),
    "two inputs": (
        post({"inputs": [{}, {}]}, HEAD.replace(b"/predict", b"/v2/models/reviews/infer")),
        (400, "inputs: found a list of 2, need a list of one input."),
    ),
    "no shape": infer("inputs[0] lacks shape.", shape="absent"),
    "another input": infer("inputs[0].name: found 'x', need text, the model's one input.", name="x"),
    "numbers": infer("inputs[0].datatype: found 'FP32', need BYTES.", datatype="FP32"),
    "another shape": infer("inputs[0].shape: found a list of 1, need [1], as data has.", shape=[2]),
    "a negative shape": infer("inputs[0].shape: found a list of 1, need [1], as data has.", shape=[-1]),
    "a huge shape": infer("inputs[0].shape: found a list of 2, need [1], as data has.", shape=[1, 10**15]),
    "a shape of texts": infer("inputs[0].shape: found a list of 1, need [1], as data has.", shape=["1"]),
    "no list of data": infer("inputs[0].data: found 'x', need a list of texts.", data="x"),
    "nested data": infer("inputs[0].data[0]: found a list of 2, need a text.", data=[["a", "b"]]),
    "a binary tensor": infer(
        "inputs[0].parameters: binary tensors are not read; send the texts as JSON.", parameters={"binary_data_size": 5}
    ),
    "another output": (
        post({"inputs": [], "outputs": [{"name": "x"}]}, HEAD.replace(b"/predict", b"/v2/models/reviews/infer")),
        (400, "inputs: found a list of 0, need a list of one input."),
    ),
}

HEADS: dict[str, tuple[Sent, Expected]] = {
    "no content-type": (post(OK, b"POST /predict HTTP/1.1\r\nhost: x\r\n"), (421, "host 'x': this server answers to localhost, 127.0.0.1, ::1. Others: --allow-host.")),
    "a form": (
        post(OK, HEAD.replace(b"application/json", b"application/x-www-form-urlencoded")),
        (415, "content-type is 'application/x-www-form-urlencoded', need application/json."),
    ),
    "text": (post(OK, HEAD.replace(b"application/json", b"text/plain")), (415, "content-type is 'text/plain', need application/json.")),
    "compressed": (post(OK, HEAD + b"content-encoding: gzip\r\n"), (415, "content-encoding is 'gzip'; send the JSON as it is.")),
    "length and chunks": (
        HEAD + b"content-length: 13\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n", BOTH
    ),
    "two lengths": (HEAD + b"content-length: 13\r\ncontent-length: 2\r\n\r\n" + OK, NO_HTTP),
    "a length of words": (HEAD + b"content-length: many\r\n\r\n" + OK, NO_HTTP),
    "a negative length": (HEAD + b"content-length: -1\r\n\r\n" + OK, NO_HTTP),
    "a length with a sign": (HEAD + b"content-length: +13\r\n\r\n" + OK, NO_HTTP),
    "a length of 10^30": (HEAD + b"content-length: 1" + b"0" * 30 + b"\r\n\r\n", NO_HTTP),
    "a blank before the colon": (HEAD + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n", NO_HTTP),
    "another coding": (HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", NO_HTTP),
    "two codings": (HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", NO_HTTP),
    "a folded header": (HEAD + b"transfer-encoding:\r\n chunked\r\n\r\n" + b"d\r\n" + OK + b"\r\n0\r\n\r\n", (200, None)),
    "a bare line feed in a header": (HEAD + b"x: a\rb\r\n\r\n", NO_HTTP),
    "a NUL in a header": (HEAD + b"x: \0\r\n\r\n", NO_HTTP),
    "no host": (GET + b"\r\n", NO_HTTP),
    "two hosts": (GET + b"host: localhost\r\nhost: a.example\r\n\r\n", NO_HTTP),
    "another host": (GET + b"host: a.example\r\n\r\n", (421, "host 'a.example': this server answers to localhost, 127.0.0.1, ::1. Others: --allow-host.")),
    "a host of blanks": (GET + b"host: a b\r\n\r\n", (421, "host 'a b': this server answers to localhost, 127.0.0.1, ::1. Others: --allow-host.")),
    "a large header": (HEAD + b"x: " + b"a" * 20_000 + b"\r\n\r\n", (400, None)),
    "many headers": (HEAD + b"x: a\r\n" * 9000 + b"\r\n", (400, None)),
    "an endless line": (b"A" * 40_000, NO_HTTP),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 32, NO_HTTP),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", OTHER_VERSION),
    "another version": (b"GET / HTTP/9.9\r\nhost: localhost\r\n\r\n", OTHER_VERSION),
    "HTTP/0.9": (b"GET /\r\n\r\n", NO_HTTP),
    "a websocket": (
        b"GET /predict HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-key: x\r\nsec-websocket-version: 13\r\n\r\n",
        (405, "GET is not for '/predict'; it takes POST."),
    ),
    "another method": (b"DELETE /predict HTTP/1.1\r\nhost: localhost\r\n\r\n", (405, "DELETE is not for '/predict'; it takes POST.")),
    "TRACE": (b"TRACE / HTTP/1.1\r\nhost: localhost\r\n\r\n", (405, "TRACE is not for '/'; it takes GET, HEAD.")),
    "CONNECT": (b"CONNECT a.example:443 HTTP/1.1\r\nhost: localhost\r\n\r\n", (404, nothing_at("a.example:443"))),
    "a proxy's request": (b"GET http://a.example/ HTTP/1.1\r\nhost: localhost\r\n\r\n", (404, nothing_at("http://a.example/"))),
}  # fmt: skip

PATHS: dict[str, tuple[Sent, Expected]] = {
    "up": get(b"/../../etc/passwd", 404, nothing_at("/../../etc/passwd")),
    "up, encoded": get(b"/%2e%2e%2f%2e%2e%2fetc/passwd", 404, nothing_at("/../../etc/passwd")),
    "up from a file": get(b"/page.js/../../app.py", 404, nothing_at("/page.js/../../app.py")),
    "a NUL": get(b"/page.js%00.html", 404, nothing_at("/page.js\0.html")),
    "no UTF-8": get(b"/%ff%fe", 404, nothing_at("/\ufffd\ufffd")),
    "two slashes": get(b"//a.example/predict", 404, nothing_at("//a.example/predict")),
    "a line end": get(b"/x%0d%0aset-cookie:a=b", 404, nothing_at("/x\r\nset-cookie:a=b")),
    "a model up": get(b"/v2/models/..%2f..%2fetc", 404, nothing_at("/v2/models/../../etc")),
    "a report of another file": get(
        b"/report?model=../../../etc/passwd", 404, "no model '../../../etc/passwd'; there are: reviews."
    ),
    "a script as a model": get(b"/report?model=%3Cscript%3E", 404, "no model '<script>'; there are: reviews."),
    "a bad escape": get(b"/v2/models/%zz", 404, "no model '%zz'; there are: reviews."),
    "a long path": get(b"/" + b"a" * 9000, 404, nothing_at("/" + "a" * 9000)),
    "a blank": (b"GET /a b HTTP/1.1\r\nhost: localhost\r\n\r\n", NO_HTTP),
}

BODIES: dict[str, tuple[Sent, Expected]] = {
    "chunks": (chunked(b'{"tex', b'ts": []}'), (200, None)),
    "a chunk's extension": (chunked(end=b"d;a=b\r\n" + OK + b"\r\n0\r\n\r\n"), (200, None)),
    "a chunk of another size": (chunked(end=b"5\r\n" + OK + b"\r\n0\r\n\r\n"), NO_HTTP),
    "a chunk of words": (chunked(end=b"many\r\n" + OK + b"\r\n0\r\n\r\n"), NO_HTTP),
    "a negative chunk": (chunked(end=b"-1\r\n"), NO_HTTP),
    "a chunk of 2^80": (chunked(end=b"1" + b"0" * 20 + b"\r\n"), NO_HTTP),
    "large chunks": (chunked(*[b" " * 60_000] * 3), TOO_LARGE),
    "a large body": (post(b" " * 300_000), TOO_LARGE),
    "a body of terabytes": (HEAD + b"content-length: 9999999999999\r\n\r\n{", TOO_LARGE),
    "a large body that waits to be asked for": (
        HEAD + b"expect: 100-continue\r\ncontent-length: 200000\r\n\r\n", TOO_LARGE
    ),
    "nothing": ([1.2], (408, "the request did not arrive within 1 seconds.")),
    "a slow head": ([b"POST /predict HT", 0.4, b"TP/1.1\r\n", 0.4, b"host: localhost\r\n", 0.4], SLOW),
    "a slow body": ([HEAD + b"content-length: 13\r\n\r\n", *[b"{", 0.3] * 4], SLOW),
    "a body that never comes": ([HEAD + b"content-length: 13\r\n\r\n", 1.2], SLOW),
    "slow chunks": ([chunked(end=b""), *[b"1\r\n \r\n", 0.3] * 4], SLOW),
    "a slow body to no path": (
        [HEAD.replace(b"/predict", b"/no") + b"content-length: 13\r\n\r\n", 0.2], (404, nothing_at("/no"))
    ),
    "a closed side before a head": ([b"GET / HT", -1], CLOSED),
    "a closed side within a body": ([HEAD + b"content-length: 13\r\n\r\n{", -1], CLOSED),
    "a closed side after a request": ([post(OK), -1], (200, None)),
    "two requests at once": (post(OK) + post({"texts": 5}), (200, None)),
    "a client that does not read": ([*[post({"texts": ["x"] * 100})] * 300, 1.5], (200, None)),
    "rubbish after a request": (post(OK) + b"\0\1\2\3", (200, None)),
}  # fmt: skip

REQUESTS = {
    f"{group}: {name}": case
    for group, cases in {
        "document": DOCUMENTS,
        "protocol": PROTOCOL,
        "head": HEADS,
        "path": PATHS,
        "body": BODIES,
    }.items()
    for name, case in cases.items()
}
