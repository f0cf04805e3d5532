# Two commands do all the set-up: `make run` and `make test`.
PYTHON ?= python3
IMAGES ?= samples
VENV := .venv
SCRIPTS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := $(VENV)/$(SCRIPTS)
DATE := $(shell date +%F)

# Every version that pip installs, for building too, is the locked one.
export PIP_CONSTRAINT := $(CURDIR)/requirements.lock
export PIP_BUILD_CONSTRAINT := $(PIP_CONSTRAINT)
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python

# Whether JPEG is decoded by libjpeg-turbo: build/features has the answer, build/tools what the
# system lacks of its tools.
TOOLS := $(CURDIR)/build/tools
FEATURES = $(shell cat build/features 2>/dev/null)

ifneq ($(OS),Windows_NT)
export PATH := $(TOOLS)/bin:$(PATH)
endif

BUILD_INPUTS := pyproject.toml requirements.lock Cargo.toml Cargo.lock \
	$(shell find rust -name '*.rs' -o -name '*.c' -o -name '*.py' -o -name Cargo.toml)

.PHONY: run test test-all lint docs test-rust test-python fuzz sanitize check-arm check-elsewhere test-arm \
	wheel-arm sdist wheel wheels bench bench-program bench-program-arm screenshots lock clean

run: $(VENV)/run.stamp ## preprocess IMAGES (a folder or files) and print what happened
	rm -rf build/run
	$(BIN)/qvl-fast preprocess $(IMAGES) -o build/run

test: lint docs check-arm test-rust test-python fuzz wheel ## everything

test-all: ARM_CASES = 256
test-all: test sanitize test-arm ## the same with long random campaigns, recorded
	$(BIN)/pytest tests/parity/test_random.py --resize-cases 3000 --path-cases 1500 \
		--record tests/record/$(DATE)-still-images.txt
	$(BIN)/pytest tests/integration/test_dropin_random.py --image-drop-in-cases 2000 \
		--file-drop-in-cases 2000 --video-drop-in-cases 1000 \
		--record tests/record/$(DATE)-drop-ins.txt
	$(BIN)/pytest tests/integration/test_chat.py -k random_conversations --conversation-cases 300 \
		--record tests/record/$(DATE)-conversations.txt
	$(BIN)/pytest tests/parity/test_video_processors.py --video-cases 600 \
		--record tests/record/$(DATE)-videos.txt
	$(BIN)/pytest -q tests/parity/test_sampling.py --sampling-cases 50000 --timeout 3600 > build/sampling.txt \
		|| { cat build/sampling.txt; exit 1; }
	echo "$(DATE): sampling: 50000 random videos for each rule: $$(tail -n 1 build/sampling.txt)" \
		>> tests/record/$(DATE)-videos.txt
	$(BIN)/pytest -q tests/parity/test_index.py --index-cases 500 > build/index.txt \
		|| { cat build/index.txt; exit 1; }
	echo "$(DATE): 500 random batches for each function: $$(tail -n 1 build/index.txt)" \
		> tests/record/$(DATE)-index.txt
	$(BIN)/pytest tests/parity/test_stock_families.py --family-cases 300 --timeout 7200 \
		--record tests/record/$(DATE)-families.txt
	$(BIN)/pytest -q tests/parity/test_image_prompts.py --family-cases 200 --timeout 3600 > build/prompts.txt \
		|| { cat build/prompts.txt; exit 1; }
	echo "$(DATE): 2000 prompts and 20001 sizes for each family: $$(tail -n 1 build/prompts.txt)" \
		>> tests/record/$(DATE)-families.txt
	FEATURES="$(FEATURES)" $(BIN)/python tests/fuzz/campaign.py --seconds 300 \
		--record tests/record/$(DATE)-fuzz.txt

lint: $(VENV)/test.stamp
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	cargo fmt --manifest-path benches/peers/Cargo.toml --check
	cargo clippy --locked --workspace $(FEATURES) --all-targets -- -D warnings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/python -m mypy.stubtest qvl_fast._native

test-rust: $(VENV)/test.stamp
	cargo test --locked --workspace $(FEATURES)

test-python: $(VENV)/test.stamp
	$(BIN)/pytest

# Sanitizers are there for x86-64 Linux.
ifeq ($(shell uname -sm),Linux x86_64)
SECONDS ?= 8
fuzz: $(VENV)/test.stamp ## fuzz each target for SECONDS
	$(BIN)/python tests/fuzz/seeds.py
	FEATURES="$(FEATURES)" $(BIN)/python tests/fuzz/campaign.py --seconds $(SECONDS)

sanitize: $(VENV)/test.stamp ## the core's tests under the address and the thread sanitizer
	FEATURES="$(FEATURES)" tests/sanitize/run address
	tests/sanitize/run thread
else
fuzz sanitize:
	@echo "no $@: it takes x86-64 Linux"
endif

# 64-bit ARM, with Debian's compiler, which has a standard library for it, and an emulator. qemu finds
# the C library of Debian's arm64 by itself.
ARM := aarch64-unknown-linux-gnu
ARM_CARGO := RUSTC=/usr/bin/rustc RUSTFLAGS="-Dwarnings $(ARM_FLAGS)" CARGO_TARGET_DIR=build/arm \
	CARGO_BUILD_TARGET=$(ARM) CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64 \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc /usr/bin/cargo

ifneq ($(wildcard /usr/lib/rustlib/$(ARM)),)
ARM_CASES ?= 32
check-arm: ## compile the core for ARM
	$(ARM_CARGO) check --locked --package qvl-core

# The oldest processor there is, and the newest that qemu knows.
test-arm: ## run its tests in an emulator, each property for ARM_CASES cases
	QEMU_CPU=cortex-a53 PROPTEST_CASES=$(ARM_CASES) \
		$(ARM_CARGO) test --locked --package qvl-core --lib -- kernels:: resize:: rows::
	QEMU_CPU=max PROPTEST_CASES=$(ARM_CASES) $(ARM_CARGO) test --locked --package qvl-core --lib

wheel-arm: $(VENV)/wheels.stamp ## build the wheel for ARM, in build/wheels-arm, and try it in the emulator
	rm -rf build/wheels-arm
	PATH="$(CURDIR)/$(BIN):$$PATH" RUSTC=/usr/bin/rustc CARGO=/usr/bin/cargo CARGO_TARGET_DIR=build/arm \
		$(BIN)/maturin build --release --out build/wheels-arm --target $(ARM) \
		--zig --compatibility $(PLATFORM) --auditwheel check
	tests/arm/run $(BIN)/pip build/wheels-arm/*.whl

# Systems and processors that nothing here runs: Apple's, Windows on ARM, and one whose instructions no kernel
# uses by name. The standard library is built from Debian's sources, as a nightly compiler does it.
ELSEWHERE := aarch64-apple-darwin aarch64-pc-windows-msvc riscv64gc-unknown-linux-gnu
check-elsewhere: ## compile the core for ELSEWHERE
	RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Dwarnings CARGO_TARGET_DIR=build/elsewhere \
		/usr/bin/cargo check --locked --package qvl-core $(addprefix --target ,$(ELSEWHERE)) \
		-Zbuild-std=std,panic_abort

bench-program-arm:
	$(ARM_CARGO) bench --locked --package qvl-core --bench kernels --no-run --message-format=json
else
check-arm check-elsewhere test-arm wheel-arm:
	@echo "no $@: it takes packages of Debian, which .ci/run installs"
	@test -z "$$CI"
endif

sdist: $(VENV)/maturin.stamp ## build the source distribution, in build/sdist
	rm -rf build/sdist
	$(BIN)/maturin sdist --out build/sdist

# $(call try,PYTHON,WHEEL,FORMATS): installed into an empty environment, it decodes these itself.
define try
	rm -rf build/empty
	$(1) -m venv build/empty
	build/empty/$(SCRIPTS)/pip install --quiet $(2)
	cd build && empty/$(SCRIPTS)/python -I $(CURDIR)/tests/wheel_smoke.py $(3)
endef

# A PATH that leads to what Rust needs and to nothing else: no cmake, no make, no nasm.
BARE := $(CURDIR)/build/bare

wheel: sdist ## try what pip makes of the source distribution on a machine that lacks cmake and nasm
	rm -rf build/wheel $(BARE)
	mkdir -p build/wheel $(BARE)
	for tool in cargo rustc cc ld as; do ln -s "$$(command -v $$tool)" $(BARE) || exit; done
	PATH=$(BARE) $(CURDIR)/$(BIN)/pip wheel --verbose --no-deps --wheel-dir build/wheel \
		build/sdist/*.tar.gz > build/wheel/log 2>&1 || { cat build/wheel/log; exit 1; }
	test "$$(grep --count 'built without its JPEG decoder' build/wheel/log)" = 1
	$(call try,$(PYTHON),build/wheel/*.whl,PNG)

# Wheels for Linux are linked by zig, for the glibc of 2012, so that every later one will do.
PLATFORM := $(if $(filter Linux,$(shell uname -s)),manylinux_2_17)
RELEASE = $(BIN)/maturin build --release --out build/wheels
ifneq ($(PLATFORM),)
RELEASE := PATH="$(CURDIR)/$(BIN):$$PATH" $(RELEASE) \
	--zig --compatibility $(PLATFORM) --auditwheel check
endif
# A Python without the GIL needs a wheel of its own.
FREE_THREADED ?= $(shell command -v python3.14t 2>/dev/null)

wheels: $(VENV)/wheels.stamp ## build the wheels of a release, in build/wheels, and try them
	rm -rf build/wheels
	$(RELEASE) --interpreter $(BIN)/python
	$(call try,$(PYTHON),build/wheels/*-abi3-*.whl,PNG JPEG)
ifneq ($(FREE_THREADED),)
	$(RELEASE) --interpreter $(FREE_THREADED)
	$(call try,$(FREE_THREADED),build/wheels/*-cp*t-*.whl,PNG JPEG)
else
	@echo "no wheel without the GIL: there is no python3.14t; name one by FREE_THREADED=..."
endif
ifneq ($(PLATFORM),)
	for wheel in build/wheels/*.whl; do $(BIN)/auditwheel show $$wheel | tr '\n' ' ' \
		| grep 'is consistent with the following platform tag: "$(PLATFORM)_' || exit; done
endif

bench-program:
	cargo bench --locked --package qvl-core --bench kernels --no-run --message-format=json

bench: $(VENV)/bench.stamp ## time IMAGES (a folder or files) against transformers, on this machine
	$(BIN)/qvl-fast bench images $(IMAGES)

docs: $(VENV)/docs.stamp ## build the site of docs/, in build/docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env docs build/docs

screenshots: $(VENV)/test.stamp ## take those of docs/view.md anew, with chromium
	$(BIN)/python docs/screenshots.py

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "qvl_fast needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

build/features: rust/jpeg-tools.sh rust/features.py | $(BIN)/python
	@mkdir -p build
	@rust/jpeg-tools.sh $(BIN)/pip $(TOOLS)
	@$(BIN)/python rust/features.py > $@

$(VENV)/run.stamp: $(BIN)/python build/features $(BUILD_INPUTS)
	$(BIN)/pip install --quiet --editable '.[cli]'
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp
	$(BIN)/pip install --quiet --editable '.[cli,test]'
	@touch $@

$(VENV)/bench.stamp: $(VENV)/run.stamp
	$(BIN)/pip install --quiet --editable '.[cli,bench]'
	@touch $@

$(VENV)/docs.stamp: $(VENV)/run.stamp
	$(BIN)/pip install --quiet --editable '.[cli,docs,transformers]'
	@touch $@

$(VENV)/maturin.stamp: $(BIN)/python requirements.lock
	$(BIN)/pip install --quiet maturin
	@touch $@

$(VENV)/wheels.stamp: $(VENV)/maturin.stamp build/features
	$(if $(PLATFORM),$(BIN)/pip install --quiet auditwheel ziglang)
	@touch $@

lock: $(BIN)/python ## renew requirements.lock after a change of requirements
	env -u PIP_CONSTRAINT -u PIP_BUILD_CONSTRAINT $(BIN)/pip install --quiet uv
	printf 'maturin<2\ncmake\nauditwheel\nziglang\n' | $(BIN)/uv pip compile --quiet --universal \
		--python-version 3.11 --all-extras --upgrade --no-emit-index-url --no-annotate --no-header \
		--output-file requirements.lock pyproject.toml -

clean:
	rm -rf $(VENV) build target python/qvl_fast/*.so
