"""Label Studio's tasks: its exports read as rows, and tasks with predictions for it to import.

An export as JSON has an object for each task, with all its annotations. JSON-MIN, CSV and TSV have a row for each
annotation; those of a task follow each other.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, islice, takewhile
from typing import NamedTuple

from textclf.data.table_format import Columns, Lists, Located
from textclf.errors import UserError
from textclf.io.sanitize import excerpt, join_names

logger = logging.getLogger(__name__)

ANNOTATION_COLUMNS = frozenset({"annotator", "annotation_id", "created_at", "updated_at", "lead_time"})
"""Columns that JSON-MIN, CSV and TSV have beside those of the task and those of the annotation."""

_NEITHER_TEXT_NOR_LABEL = ANNOTATION_COLUMNS | {"id", "agreement", "history"}

TASKS_LOOKED_AT = 1000  # at least, to find the columns; not every task has all

LABEL, TEXT = "label", "text"
"""Names of the choices and of the text in the tasks that are written."""


class _Task(NamedTuple):
    """A task with what people have annotated."""

    where: str
    data: dict[str, object]
    """Its columns without annotations."""
    annotations: list[dict[str, object]]
    """The annotated values by the name of their control, for each annotation that counts."""


# Reading


def is_export(columns: Mapping[str, object] | Sequence[str]) -> bool:
    """Return True if this is a task of Label Studio's JSON, or if these are the columns of its other exports."""
    return set(columns) >= ANNOTATION_COLUMNS or (isinstance(columns, Mapping) and _is_task(columns))


def _is_task(item: Mapping[str, object]) -> bool:
    lists = (item.get(name) for name in ("annotations", "completions", "predictions"))
    return isinstance(item.get("data"), dict) and any(isinstance(value, list) for value in lists)


def export_columns(objects: Iterable[Located]) -> list[str]:
    """Return the names of the columns of an export: those of the tasks, and those that are annotated or predicted.

    Raises:
        UserError: a task is not as Label Studio writes it.
    """
    names: dict[str, None] = {}
    controls: dict[str, None] = {}
    for number, (where, item) in enumerate(objects):
        is_task = _is_task(item)
        names |= dict.fromkeys(_columns(where, item) if is_task else item)
        for kind in ("annotations", "completions", "predictions") if is_task else ():
            annotations = item.get(kind)
            for annotation in annotations if isinstance(annotations, list) else ():
                if isinstance(annotation, dict) and isinstance(annotation.get("result"), list):
                    controls |= dict.fromkeys(_values(annotation, where))
        if number >= TASKS_LOOKED_AT and (controls or not is_task):
            break
    return [*(names | controls)]


def labelled_rows(objects: Iterable[Located], name: str, columns: Columns, lists: Lists) -> Iterator[Located]:
    """Yield the columns of each annotated task; its labels as lists.

    Tasks without an annotation are left out, and a warning counts them.

    Args:
        name: of the file, for messages.
        columns: those that are read, the texts before the labels; without labels, tasks need no annotation.
        lists: separator of each column of labels, by its setting; None: a row must have a label.

    Raises:
        UserError: the annotations of a task disagree, one has no label, or no task is annotated.
    """
    labels = {column: lists[setting] for setting, column in columns if setting in lists}
    if not labels:
        yield from ((where, _columns(where, item) if _is_task(item) else item) for where, item in objects)
        return
    texts = [column for _, column in takewhile(lambda named: named[0] not in lists, columns)]
    for task in _annotated(_tasks(objects, texts), name):
        chosen = {column: _label_list(task, column, separator) for column, separator in labels.items()}
        yield task.where, {**task.data, **task.annotations[0], **chosen}


def labelled_records(objects: Iterable[Located], name: str) -> Iterator[dict[str, object]]:
    """Yield the columns of each annotated task that could be texts or labels.

    Where annotations disagree, the value is the UserError that `labelled_rows` would raise.

    Raises:
        UserError: a task is not as Label Studio writes it, or none is annotated.
    """
    tasks = _annotated(_tasks(objects, ()), name)
    first = list(islice(tasks, TASKS_LOOKED_AT))
    columns = dict.fromkeys(column for task in first for column in chain(task.data, *task.annotations))
    for task in chain(first, tasks):
        # a column in which nothing was chosen is missing
        yield {column: _value(task, column) for column in columns if column not in _NEITHER_TEXT_NOR_LABEL}


def _value(task: _Task, column: str) -> object:
    values = [annotation.get(column) for annotation in task.annotations]
    if all(value is None for value in values):
        values = [task.data.get(column)]
    if all(value == values[0] for value in values):
        choices = _choices_in(values[0])
        return values[0] if choices is None else choices
    try:
        return _label_list(task, column, "")
    except UserError as error:
        return error


def _annotated(tasks: Iterable[_Task], name: str) -> Iterator[_Task]:
    """Yield the tasks with annotations; warn of the others."""
    annotated, missing, first = 0, 0, ""
    try:
        for task in tasks:
            if task.annotations:
                annotated += 1
                yield task
            else:
                missing, first = missing + 1, first or task.where
    finally:
        if missing and annotated:
            logger.warning(
                "%s: tasks without an annotation, or whose annotation was skipped: %d, the first is %s. They are left "
                "out, and rows are counted without them", name, missing, first.removeprefix(f"{name}: "),
            )  # fmt: skip
    if not annotated:
        raise UserError(f"{name}: none of its {missing:,} tasks has an annotation. Annotate some in Label Studio.")


def _tasks(objects: Iterable[Located], texts: Sequence[str]) -> Iterator[_Task]:
    """Yield the tasks of an export; annotations that follow each other are of one task if id and texts are equal."""
    objects = iter(objects)
    if first := next(objects, None):
        objects = chain([first], objects)
        yield from map(_task, objects) if _is_task(first[1]) else _grouped(objects, texts)


def _task(located: Located) -> _Task:
    """Return the task in an object of an export as JSON; a ground truth counts before other annotations."""
    where, item = located
    data = _columns(where, item)
    where = _with_id(where, item)
    annotations = item.get("annotations", item.get("completions")) or []
    if not isinstance(annotations, list) or not all(isinstance(each, dict) for each in annotations):
        raise _unknown_structure(where, "annotations", annotations)
    made = [each for each in annotations if not (each.get("was_cancelled") or each.get("skipped"))]
    counting = [each for each in made if each.get("ground_truth")] or made
    return _Task(where, data, [_values(each, where) for each in counting])


def _columns(where: str, item: Mapping[str, object]) -> dict[str, object]:
    """Return the columns of a task without annotations; its id is one of them, as in JSON-MIN."""
    data = _data(where, item)
    return data if "id" not in item or "id" in data else {**data, "id": item["id"]}


def _data(where: str, item: Mapping[str, object]) -> dict[str, object]:
    data = item.get("data")
    if not isinstance(data, dict):
        raise _unknown_structure(where, "data", data)
    return data


def _values(annotation: Mapping[str, object], where: str) -> dict[str, object]:
    """Return what an annotation holds by the name of the control, as JSON-MIN has it."""
    result = annotation.get("result", [])
    if not isinstance(result, list):
        raise _unknown_structure(where, "result", result)
    values: dict[str, object] = {}
    for each in result:
        if isinstance(each, dict) and isinstance(control := each.get("from_name"), str):
            value = each.get("value")
            choices = _choices_in(value)
            value = value if choices is None else choices
            # two values are of parts of the text
            values[control] = [values[control], value] if control in values else value
    return values


def _unknown_structure(where: str, key: str, found: object) -> UserError:
    return UserError(
        f"{where}: '{key}' is {_shown(found)}, which is not how Label Studio writes tasks. Export the project as JSON "
        "again."
    )


def _shown(value: object) -> str:
    """Return the beginning of a value as JSON, for a message."""
    try:
        return excerpt(json.dumps(value, ensure_ascii=False), longest=40)
    except RecursionError:
        return "nested too deeply"


def _grouped(objects: Iterable[Located], texts: Sequence[str]) -> Iterator[_Task]:
    """Yield the tasks of an export with a row for each annotation."""

    def key(located: Located) -> tuple[object, ...]:
        where, item = located
        return (item.get("id", where), *(item.get(column) for column in texts))

    for _, group in groupby(objects, key):
        rows = list(group)
        where, data = rows[0]
        yield _Task(_with_id(where, data), data, [item for _, item in rows if item.get("annotation_id")])


def _with_id(where: str, item: Mapping[str, object]) -> str:
    task_id = item.get("id")
    return f"{where} (task {excerpt(task_id)})" if isinstance(task_id, str) and task_id else where


def _label_list(task: _Task, column: str, separator: str | None) -> list[object]:
    """Return the labels that the annotations of a task have in common.

    Raises:
        UserError: they differ, are no choices, or there are none and no separator.
    """
    chosen = [_choices(annotation.get(column), task.where, column) for annotation in task.annotations]
    distinct: dict[tuple[str, ...], list[object]] = {}
    for labels in chosen:
        distinct.setdefault(tuple(sorted(map(str, labels))), labels)
    if len(distinct) > 1:
        found = " and ".join(join_names(labels) or "nothing" for labels in distinct)
        raise UserError(
            f"{task.where}: its annotations disagree on '{column}': {found}. Keep one in Label Studio, or mark it as "
            "ground truth and export as JSON."
        )
    [labels] = distinct.values()
    if not labels and separator is None:
        others = [name for name in task.annotations[0] if name not in task.data and name != column]
        advice = f"it has: {join_names(others)}. Set data.label" if others else "choose one in Label Studio"
        raise UserError(
            f"{task.where}: the annotation has no '{column}'; {advice}. With data.label_separator a row may have none."
        )
    return labels


def _choices(value: object, where: str, column: str) -> list[object]:
    """Return the choices in a value of JSON-MIN, or of CSV, where several are written as JSON."""
    if value is None or value == "":
        return []
    labels = _choices_in(value)
    if labels is None:
        labels = value if isinstance(value, list) else [value]
    if not all(isinstance(label, str) for label in labels):
        raise UserError(f"{where}: '{column}' is {_shown(value)}, need choices for the whole text. Set data.label.")
    return labels


def _choices_in(value: object) -> list[object] | None:
    """Return the choices in an object that has nothing else, also if it is written as JSON; None for other values."""
    if isinstance(value, str) and value.startswith('{"choices"'):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    choices = value.get("choices") if isinstance(value, dict) and len(value) == 1 else None
    return choices if isinstance(choices, list) else None


# Writing


def prediction_task(
    data: Mapping[str, object], labels: Sequence[str], *, model_version: str, score: float
) -> dict[str, object]:  # fmt: skip
    """Return a task with a prediction, to be imported by a project with choices `label` for a text `text`."""
    choices = {"from_name": LABEL, "to_name": TEXT, "type": "choices", "value": {"choices": [*labels]}}
    prediction = {"model_version": model_version, "score": round(score, 6), "result": [choices] if labels else []}
    return {"data": {**data}, "predictions": [prediction]}
