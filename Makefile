# Two commands on a machine with Python 3.11, make and a package index: make quickstart, make test.
PYTHON  ?= python3.11
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
SERVING := build/serving

export TOKENIZERS_PARALLELISM ?= true
# One thread a rank keeps two CPU ranks from fighting over two cores.
export OMP_NUM_THREADS ?= 1

.PHONY: quickstart test test-all lint clean

# Uncompiled: of 6.5 GB of modules few are imported, and those are compiled then. A shell that forbids Python to keep
# what it compiles would pay at every launch: importing the stack takes 20 s of processor time instead of 8.
unexport PYTHONDONTWRITEBYTECODE
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[dev]'
	touch $(READY)

# A newer transformers with its OpenAI-compatible server, beside the environment and found by PYTHONPATH.
$(SERVING)/.ready: constraints-serving.txt $(READY)
	rm -rf $(SERVING)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --no-deps --target $(SERVING) -r constraints-serving.txt
	touch $@

quickstart: $(READY)
	$(BIN)/python recipes/generate_closed_world.py yamls/quickstart/world.yaml
	$(BIN)/python recipes/prepare_corpus.py yamls/quickstart/corpus.yaml
	$(BIN)/python recipes/train_tokenizer.py yamls/quickstart/tokenizer.yaml
	$(BIN)/python recipes/convert_text_to_mds.py yamls/quickstart/shards.yaml
	PATH="$(abspath $(BIN)):$$PATH" composer -n 2 recipes/train.py yamls/quickstart/train.yaml
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python recipes/sweep.py yamls/quickstart/sweep.yaml

# Two at a time, a file each: a launch is mostly single-threaded imports.
PYTEST = PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: $(READY) $(SERVING)/.ready
	$(PYTEST) -m "not thorough"

# With those that take long: more layouts, two hosts, launches side by side.
test-all: $(READY) $(SERVING)/.ready
	$(PYTEST)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) out build *.egg-info .pytest_cache .mypy_cache .ruff_cache
