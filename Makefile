# Two commands do all the set-up: `make run` and `make test`.
PYTHON ?= python3
IMAGES ?= samples
VENV := .venv
BIN := $(VENV)/bin
DATE := $(shell date +%F)

# Every version that pip installs, for building too, is the locked one.
export PIP_CONSTRAINT := $(CURDIR)/requirements.lock
export PIP_BUILD_CONSTRAINT := $(PIP_CONSTRAINT)
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python

# Whether JPEG is decoded by libjpeg-turbo: build/features has the answer, build/tools what is lacking.
TOOLS := $(CURDIR)/build/tools
export PATH := $(TOOLS)/bin:$(PATH)
FEATURES = $(shell cat build/features 2>/dev/null)
export MATURIN_PEP517_ARGS = $(FEATURES)

BUILD_INPUTS := pyproject.toml requirements.lock Cargo.toml Cargo.lock \
	$(shell find rust -name '*.rs' -o -name Cargo.toml)

.PHONY: run test test-all lint test-rust test-python wheel bench lock clean

run: $(VENV)/run.stamp ## preprocess IMAGES (a folder or files) and print what happened
	rm -rf build/run
	$(BIN)/qvl-fast preprocess $(IMAGES) -o build/run

test: lint test-rust test-python wheel ## everything

test-all: test ## the same with long random campaigns, recorded
	$(BIN)/pytest tests/parity/test_random.py --resize-cases 3000 --path-cases 1500 \
		--record tests/record/$(DATE)-still-images.txt
	$(BIN)/pytest -q tests/parity/test_index.py --index-cases 500 > build/index.txt \
		|| { cat build/index.txt; exit 1; }
	echo "$(DATE): 500 random batches for each function: $$(tail -n 1 build/index.txt)" \
		> tests/record/$(DATE)-index.txt

lint: $(VENV)/test.stamp
	cargo fmt --all --check
	cargo clippy --locked --workspace $(FEATURES) --all-targets -- -D warnings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/python -m mypy.stubtest qvl_fast._native

test-rust: $(VENV)/test.stamp
	cargo test --locked --workspace $(FEATURES)

test-python: $(VENV)/test.stamp
	$(BIN)/pytest

wheel: $(VENV)/run.stamp ## build the wheel, install it in an empty environment and import it
	rm -rf build/wheel
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(PYTHON) -m venv build/wheel/env
	build/wheel/env/bin/pip install --quiet build/wheel/*.whl
	cd build/wheel && env/bin/python -I $(CURDIR)/tests/wheel_smoke.py

bench: $(VENV)/bench.stamp ## time IMAGES (a folder or files) against transformers, on this machine
	$(BIN)/qvl-fast bench images $(IMAGES)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "qvl_fast needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

build/features: rust/jpeg-tools.sh | $(BIN)/python
	@mkdir -p build
	@rust/jpeg-tools.sh $(BIN)/pip $(TOOLS) > $@

$(VENV)/run.stamp: $(BIN)/python build/features $(BUILD_INPUTS)
	$(BIN)/pip install --quiet --editable '.[cli]'
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp
	$(BIN)/pip install --quiet --editable '.[cli,test]'
	@touch $@

$(VENV)/bench.stamp: $(VENV)/run.stamp
	$(BIN)/pip install --quiet --editable '.[cli,bench]'
	@touch $@

lock: $(BIN)/python ## renew requirements.lock after a change of requirements
	env -u PIP_CONSTRAINT -u PIP_BUILD_CONSTRAINT $(BIN)/pip install --quiet uv
	printf 'maturin<2\ncmake\n' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
		--all-extras --upgrade --no-emit-index-url --no-annotate --no-header \
		--output-file requirements.lock pyproject.toml -

clean:
	rm -rf $(VENV) build target python/qvl_fast/*.so
