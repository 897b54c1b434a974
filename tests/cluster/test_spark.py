"""The script of docs/spark.md, run by Spark's local-cluster mode: two workers, each a process of its own."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pyspark
from conftest import ROOT, SAMPLES, textclf

SCRIPT = Path(__file__).with_name("spark_score.py")

MODEL = ROOT / "tests" / "frozen" / "format_4" / "reviews"

SPARK = Path(pyspark.__file__).parent

COUNTING = """
import os, sys
if "pyspark.daemon" in sys.orig_argv:  # it forks the workers
    from textclf.inference import classifier
    load = classifier.load_classifier
    def counted(*arguments, **options):
        with open(os.environ["LOADS"], "a") as file:
            file.write(f"{os.getpid()}\\n")
        return load(*arguments, **options)
    classifier.load_classifier = counted
"""
"""sitecustomize.py: writes down which worker loads the model."""


def spark_submit(*arguments: str | Path, work: Path) -> "subprocess.CompletedProcess[str]":
    """Run a script on two workers of a core and a GB each, which nobody reaches from outside."""
    modules = work / "modules"
    settings = {
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
        "spark.executor.memory": "1g", "spark.sql.files.maxPartitionBytes": "4k",
    }  # fmt: skip
    environment = {
        "SPARK_HOME": str(work), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(work / "local"),
        "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join([str(modules), str(ROOT)]),
        "LOADS": str(work / "loads.txt"),
    }  # fmt: skip
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(COUNTING)
    for path in SPARK.iterdir():  # workers write below its home
        (work / path.name).symlink_to(path)
    options = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    command = [SPARK / "bin" / "spark-submit", "--master", "local-cluster[2,1,1024]", *options, *arguments]
    return subprocess.run(
        [str(part) for part in command], env={**os.environ, **environment}, cwd=work, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip


def test_two_workers_give_each_row_the_label_that_predict_gives_it(tmp_path: Path) -> None:
    run, work, rows = tmp_path / "run", tmp_path / "work", tmp_path / "rows.parquet"
    run.mkdir()
    (run / "model").symlink_to(MODEL)
    work.mkdir()
    with (SAMPLES / "reviews.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    table = pyarrow.table({"id": [f"id-{number}" for number in range(len(texts))], "text": texts})
    pyarrow.parquet.write_table(table, rows, row_group_size=50)

    result = spark_submit(SCRIPT, rows, tmp_path / "labels.parquet", "--run", run, work=work)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len([*work.glob("work/app-*/*/textclf-model/model.json")]) == 2  # both workers had rows, and so the model
    loads, tasks = (work / "loads.txt").read_text().split(), [*(tmp_path / "labels.parquet").glob("part-*")]
    assert len(loads) == len({*loads}) < len(tasks)  # each loads it once, for several tasks

    labelled = sorted(
        pyarrow.parquet.read_table(tmp_path / "labels.parquet").to_pylist(), key=lambda row: int(row["id"][3:])
    )
    predicted = textclf("predict", SAMPLES / "reviews.csv", "--run", MODEL, "--format", "jsonl").stdout
    expected = [json.loads(line) for line in predicted.splitlines()]
    assert len(labelled) == len(expected) == len(texts)
    for number, (ours, row) in enumerate(zip(labelled, expected, strict=True)):
        assert (ours["id"], ours["label"]) == (f"id-{number}", row["label"])
        differences = [
            abs(probability - other)
            for probability, other in zip(ours["probabilities"], row["probabilities"].values(), strict=True)
        ]
        assert max(*differences, abs(ours["probability"] - row["probability"])) < 1.5e-6
