"""Labels, and the split into training and validation rows."""

from collections import Counter

import numpy as np
import pytest

from textclf.data import split as split_module
from textclf.data.rows import LabelBuilder, Labels, Rows, split_labels, text_keys
from textclf.data.split import SplitRows, folds


def rows_of(*pairs: tuple[str, str]) -> Rows:
    return Rows([text for text, _ in pairs], [label for _, label in pairs], [])


def distinct_rows(*labels: str) -> Rows:
    """Return rows of these labels, each with a text of its own."""
    return Rows([f"text {index}" for index in range(len(labels))], list(labels), [])


def labels(fields: list[str]) -> Labels:
    reader = LabelBuilder()
    reader.add(fields)
    return reader.labels()


def split(rows: Rows, **options: object) -> SplitRows:
    return split_module.split(labels(rows.labels), text_keys(rows.texts).near, **options)


def label_names(rows: Rows, row_ids: np.ndarray, separator: str | None = None) -> set[str]:
    return set(labels(rows.labels).take(row_ids).names(separator))


def is_partition(parts: SplitRows, total: int) -> bool:
    """Tell if every row is on one side, and the row ids of each ascend."""
    both = [*parts.train.tolist(), *parts.validation.tolist()]
    ascending = parts.train.tolist() == sorted(parts.train) and parts.validation.tolist() == sorted(parts.validation)
    return ascending and sorted(both) == list(range(total))


@pytest.mark.parametrize(("fraction", "a", "b"), [(0.1, 8, 2), (0.25, 20, 5), (0.5, 40, 10), (0.99, 79, 19)])
def test_the_split_has_the_same_share_of_each_label(fraction: float, a: int, b: int) -> None:
    rows = distinct_rows(*["a"] * 80, *["b"] * 20)  # sorted by label, as tables often are
    parts = split(rows, fraction=fraction, seed=1)
    assert Counter(rows.labels[row] for row in parts.validation) == {"a": a, "b": b}
    assert is_partition(parts, 100)


def test_the_split_depends_on_the_seed_alone() -> None:
    rows = distinct_rows(*"ab" * 50)
    first, again, other = (split(rows, fraction=0.1, seed=seed).validation.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_text_is_on_one_side_case_and_blanks_aside() -> None:
    variants = ["Great film", " great  FILM ", "great\tfilm\n", "GREAT\u3000film"]
    rows = rows_of(*[(f"{text} {index}", "ab"[index % 2]) for index in range(40) for text in variants])
    parts = split(rows, fraction=0.2, seed=1)
    train, validation = (
        {" ".join(rows.texts[row].casefold().split()) for row in row_ids} for row_ids in (parts.train, parts.validation)
    )
    assert train & validation == set()
    assert [len(parts.train), len(parts.validation)] == [128, 32]


def test_the_same_text_with_other_labels_is_on_one_side() -> None:
    rows = rows_of(*[(f"text {index // 2}", "ab"[index % 2]) for index in range(40)])
    parts = split(rows, fraction=0.2, seed=1)
    assert parts.validation.tolist() == sorted(
        {row // 2 * 2 for row in parts.validation} | {row // 2 * 2 + 1 for row in parts.validation}
    )
    assert len(parts.validation) == 8


def test_a_text_that_recurs_too_often_stays_in_train() -> None:
    rows = rows_of(*[("again", "a")] * 50, *[(f"text {index}", "a") for index in range(10)], ("b", "b"), ("c", "b"))
    for seed in range(20):
        assert not set(split(rows, fraction=0.1, seed=seed).validation.tolist()) & set(range(50))


def test_a_label_with_one_text_stays_in_train() -> None:
    rows = rows_of(*[(f"text {index}", "a") for index in range(10)], ("b", "b"), ("B ", "b"), ("c", "c"))
    parts = split(rows, fraction=0.5, seed=1)
    assert label_names(rows, parts.validation) == {"a"}
    assert (label_names(rows, parts.train), is_partition(parts, 13)) == ({"a", "b", "c"}, True)


def test_a_label_with_two_texts_is_on_both_sides() -> None:
    rows = distinct_rows("a", "a", "b", "b")
    for seed in range(20):
        parts = split(rows, fraction=0.1, seed=seed)
        assert label_names(rows, parts.train) == label_names(rows, parts.validation) == {"a", "b"}


def test_a_label_that_only_a_doubled_text_has_stays_in_train() -> None:
    rows = rows_of(("x", "a"), ("X ", "rare"), *[(f"text {index}", "a") for index in range(6)])
    for seed in range(50):
        parts = split(rows, fraction=0.5, seed=seed)
        assert label_names(rows, parts.train) == {"a", "rare"}
        assert label_names(rows, parts.validation) == {"a"}


def test_a_label_among_several_is_never_in_validation_alone() -> None:
    rows = distinct_rows("a|b", "a", "c|b", "c", "d|b", "d")
    for seed in range(50):
        parts = split(rows, fraction=0.5, seed=seed, separator="|")
        assert label_names(rows, parts.train, "|") == {"a", "b", "c", "d"}
        assert is_partition(parts, 6)


def test_rows_of_several_labels_are_stratified_by_the_rarest() -> None:
    rows = distinct_rows(*["often|rare"] * 10, *["often"] * 80, *[""] * 10)
    parts = split(rows, fraction=0.1, seed=1, separator="|")
    assert Counter(rows.labels[row] for row in parts.validation) == {"often|rare": 1, "often": 8, "": 1}


@pytest.mark.parametrize("fields", [[], ["a"], ["a", "b"]])
def test_too_few_rows_are_all_in_train(fields: list[str]) -> None:
    parts = split(distinct_rows(*fields), fraction=0.5, seed=1)
    assert (parts.train.tolist(), parts.validation.tolist()) == (list(range(len(fields))), [])


MANY_LABELS = {
    "two rows": [f"{index // 2}" for index in range(400)],
    "two, three or many rows": [*"ab" * 200, *(f"{index // (2 + index % 2)}" for index in range(400))],
    "one row": [*"ab" * 200, *map(str, range(400))],
    "rows that round down": [f"{index // 14}" for index in range(1400)],
    "rows that round up": [f"{index // 16}" for index in range(1600)],
    "several labels a row": [*(f"a|{index // 2}" for index in range(800)), *["a|b"] * 400],
}  # fmt: skip


@pytest.mark.parametrize("fields", MANY_LABELS.values(), ids=MANY_LABELS.keys())
@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.25])
def test_the_fraction_is_kept_to_a_point_with_many_rare_labels(fields: list[str], fraction: float) -> None:
    rows = distinct_rows(*fields)
    first, again, other = (split(rows, fraction=fraction, seed=seed, separator="|") for seed in (1, 1, 2))
    assert first.validation.tolist() == again.validation.tolist() != other.validation.tolist()
    assert abs(len(first.validation) / len(fields) - fraction) <= 0.01
    assert is_partition(first, len(fields))
    assert label_names(rows, first.train, "|") == set(labels(fields).names("|"))


def test_the_fraction_is_kept_where_every_text_recurs() -> None:
    rows = rows_of(*[(f"text {index // 4}", f"{index // 32}") for index in range(960)])
    parts = split(rows, fraction=0.1, seed=1)
    assert len(parts.validation) == 96
    assert {rows.texts[row] for row in parts.train}.isdisjoint(rows.texts[row] for row in parts.validation)


def test_labels_with_more_rows_come_first_where_not_all_can_be_validated() -> None:
    rows = distinct_rows(*[f"two {index // 2}" for index in range(100)], *[f"six {index // 6}" for index in range(120)])
    validated = label_names(rows, split(rows, fraction=0.1, seed=1).validation)
    assert validated >= {f"six {index}" for index in range(20)}
    assert len(validated) == 22


def test_a_few_rows_are_split_as_if_they_were_many() -> None:
    rows = distinct_rows(*"abc" * 3)
    assert label_names(rows, split(rows, fraction=0.1, seed=1).validation) == {"a", "b", "c"}


# Labels


@pytest.mark.parametrize(
    ("label", "separator", "parts"),
    [
        ("a|b", None, ["a|b"]),
        (" a ", None, [" a "]),
        ("a|b", "|", ["a", "b"]),
        (" b | a |b||", "|", ["b", "a"]),
        ("", "|", []),
        ("a, b", ", ", ["a", "b"]),
        ("a.b", ".", ["a", "b"]),
    ],
)
def test_labels_of_a_field(label: str, separator: str | None, parts: list[str]) -> None:
    assert split_labels(label, separator) == parts


def test_labels_are_text_and_sorted_as_text() -> None:
    names = labels(["b", "1.0", "1", "01", "B", "10", "2", "1"]).names(None)
    assert names == ["01", "1", "1.0", "10", "2", "B", "b"]


def test_labels_are_counted_by_row() -> None:
    assert labels(["a|b", "b|b", "", "a|b"]).counts("|") == {"a": 2, "b": 3}


def test_targets_of_one_label_a_row_are_its_index() -> None:
    assert labels(["b", "a", "b"]).targets(["a", "b"], None).tolist() == [1, 0, 1]


def test_targets_of_several_labels_a_row_are_zeros_and_ones() -> None:
    assert labels(["b|a", "", "b"]).targets(["a", "b"], "|").tolist() == [[1, 1], [0, 0], [0, 1]]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_folds_hold_out_every_row_once_each_label_in_each_and_no_text_on_both_sides(count: int) -> None:
    rows = rows_of(*((f"text {index // 2}", "abc"[index % 7 % 3]) for index in range(120)))
    splits = folds(labels(rows.labels), text_keys(rows.texts).near, count=count, seed=1)
    assert sorted(index for parts in splits for index in parts.validation.tolist()) == list(range(120))
    for parts in splits:
        assert is_partition(parts, 120)
        assert {rows.texts[row] for row in parts.train}.isdisjoint(rows.texts[row] for row in parts.validation)
        assert label_names(rows, parts.validation) == {"a", "b", "c"}
        assert abs(len(parts.validation) - 120 / count) <= 4
    again = folds(labels(rows.labels), text_keys(rows.texts).near, count=count, seed=1)
    assert [parts.validation.tolist() for parts in again] == [parts.validation.tolist() for parts in splits]


def test_a_row_that_alone_has_its_label_is_held_out_by_no_fold() -> None:
    rows = distinct_rows(*"ab" * 4, "c")
    splits = folds(labels(rows.labels), text_keys(rows.texts).near, count=3, seed=1)
    assert sorted(index for parts in splits for index in parts.validation.tolist()) == list(range(8))
    assert all("c" in label_names(rows, parts.train) for parts in splits)
