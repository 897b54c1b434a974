"""`python -m textclf` does what `textclf` does."""

from textclf.cli import main

main()
