"""Label a table with Spark, one classifier in each of its Python workers.

    spark-submit --master ... spark_score.py ROWS.parquet LABELS.parquet --run runs/reviews --id id --text text

Spark promises no order, so each row keeps its id.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pyarrow
from pyspark import SparkFiles
from pyspark.sql import SparkSession

from textclf import load

MODEL = "textclf-model"
COLUMNS = "id string, label string, probability double, probabilities array<double>"


@cache
def classifier():
    """Load the model, once for all partitions that a Python worker gets."""
    return load(SparkFiles.get(MODEL), threads=1)  # Spark has a worker for each core


def label(batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
    """Yield the labels of a partition, batch by batch."""
    for batch in batches:
        probabilities = classifier().predict_proba(batch["text"].fill_null("").to_pylist())  # (rows, labels)
        labels, confidence = classifier().decide(probabilities)
        columns = {"id": batch["id"], "label": labels, "probability": confidence, "probabilities": [*probabilities]}
        yield pyarrow.RecordBatch.from_pydict(columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows")
    parser.add_argument("labels")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--id", default="id")
    parser.add_argument("--text", default="text")
    arguments = parser.parse_args()

    import spark_score  # by its name, by which workers import it too and keep the model

    with SparkSession.builder.getOrCreate() as spark, tempfile.TemporaryDirectory() as folder:
        spark.sparkContext.addPyFile(__file__)
        archive = shutil.make_archive(f"{folder}/{MODEL}", "zip", arguments.run / "model")
        spark.sparkContext.addArchive(f"{archive}#{MODEL}")
        rows = spark.read.parquet(arguments.rows)
        texts = rows.select(rows[arguments.id].cast("string").alias("id"), rows[arguments.text].alias("text"))
        texts.mapInArrow(spark_score.label, COLUMNS).write.parquet(arguments.labels)


if __name__ == "__main__":
    main()
