"""The reader of .parquet files."""

import contextlib
import gzip
import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO

import numpy as np

from textclf.data.table_format import KEPT, Columns, Lists, TableFormat, as_kept, as_labels, as_text, column_index
from textclf.errors import UserError, says_out_of_memory
from textclf.io.processors import usable_processors

BATCH_ROWS = 1024


def _columns(stream: BinaryIO, name: str) -> list[str]:
    with _open(stream, name) as file:
        return list(file.schema_arrow.names)


def _rows(stream: BinaryIO, name: str, columns: Columns, lists: Lists) -> Iterator[tuple[str, ...]]:
    with _open(stream, name) as file:
        header = list(file.schema_arrow.names)
        names = [header[column_index(name, header, column, key=key)] for key, column in columns]
        row = 0
        for batch in file.iter_batches(BATCH_ROWS, columns=names):
            texts = []
            for (key, _), column in zip(columns, names, strict=True):
                values = _values(batch.column(column))
                cells = (f"{name}: row {number}, '{column}'" for number in itertools.count(row))
                convert = (
                    partial(as_labels, separator=lists[key]) if key in lists else as_kept if key == KEPT else as_text
                )
                texts.append(list(map(convert, values, cells)))
            yield from zip(*texts, strict=True)
            row += batch.num_rows


def _records(stream: BinaryIO, name: str) -> Iterator[dict[str, object]]:
    with _open(stream, name) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            for values in zip(*map(_values, batch.columns), strict=True):
                yield dict(zip(batch.schema.names, values, strict=True))


def _values(column: Any) -> list[Any]:
    """Return the values of an arrow array; a float of 16 or 32 bits as 0.1, not as the 0.10000000149011612 it is."""
    values: list[Any] = column.to_pylist()
    precision = {"halffloat": np.float16, "float": np.float32}.get(str(column.type))
    return [value if value is None else float(str(precision(value))) for value in values] if precision else values


@contextlib.contextmanager
def _open(stream: BinaryIO, name: str) -> Iterator[Any]:
    """Open a parquet file; raise its errors in the block as UserError."""
    import pyarrow
    import pyarrow.parquet

    pyarrow.set_cpu_count(usable_processors())  # it knows of no CPU quota
    try:
        yield pyarrow.parquet.ParquetFile(stream)
    except gzip.BadGzipFile:
        raise
    # ValueError and OverflowError: dates out of Python's range
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        if says_out_of_memory(error):
            raise
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"{name} is a damaged parquet file: {reason}. Write it again.") from None


PARQUET = TableFormat(_columns, _rows, _records)
