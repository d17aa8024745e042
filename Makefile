# make demo, make test: the rest of what they need goes into .venv on first use.
# Needs Python >= 3.11 with venv and headers, a C compiler and make (tools/system.sh has the packages).
# PYTHON=python3.12 picks the interpreter, SYSTEM_PACKAGES=no keeps apt-get out of it.

BIN := .venv/bin
# Ninja and CMake come from PyPI into .venv; the presets find them first.
IN_VENV := PATH="$(CURDIR)/$(BIN):$$PATH"
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
CORE := $(wildcard csrc/*.[ch]) csrc/bindings.py CMakeLists.txt pyproject.toml
C_TESTS := $(wildcard tests/c/*.[ch])
C_FILES := $(wildcard csrc/*.[ch] tests/c/*.[ch] tests/soundcard/*.[ch] benchmarks/c/*.[ch] \
	tools/*/*.[ch])
DEMO_DIR ?= demo-output
# Timings and numbers must not depend on how many threads a BLAS starts.
export OMP_NUM_THREADS := 1

.PHONY: help demo test test-c test-python test-video test-training test-asan test-tsan bench lint format clean

help: ## say what can be made (the default)
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1@\2/p' Makefile | tr '@' '\t' | expand -t 20

demo: .venv/.installed ## repair a made-up live-room recording into demo-output/
	$(BIN)/audio-engine demo $(DEMO_DIR)

test: test-c test-python test-video test-training ## run the C tests, the Python tests, the doctests and the README's examples

test-c: build/dev/.built
	$(IN_VENV) ctest --preset dev --no-tests=error

test-python: .venv/.installed .venv/.developer .venv/.system-test .venv/.system-browser
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# MediaPipe wants an older numpy: it stays out of .venv and is laid over it for these tests.
test-video: .venv/.installed .venv/.developer .venv/.video .venv/.system-video ## run the tests of the face tracker
	PYTHONPATH=.venv/video $(BIN)/python -m pytest tests/test_face_mesh.py

# PyTorch, the CPU build and no other (the default one brings gigabytes for GPUs), is laid over .venv.
test-training: .venv/.installed .venv/.developer .venv/.training .venv/.system-training ## run the tests of the training, where PyTorch can be had
	$(IN_VENV) PYTHONPATH=.venv/training TORCH_EXTENSIONS_DIR=$(CURDIR)/build/torch $(BIN)/python -m pytest tests/test_training_torch.py

test-asan test-tsan: test-%: build/%/.built ## run the C tests under the address, or thread, sanitizer
	$(IN_VENV) tools/run_ctest.sh $*

bench: .venv/.installed .venv/.developer .venv/.system-bench ## measure the kernels and the whole chain
	$(IN_VENV) $(BIN)/python -m benchmarks.run $(BENCH_ARGS)

lint: .venv/.installed .venv/.developer ## ruff, mypy --strict and clang-format; warnings are errors
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	@echo "$(BIN)/clang-format --dry-run --Werror on $(words $(C_FILES)) files"
	@$(BIN)/clang-format --dry-run --Werror $(C_FILES)

format: .venv/.developer ## let ruff and clang-format rewrite what they can
	$(BIN)/ruff check --fix-only -q
	$(BIN)/ruff format
	@$(BIN)/clang-format -i $(C_FILES)

clean: ## remove everything that was made, .venv too
	rm -rf .venv build dist demo-output .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: each says that a step was done after the files it depends on were last edited.
.venv/.created: pyproject.toml
	@echo "setting up .venv (minutes, the first time)"
	@python=$$(tools/system.sh python) && "$$python" -m venv .venv
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --group build
	@touch $@

.venv/.installed: .venv/.created $(CORE)
	@echo "building the package"
	@$(IN_VENV) $(PIP) install --no-build-isolation -Cbuild-dir=build/editable -e ".[media]"
	@touch $@

.venv/.developer: .venv/.created
	@$(PIP) install --group dev
	@touch $@

.venv/.video: .venv/.created
	@rm -rf .venv/video
	@$(PIP) install --target .venv/video "mediapipe==0.10.21; python_version < '3.13'"
	@touch $@

TORCH := torch==2.13.0+cpu
TORCH_NEEDS := typing_extensions sympy mpmath networkx jinja2 markupsafe fsspec filelock setuptools
.venv/.training: .venv/.created
	@rm -rf .venv/training
	@$(PIP) install --target .venv/training --no-deps $(TORCH) && \
	$(PIP) install --target .venv/training --no-deps $(TORCH_NEEDS) || \
	echo "no $(TORCH) for this Python, so its tests are skipped (training/README.md says where it is)"
	@touch $@

.venv/.system-%: .venv/.created tools/system.sh
	@tools/system.sh install $*
	@touch $@

build/%/.built: .venv/.created $(CORE) $(C_TESTS) CMakePresets.json
	@echo "building the C tests ($*)"
	@$(IN_VENV) cmake --preset $* -G Ninja --log-level=WARNING >/dev/null
	@$(IN_VENV) cmake --build --preset $* -- --quiet
	@touch $@
.PRECIOUS: build/%/.built .venv/.system-%
