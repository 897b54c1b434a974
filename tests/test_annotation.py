"""Annotation tools: tasks with predictions for Label Studio, and its and doccano's exports as they are."""

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import ROOT, SAMPLES, overrides, textclf
from init_rows import printed_config

from textclf.data.readers import read_columns
from textclf.inference.classifier import load_classifier

COLUMNS = [("data.text", "text"), ("data.label", "label")]
HOSTILE = ['He said "no"', "=1+1, </script>", "caf\u00e9 \U0001f600 \u2028 a\u0085b", "tab\there \\ ] }", ""]
DATES = {"created_at": "2026-01-02T03:04:05.678901Z", "updated_at": "2026-01-02T03:04:05.678901Z", "lead_time": 2.5}

Task = dict[str, Any]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# What Label Studio makes of tasks


def result(*choices: str, control: str = "label") -> list[Task]:
    """What an annotation or a prediction holds; nothing where nothing was chosen."""
    item = {"from_name": control, "to_name": "text", "type": "choices", "value": {"choices": [*choices]}}
    return [{"id": "x7", **item, "origin": "manual"}] if choices else []


def annotation(*choices: str, by: int = 1, **more: object) -> Task:
    item = {"id": 100 + by, "completed_by": by, "result": result(*choices), "was_cancelled": False}
    return {**item, "ground_truth": False, **DATES, "task": 7, "import_id": None, **more}


def task(number: int, text: str, *annotations: Task) -> Task:
    item = {"id": number, "annotations": [*annotations], "drafts": [], "predictions": [], "data": {"text": text}}
    return {**item, "meta": {}, "created_at": "2026-01-01T00:00:00Z", "project": 3, "total_annotations": 1}


TASKS = [
    task(11, "Good\nold tea", annotation("pos")),
    task(12, 'A "bad" bed, =1+1', annotation("neg")),
    task(13, "Two who agree", annotation("pos", by=1), annotation("pos", by=2)),
]
ROWS = [("Good\nold tea", "pos"), ('A "bad" bed, =1+1', "neg"), ("Two who agree", "pos")]
SEVERAL = [
    task(11, "Warm soup, long wait", annotation("food", "service")),
    task(12, "Fine soup", annotation("food")),
    task(13, "Neither", annotation()),
    task(14, "Two who agree", annotation("food", "price", by=1), annotation("price", "food", by=2)),
]
SEVERAL_ROWS = [("Warm soup, long wait", "food|service"), ("Fine soup", "food"), ("Neither", ""),
                ("Two who agree", "food|price")]  # fmt: skip


def minified(tasks: Sequence[Task]) -> Iterator[Task]:
    """The rows of JSON-MIN: one for each annotation, of which a single choice is text."""
    for item in tasks:
        for each in item["annotations"]:
            record = {**item["data"], "id": item["id"]}
            for value in each["result"]:
                choices = value["value"]["choices"]
                record[value["from_name"]] = choices[0] if len(choices) == 1 else {"choices": choices}
            yield {**record, "annotator": each["completed_by"], "annotation_id": each["id"], **DATES}


def delimited(tasks: Sequence[Task], delimiter: str) -> str:
    """The rows of CSV or TSV: columns in the order of the alphabet, all texts quoted, several choices as JSON."""
    names = ["annotation_id", "annotator", "created_at", "id", "label", "lead_time", "text", "updated_at"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, quoting=csv.QUOTE_NONNUMERIC, delimiter=delimiter)
    writer.writeheader()
    for row in minified(tasks):
        label = row.get("label", "")
        row["label"] = label if isinstance(label, str) else json.dumps(label, ensure_ascii=False)
        writer.writerow({**row, "annotator": str(row["annotator"])})
    return text.getvalue()


def write_export(kind: str, tasks: Sequence[Task]) -> Path:
    """Write an export; its kind is JSON, JSON-MIN, CSV or TSV."""
    path = Path("export.json" if kind.startswith("JSON") else f"export.{kind.lower()}")
    if kind == "JSON":
        path.write_text(json.dumps(tasks), encoding="utf-8")
    elif kind == "JSON-MIN":
        path.write_text(json.dumps([*minified(tasks)], indent=2, ensure_ascii=False), encoding="utf-8")
    else:
        path.write_bytes(delimited(tasks, "," if kind == "CSV" else "\t").encode())
    return path


KINDS = ["JSON", "JSON-MIN", "CSV", "TSV"]


def rows(path: Path, separator: str | None = None) -> list[tuple[str, ...]]:
    return list(read_columns(path, COLUMNS, lists={"data.label": separator}))


def refusal(path: Path, *settings: str) -> str:
    """Return stderr of a `check` that refuses a file."""
    Path("c.yaml").write_text(f"data: {{{', '.join([f'train: {path}', *settings])}}}\n")
    checked = textclf("check", "c.yaml")
    assert (checked.exit_code, checked.stdout) == (1, "")
    return checked.stderr


# Reading exports of Label Studio


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_is_read_with_a_row_for_each_task(kind: str) -> None:
    assert rows(write_export(kind, TASKS)) == ROWS


@pytest.mark.parametrize("kind", KINDS)
def test_several_choices_are_several_labels(kind: str) -> None:
    path = write_export(kind, SEVERAL)
    assert rows(path, "|") == SEVERAL_ROWS
    message = f"{path}: row 0 (task 11): 'label': 2 labels: food, service. Set data.label_separator, such as \"|\".\n"
    assert refusal(path) == message


@pytest.mark.parametrize("kind", KINDS)
def test_init_finds_the_columns_of_an_export(kind: str) -> None:
    tasks = [task(number, f"{word} number {number}", annotation(label)) for number, (word, label) in
             enumerate([("a lovely room", "pos"), ("a cold room", "neg")] * 6)]  # fmt: skip
    config = printed_config(write_export(kind, tasks)).splitlines()
    start = config.index("data:")
    name = f"  train: export.{'json' if kind.startswith('JSON') else kind.lower()}"
    assert [line.partition(" # ")[0].rstrip() for line in config[start + 1 : start + 5]] == [
        name, "  text: text", "  label: label", "  validation_split: 0.2",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_init_finds_several_labels_also_where_the_first_task_has_none(kind: str) -> None:
    texts = ["the soup was warm", "we had to wait", "too dear for us", "nothing to say"]
    labels = [(), ("food", "service"), ("price",), ("food",)]
    tasks = [task(number, f"{texts[number % 4]} on day {number}", annotation(*labels[number % 4]))
             for number in range(24)]  # fmt: skip
    config = printed_config(write_export(kind, tasks))
    assert "  label_separator: '|'              # 1.0 labels per row, 6 rows have none\n" in config
    assert "  label: label                      # 3 labels: food (50 %), price (25 %), service (25 %)\n" in config


def test_tasks_without_an_annotation_are_left_out_and_counted() -> None:
    tasks = [
        task(11, "not yet"), TASKS[0], task(12, "skipped", annotation("neg", was_cancelled=True)), TASKS[1],
        task(13, "skipped once", annotation("neg", was_cancelled=True), annotation("pos", by=2)),
    ]  # fmt: skip
    path = write_export("JSON", [*tasks, *[task(n, f"{w} day {n}", annotation(w)) for n in range(9) for w in "ab"]])
    assert rows(path)[:3] == [*ROWS[:2], ("skipped once", "pos")]
    Path("c.yaml").write_text(f"data: {{train: {path}}}\n")
    checked = textclf("check", "c.yaml", "--json")
    found = json.loads(checked.stdout)
    assert found["rows"]["train"] + found["rows"]["validation"] == 21
    assert checked.stderr == (
        "warning: export.json: tasks without an annotation, or whose annotation was skipped: 2, the first is row 0 "
        "(task 11). They are left out, and rows are counted without them\n"
    )


def test_a_ground_truth_settles_what_annotators_disagree_on() -> None:
    item = task(11, "Odd", annotation("neg", by=1), annotation("pos", by=2, ground_truth=True))
    assert rows(write_export("JSON", [item])) == [("Odd", "pos")]


def test_equal_ids_of_other_texts_are_other_tasks() -> None:
    tasks = [task(11, "one", annotation("pos")), task(11, "two", annotation("neg"))]
    assert rows(write_export("CSV", tasks)) == [("one", "pos"), ("two", "neg")]


ADVICE = "Keep one in Label Studio, or mark it as ground truth and export as JSON.\n"
REGION = {"from_name": "label", "type": "choices", "value": {"start": 0, "end": 3, "choices": ["pos"]}}
RATING = {"from_name": "label", "type": "rating", "value": {"rating": 4}}


@pytest.mark.parametrize("kind", KINDS)
def test_annotators_who_disagree_are_refused(kind: str) -> None:
    tasks = [TASKS[0], task(12, "Odd", annotation("neg", by=1), annotation("pos", by=2))]
    path = write_export(kind, tasks)
    where = f"{path}: row 1 (task 12): its annotations disagree on 'label': neg and pos. "
    assert refusal(path) == where + ADVICE
    assert textclf("init", path).stderr == f"{where}{ADVICE[:-1]} Or name another column with --label.\n"
    assert textclf("init", path, "--label", "label").stderr == where + ADVICE


@pytest.mark.parametrize("kind", KINDS)
def test_a_choice_and_none_disagree(kind: str) -> None:
    tasks = [task(12, "Odd", annotation("pos", by=1), annotation(by=2)), *TASKS]
    path = write_export(kind, tasks)
    where = f"{path}: row 0 (task 12): its annotations disagree on 'label': pos and nothing. "
    assert refusal(path, "label_separator: '|'") == where + ADVICE
    assert textclf("init", path, "--label", "label").stderr == where + ADVICE


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_in_which_nothing_was_chosen_has_no_label(kind: str) -> None:
    path = write_export(kind, [TASKS[0], task(12, "Odd", annotation())])
    assert refusal(path) == (
        f"{path}: row 1 (task 12): the annotation has no 'label'; choose one in Label Studio. With "
        "data.label_separator a row may have none.\n"
    )


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (task(12, "Odd", annotation(result=[REGION])), """'label' is {"start": "0", "end": "3", "choices":..., need """
         "choices for the whole text. Set data.label."),
        (task(12, "Odd", annotation(result=[RATING])), """'label' is {"rating": "4"}, need choices for the whole """
         "text. Set data.label."),
        (task(12, "Odd", annotation(result=result("pos", control="mood"))), "the annotation has no 'label'; it has: "
         "mood. Set data.label. With data.label_separator a row may have none."),
        (task(12, "Odd", annotation(result=result("pos") * 2)), """'label' is [["pos"], ["pos"]], need choices for """
         "the whole text. Set data.label."),
        (task(12, "Odd", 5), "'annotations' is [\"5\"], which is not how Label Studio writes tasks. Export the project "
         "as JSON again."),
        (task(12, "Odd", annotation(result=None)), "'result' is null, which is not how Label Studio writes tasks. "
         "Export the project as JSON again."),
    ],
)  # fmt: skip
def test_annotations_that_are_no_choices_are_refused(item: Task, message: str) -> None:
    path = write_export("JSON", [TASKS[0], item])
    assert refusal(path) == f"{path}: row 1 (task 12): {message}\n"


def test_an_object_that_is_no_task_is_refused() -> None:
    path = write_export("JSON", [TASKS[0], {"id": 12, "data": "Odd", "annotations": []}])
    assert refusal(path) == (
        f"""{path}: row 1: 'data' is "Odd", which is not how Label Studio writes tasks. Export the project as JSON """
        "again.\n"
    )


def test_another_control_than_the_one_named_is_said() -> None:
    path = write_export("JSON", TASKS)
    assert refusal(path, "label: mood") == (
        f"c.yaml:1:28: data.label: {path} has no column 'mood'; it has: text, id, label. Set data.label.\n"
    )


# Exports of doccano


@pytest.mark.parametrize("text", ["text", "data"])
def test_doccano_jsonl(text: str) -> None:
    lines = [{"id": n, text: f"{w} on day {n}", "label": [w.split()[-1]], "Comments": []}
             for n, w in enumerate(["it was good", "it was bad"] * 6)]  # fmt: skip
    path = Path("admin.jsonl")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = printed_config(path)
    assert f"\n  text: {text}   " in config
    assert "\n  label: label   " in config
    assert "label_separator" not in config
    assert rows_of(path, text)[:2] == [("it was good on day 0", "good"), ("it was bad on day 1", "bad")]


def rows_of(path: Path, text: str) -> list[tuple[str, ...]]:
    return list(read_columns(path, [("data.text", text), ("data.label", "label")], lists={"data.label": None}))


def test_doccano_csv_has_labels_joined_by_a_hash() -> None:
    labels = ["food", "food#service", "price", "price#service"]
    lines = [f"{n},we were there on day {n},{labels[n % 4]},\n" for n in range(24)]
    Path("all.csv").write_text("id,text,label,Comments\n" + "".join(lines))
    config = printed_config("all.csv")
    assert "  label_separator: '#'              # 1.5 labels per row\n" in config
    assert "3 labels: food (50 %), price (50 %), service (50 %)" in config


def test_unapproved_rows_of_doccano_have_no_label() -> None:
    Path("admin.jsonl").write_text('{"id": 1, "text": "one", "label": ["a"]}\n{"id": 2, "text": "two", "label": []}\n')
    assert refusal(Path("admin.jsonl")) == (
        "admin.jsonl: row 1 has no label (rows count from 0). Add it or drop the row.\n"
    )


# Predictions as tasks


def expected_tasks(run: Path, texts: Sequence[str]) -> str:
    classifier = load_classifier(run)
    labels, confidence = classifier.decide(classifier.predict_proba(texts))
    separator = classifier.description.label_separator
    lines = []
    for text, label, score in zip(texts, labels, confidence.tolist(), strict=True):
        choices = label.split(separator) if separator else [label]
        item = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": choices}}
        prediction = {"model_version": run.name, "score": round(score, 6), "result": [item] if label else []}
        lines.append(json.dumps({"data": {"text": text}, "predictions": [prediction]}, ensure_ascii=False))
    return "[\n" + ",\n".join(lines) + "\n]\n"


@pytest.mark.parametrize("name", ["reviews", "topics", "encoder"])
def test_predict_writes_tasks_in_order(name: str, copy_run: Any) -> None:
    run = copy_run(name)
    texts = [*HOSTILE, "The soup was cold and far too dear", "quiet"]
    predicted = textclf("predict", "--run", run, "--format", "label-studio", stdin="\n".join(texts))
    assert (predicted.exit_code, predicted.stderr) == (0, "")
    assert predicted.stdout == expected_tasks(run, texts)


def test_no_rows_are_an_empty_list(reviews: Path) -> None:
    assert textclf("predict", "--run", reviews, "--format", "label-studio", stdin="").stdout == "[]\n"


def test_a_label_below_the_least_confidence_is_no_choice(reviews: Path) -> None:
    arguments = ["predict", "--run", reviews, "--format", "label-studio", "--min-confidence", "1"]
    [item] = json.loads(textclf(*arguments, stdin="good\n").stdout)
    [prediction] = item["predictions"]
    assert (item["data"], prediction["result"]) == ({"text": "good"}, [])
    assert 0.5 <= prediction["score"] < 1


def test_tasks_have_no_byte_order_mark(reviews: Path) -> None:
    predicted = textclf("predict", "--run", reviews, "--format", "label-studio", "--bom", stdin="good\n")
    assert predicted.exit_code == 2
    assert predicted.stderr.endswith("Error: --bom is for csv and tsv: JSON has no byte order mark.\n")


def test_predict_reads_the_texts_of_tasks_annotated_or_not(reviews: Path) -> None:
    path = write_export("JSON", [*TASKS, task(14, "not yet")])
    texts = [*(text for text, _ in ROWS), "not yet"]
    predicted = textclf("predict", path, "--run", reviews, "--format", "label-studio")
    assert (predicted.exit_code, predicted.stdout) == (0, expected_tasks(reviews, texts))


def test_predictions_are_no_annotations(reviews: Path) -> None:
    Path("in.txt").write_text("good\nbad\n")
    textclf("predict", "in.txt", "--run", reviews, "--format", "label-studio", "--output", "tasks.json")
    message = "tasks.json: none of its 2 tasks has an annotation. Annotate some in Label Studio.\n"
    assert refusal(Path("tasks.json")) == message
    assert textclf("init", "tasks.json").stderr == message


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_predicted_and_annotated_is_trained_on(kind: str, reviews: Path) -> None:
    arguments = ["--run", reviews, "--column", "text", "--format", "label-studio", "--output", "tasks.json"]
    assert textclf("predict", SAMPLES / "reviews.csv", *arguments).exit_code == 0
    tasks = [
        task(number, item["data"]["text"], annotation(result=item["predictions"][0]["result"]))
        for number, item in enumerate(json.loads(Path("tasks.json").read_text(encoding="utf-8")))
    ]
    export = write_export(kind, tasks)
    labelled = [line.split("\t")[0] for line in textclf("predict", export, "--run", reviews).stdout.splitlines()]
    assert rows(export) == list(zip([item["data"]["text"] for item in tasks], labelled, strict=True))
    if kind == "JSON":
        assert textclf("init", export).exit_code == 0
        settings = overrides("model.blend=null", "training.epochs=1", "report.baseline=false")
        trained = textclf("train", "export.yaml", "--run", "again", *settings)
        assert trained.exit_code == 0, trained.stderr
    document = json.loads(textclf("evaluate", export, "--run", reviews, "--json").stdout)
    assert (document["data"]["rows"], document["metrics"]["accuracy"]) == (400, 1.0)


@pytest.mark.parametrize(("name", "kind"), [("reviews", "single"), ("topics", "multiple")])
def test_the_page_prints_the_labelling_interface_of_a_run(
    name: str, kind: str, copy_run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(copy_run(name), Path("runs/mine"))
    page = (ROOT / "docs" / "annotation.md").read_text(encoding="utf-8")
    [script], [shown] = (re.findall(f"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
                         for language in ("python", "xml"))  # fmt: skip
    exec(script, {})
    printed = capsys.readouterr().out
    choices = {each.get("value") for each in ElementTree.fromstring(printed).iter("Choice")}
    assert (choices, f'choice="{kind}"' in printed) == ({*load_classifier(Path("runs/mine")).labels}, True)
    assert (printed == shown) == (name == "reviews")
