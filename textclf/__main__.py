"""`python -m textclf` does what `textclf` does."""

from textclf.cli.main import run

run()
