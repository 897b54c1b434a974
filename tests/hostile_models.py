"""Damaged and malicious model/ folders: ways to make one of a good folder, each with the message that refuses it.

The good one is tests/frozen/format_3/reviews: two labels, 398 words, one layer of 4 units, `last` pooling.
"""

import os
from pathlib import Path

import numpy as np
from damages import (
    Damage,
    alone,
    appended,
    constant,
    content,
    field,
    graph,
    graph_bytes,
    node,
    replaced,
    sparse,
    swapped,
    tagged,
    weights,
    without,
)

from textclf.inference.model_folder import MAX_GRAPH_BYTES, MAX_JSON_BYTES

HOME = "{model}/model.json"
DAMAGED = HOME + " is damaged: "
COPY = ". Copy the folder again."
FOREIGN = "{model}/model.onnx is no graph that this textclf writes: "
TRAIN = ". Train the run again."
UNKNOWN = "{model}/model.json has format "
READS = "; this textclf (0.1.0) reads 1 to 6."
FILES: dict[str, tuple[Damage, str]] = {
    "model.json is missing": (
        lambda folder: (folder / "model.json").unlink(),
        "{model} holds no model: {model}/model.json is missing. Name a run or a model/ folder.",
    ),
    "model.onnx is missing": (
        lambda folder: (folder / "model.onnx").unlink(),
        "{model}/model.onnx cannot be read: No such file or directory.",
    ),
    "model.json is a folder": (replaced("model.json", Path.mkdir), HOME + " is no regular file" + COPY),
    "model.onnx is a folder": (replaced("model.onnx", Path.mkdir), "{model}/model.onnx is no regular file" + COPY),
    "a huge model.json": (
        sparse("model.json", MAX_JSON_BYTES + 1),
        HOME + f" has {MAX_JSON_BYTES + 1} bytes, more than any model: at most {MAX_JSON_BYTES} are read.",
    ),
    "a huge model.onnx": (
        sparse("model.onnx", MAX_GRAPH_BYTES + 1),
        "{model}/model.onnx has 2147483648 bytes, more than any model: at most 2147483647 are read.",
    ),
    "model.onnx is cut short": (
        lambda folder: os.truncate(folder / "model.onnx", 5000),
        "{model}/model.onnx is not the file that {model}/model.json describes: another sha256" + COPY,
    ),
    "model.onnx is empty": (
        graph_bytes(lambda _: b""),
        FOREIGN + "its architecture is '', none of bilstm, mlp, encoder" + TRAIN,
    ),
}
LINKS_AND_PIPES: dict[str, tuple[Damage, str]] = {
    "model.onnx leads out of the folder": (
        replaced("model.onnx", lambda path: path.symlink_to("/etc/passwd")),
        "{model}/model.onnx is no regular file" + COPY,
    ),
    "model.json leads nowhere": (
        replaced("model.json", lambda path: path.symlink_to("/nowhere")),
        HOME + " is no regular file" + COPY,
    ),
    "model.json is a pipe": (
        replaced("model.json", lambda path: os.mkfifo(path)),
        HOME + " is no regular file" + COPY,
    ),
    "model.onnx is a pipe": (
        replaced("model.onnx", lambda path: os.mkfifo(path)),
        "{model}/model.onnx is no regular file" + COPY,
    ),
}
JSON: dict[str, tuple[Damage, str]] = {
    "nothing": (content(b""), DAMAGED + "Expecting value: line 1 column 1 (char 0)" + COPY),
    "half an object": (
        content(b"{"),
        DAMAGED + "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)" + COPY,
    ),
    "NUL bytes": (content(b"\0" * 100), DAMAGED + "Expecting value: line 1 column 1 (char 0)" + COPY),
    "no UTF-8": (
        content(b'{"format": "\xff"}'),
        DAMAGED + "'utf-8' codec can't decode byte 0xff in position 12: invalid start byte" + COPY,
    ),
    "many levels": (content(b"[" * 500_000), DAMAGED + "nested too deeply" + COPY),
    "a million lists": (content(b"[" + b"[]," * (1 << 20)), DAMAGED + "more values than any model has" + COPY),
    "many values": (content(b"[" + b"1," * (1 << 24) + b"1,1]"), DAMAGED + "more values than any model has" + COPY),
    "a list": (content(b"[]"), HOME + " is damaged: found [], need an object" + COPY),
    "a number that is a format": (content(b"1"), HOME + " is damaged: found 1, need an object" + COPY),
    "no format": (without("format"), UNKNOWN + "None" + READS),
    "format 0": (field("format", value=0), UNKNOWN + "0" + READS),
    "format 7": (field("format", value=7), UNKNOWN + "7" + READS),
    "format '1'": (field("format", value="1"), UNKNOWN + "'1'" + READS),
    "format true": (field("format", value=True), UNKNOWN + "True" + READS),
    "a field is missing": (without("labels"), DAMAGED + "it lacks labels" + COPY),
    "a field is unknown": (
        field("onload", value="x"),
        DAMAGED + "it has 'onload', which this textclf does not know" + COPY,
    ),
    "a word was changed": (
        lambda folder: (folder / "model.json").write_text(
            (folder / "model.json").read_text(encoding="utf-8").replace('"the"', '"teh"'), encoding="utf-8"
        ),
        DAMAGED + "its checksum is that of another content" + COPY,
    ),
    "no sha256": (
        field("sha256", value="../model.onnx"),
        DAMAGED + "sha256: found '../model.onnx', need 64 hexadecimal digits" + COPY,
    ),
    "no column": (field("column", value=[]), DAMAGED + "column: found a list of 0, need one column at least" + COPY),
    "a column that is a number": (field("column", value=["text", 1]), DAMAGED + "column[1]: found 1, need text" + COPY),
    "a word twice": (
        field("vocabulary", 1, value="."),
        DAMAGED + "vocabulary[1]: found '.', need texts that are not empty, each once" + COPY,
    ),
    "a word that is a number": (field("vocabulary", 7, value=7), DAMAGED + "vocabulary[7]: found 7, need text" + COPY),
    "half a character": (
        field("vocabulary", 0, value="\ud800"),
        DAMAGED + "vocabulary[0]: found '\\ud800', need text" + COPY,
    ),
    "a vocabulary that is text": (
        field("vocabulary", value="abc"),
        DAMAGED + "vocabulary: found 'abc', need a list of texts" + COPY,
    ),
    "no label": (field("labels", value=[]), DAMAGED + "labels: found a list of 0, need two labels at least" + COPY),
    "one label": (field("labels", value=["a"]), DAMAGED + "labels: found a list of 1, need two labels at least" + COPY),
    "a label twice": (
        field("labels", value=["a", "a"]),
        DAMAGED + "labels[1]: found 'a', need texts that are not empty, each once" + COPY,
    ),
    "an empty separator": (
        field("label_separator", value=""),
        DAMAGED + "label_separator: found '', need text that is not empty, or null" + COPY,
    ),
    "a threshold that is NaN": (
        field("threshold", value=float("nan")),
        DAMAGED + "NaN is no number" + COPY,
    ),
    "a threshold that is text": (
        field("threshold", value="0.5"),
        DAMAGED + "threshold: found '0.5', need a number above 0 below 1" + COPY,
    ),
    "an empty list of thresholds": (
        field("threshold", value=[]),
        DAMAGED + "threshold: found a list of 0, need a number" + COPY,
    ),
    "an endless threshold": (
        lambda folder: (folder / "model.json").write_text(
            (folder / "model.json").read_text(encoding="utf-8").replace('"threshold": 0.5', '"threshold": 1e999'),
            encoding="utf-8",
        ),
        DAMAGED + "threshold: found inf, need a number above 0 below 1" + COPY,
    ),
    "an option that is unknown": (
        field("text", "command", value="ls"),
        DAMAGED + "text has 'command', which this textclf does not know" + COPY,
    ),
    "an option of another type": (
        field("text", "lowercase", value=1),
        DAMAGED + "text.lowercase: found 1, need true or false" + COPY,
    ),
    "an option that is no choice": (
        field("text", "clean", 0, value="shell"),
        DAMAGED + "text.clean[0]: found 'shell', need html or nfkc or url or email or number or accents" + COPY,
    ),
    "rules of a newer textclf": (
        field("text", "rules", value=3),
        DAMAGED + "text.rules: found 3, need a whole number from 1 to 2" + COPY,
    ),
    "endless texts": (
        field("text", "max_length", value=10**12),
        DAMAGED + "text.max_length: found 1000000000000, need a whole number from 1 to 100000" + COPY,
    ),
    "a probe with an id out of range": (
        field("probe", "token_ids", 0, value=[1, 400]),
        DAMAGED + "probe.token_ids[0]: found a list of 2, need 1 to 100 whole numbers from 1 to 399" + COPY,
    ),
    "a probe without rows": (
        field("probe", "token_ids", value=[]),
        DAMAGED + "probe.token_ids: found a list of 0, need 1 to 1000 rows" + COPY,
    ),
    "a probe of another shape": (
        field("probe", "probabilities", 0, value=[1.0]),
        DAMAGED + "probe.probabilities[0]: found a list of 1, need 2 numbers from 0 to 1" + COPY,
    ),
    "a probe with fewer answers": (
        field("probe", "probabilities", value=[[0.5, 0.5]]),
        DAMAGED + "probe.probabilities: found a list of 1, need 8 rows, as many as probe.token_ids" + COPY,
    ),
}
GRAPHS: dict[str, tuple[Damage, str]] = {
    "bytes at random": (
        graph_bytes(lambda _: bytes(np.random.default_rng(0).integers(0, 256, 5000, np.uint8))),
        FOREIGN + "model has a field 11 that textclf never writes" + TRAIN,
    ),
    "half a graph": (graph_bytes(lambda data: data[:5000]), FOREIGN + "model is cut short" + TRAIN),
    "an unknown operator": (
        node(0, op_type="If"),
        FOREIGN + "graph.node[0].op_type is 'If', not 'Transpose'" + TRAIN,
    ),
    "an operator of another domain": (
        alone(1, tagged(4, b"Run") + tagged(7, b"com.evil")),
        FOREIGN + "graph.node[0] has a field 7 that textclf never writes" + TRAIN,
    ),
    "a second graph": (  # Protocol Buffers joins the two
        appended(7, tagged(1, tagged(4, b"Run"))),
        FOREIGN + "model has graph twice" + TRAIN,
    ),
    "data outside the file": (
        alone(5, tagged(8, b"embedding") + tagged(13, tagged(1, b"location") + tagged(2, b"/etc/passwd"))),
        FOREIGN + "graph.initializer[0] has a field 13 that textclf never writes" + TRAIN,
    ),
    "a sparse tensor": (alone(15, b""), FOREIGN + "graph has a field 15 that textclf never writes" + TRAIN),
    "another domain": (
        graph(lambda document: document["opset_import"].append({"domain": "com.evil", "version": 1})),
        FOREIGN + "opset_import[1] is there, not missing" + TRAIN,
    ),
    "a model function": (
        appended(25, tagged(1, b"Transpose")),
        FOREIGN + "model has a field 25 that textclf never writes" + TRAIN,
    ),
    "training info": (appended(20, b""), FOREIGN + "model has a field 20 that textclf never writes" + TRAIN),
    "a newer opset": (
        graph(lambda document: document["opset_import"][0].update(version=99)),
        FOREIGN + "opset_import[0].version is 99, not 18" + TRAIN,
    ),
    "no weights": (
        graph(lambda document: document["graph"].update(initializer=[])),
        FOREIGN + "its constant 'embedding' is missing or no table" + TRAIN,
    ),
    "a loop that never ends": (
        graph(lambda document: document["graph"]["node"].append({"input": [""], "output": ["x"], "op_type": "Loop"})),
        FOREIGN + "graph.node[28] is there, not missing" + TRAIN,
    ),
    "huge dimensions": (
        constant("embedding", dims=[1 << 40, 1 << 40]),
        FOREIGN + "'embedding' has 6400 bytes for shape (1099511627776, 1099511627776)" + TRAIN,
    ),
    "gigabytes out of a few bytes": (
        constant("textclf.constant_6", raw_data=np.array([1 << 40], np.int64).tobytes()),
        FOREIGN + "graph.initializer[6].raw_data holds other bytes" + TRAIN,
    ),
    "another type of weights": (
        constant("embedding", data_type=6),
        FOREIGN
        + "its constant 'embedding' has int32 of shape (400, 4), not float32, float16, int8 of (400, 4)"
        + TRAIN,
    ),
    "int8 weights without their scale": (
        constant("embedding", data_type=3, raw_data=bytes(1600)),
        FOREIGN + "its constant 'embedding.scale' is missing" + TRAIN,
    ),
    "NaN among float16 weights": (
        constant("embedding", data_type=10, raw_data=b"\xff\xff" * 1600),
        FOREIGN + "its constant 'embedding' holds NaN or infinity" + TRAIN,
    ),
    "weights of no known type": (
        constant("embedding", data_type=8),
        FOREIGN + "'embedding' holds numbers of ONNX's type 8" + TRAIN,
    ),
    "fewer weights than words": (
        constant("embedding", dims=[200, 8]),
        FOREIGN
        + "its constant 'embedding' has float32 of shape (200, 8), not float32, float16, int8 of (400, 8)"
        + TRAIN,
    ),
    "NaN among the weights": (
        weights("dense.kernel", float("nan")),
        FOREIGN + "its constant 'dense.kernel' holds NaN or infinity" + TRAIN,
    ),
    "more labels than outputs": (
        field("labels", value=["a", "b", "c"]),
        DAMAGED + "probe.probabilities[0]: found a list of 2, need 3 numbers from 0 to 1" + COPY,
    ),
    "another output": (
        graph(lambda document: document["graph"]["output"][0].update(name="x")),
        FOREIGN + "graph.output[0].name is 'x', not 'probabilities'" + TRAIN,
    ),
    "another architecture": (
        graph(lambda document: document["metadata_props"][0].update(value="../../evil")),
        FOREIGN + "its architecture is '../../evil', none of bilstm, mlp, encoder" + TRAIN,
    ),
    "another pooling": (
        graph(lambda document: document["metadata_props"][1].update(value="none")),
        FOREIGN + "its pooling is 'none', none of last, max, mean, max_mean" + TRAIN,
    ),
    "pooled somewhere else": (
        graph(
            lambda document: document.update(
                metadata_props=[
                    document["metadata_props"][0],
                    {"key": "pooling", "value": "max"},
                    {"key": "pooled", "value": "nowhere"},
                    *document["metadata_props"][2:],
                ]
            )
        ),
        FOREIGN + "its pooled is 'nowhere', none of in_loop" + TRAIN,
    ),
    "members that are not there": (
        graph(lambda document: document["metadata_props"].append({"key": "members", "value": "2"})),
        FOREIGN + "member_1: its constant 'embedding' is missing or no table" + TRAIN,
    ),
    "endless members": (
        graph(lambda document: document["metadata_props"].append({"key": "members", "value": "9" * 20})),
        FOREIGN + "its members are '99999999999999999999', no whole number from 2 to 100" + TRAIN,
    ),
    "one member, counted": (
        graph(lambda document: document["metadata_props"].append({"key": "members", "value": "1"})),
        FOREIGN + "its members are '1', no whole number from 2 to 100" + TRAIN,
    ),
    "settings for ONNX Runtime": (
        graph(lambda document: document["metadata_props"].append({"key": "ort_config", "value": "{}"})),
        FOREIGN + "metadata_props[3] is there, not missing" + TRAIN,
    ),
    "text that is not UTF-8": (
        graph_bytes(lambda data: data.replace(b"textclf", b"textcl\xff", 1)),
        FOREIGN + "producer_name is not UTF-8" + TRAIN,
    ),
    "the same graph in other bytes": (
        graph_bytes(swapped),
        FOREIGN + "the same content is written in another way" + TRAIN,
    ),
}
HOSTILE = FILES | JSON | GRAPHS | (LINKS_AND_PIPES if os.name == "posix" else {})
