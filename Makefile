# `make help` lists what there is. Everything runs in .venv, which `make setup` makes.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DB ?= sqlite
STORM = --db $(if $(filter command line environment,$(origin DB)),$(DB),both) $(if $(SEED),--seed $(SEED))
FAULTS := tests/chaos tests/releases
QUICK := drain,enqueue,latency,retried,once,async

.PHONY: help setup demo test chaos kills bench bench-peers bench-markets check format docs clean
.DEFAULT_GOAL := help

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(VENV)/installed .env ## the environment: .venv with all requirements, .env with a fresh SECRET_KEY

demo: setup ## everything at work on this machine (DB=postgres, DATABASE_URL=…, RESET=1)
	@$(BIN)/python manage.py demo --db $(DB) $(if $(filter 1,$(RESET)),--reset)

test: $(VENV)/installed ## the whole suite on SQLite and, beside it, on PostgreSQL (TEST_DATABASE_URL=…, else embedded)
	@$(MAKE) --no-print-directory --keep-going -j$(if $(TEST_DATABASE_URL),1,4) --output-sync=target \
		$(foreach suite,clusters core faults markets,$(suite)-postgres $(suite)-sqlite)

# What uses no database is tried beside SQLite only.
core-postgres markets-postgres: AGAIN := --of-databases

clusters-%: $(VENV)/installed
	TEST_DB=$* $(BIN)/python -m pytest -m processes $(FAULTS:%=--ignore=%) --ignore=tests/markets $(ARGS)

core-%: $(VENV)/installed
	TEST_DB=$* $(BIN)/python -m pytest -m "not processes" $(FAULTS:%=--ignore=%) --ignore=tests/markets $(AGAIN) $(ARGS)

markets-%: $(VENV)/installed
	TEST_DB=$* $(BIN)/python -m pytest tests/markets $(AGAIN) $(ARGS)

faults-%: $(VENV)/installed
	TEST_DB=$* $(BIN)/python -m pytest $(FAULTS) $(ARGS)

chaos: $(VENV)/installed ## a storm of faults over real hosts (CHAOS_MINUTES=3 in all, SEED=…, DB=postgres|sqlite, else both)
	@$(BIN)/python -m tests.chaos.storm --minutes $(or $(CHAOS_MINUTES),3) $(STORM)

kills: $(VENV)/installed ## KILLS=200 SIGKILLs of one cluster under load, and how long each took to mend (SEED=…, DB=…)
	@$(BIN)/python -m tests.chaos.storm --kills $(or $(KILLS),200) $(STORM)

check: $(VENV)/installed ## linters, types, migrations, and Django's checks on production settings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	SECRET_KEY=check $(BIN)/python manage.py makemigrations --check --dry-run
	SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))') DEBUG=0 \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

format: $(VENV)/installed ## put the code in its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/installed ## how fast it is here, in about a minute (ONLY=drain,enqueue SYSTEMS=ours SCALE=0.1)
	@$(BIN)/python -m benchmarks --scale $(or $(SCALE),0.1) --only "$(or $(ONLY),$(QUICK))" --systems "$(SYSTEMS)"

bench-peers: $(VENV)/installed ## ours and the others, into docs/benchmarks.md (half an hour)
	@$(BIN)/python -m benchmarks --peers --scale $(or $(SCALE),1) --only "$(ONLY)" --systems "$(SYSTEMS)"

bench-markets: $(VENV)/installed ## how fast the market jobs are, with 50,000 markets an exchange (TOPICS=… ONLY=full,stats)
	@$(BIN)/python -m benchmarks.markets --topics $(or $(TOPICS),50000) --only "$(ONLY)"

docs: $(VENV)/installed ## write docs/reference/ from the code's docstrings
	@SECRET_KEY=docs $(BIN)/python docs/build.py

clean: ## remove .venv and what the demo and the tests left
	rm -rf $(VENV) benchmarks/.venv benchmarks/results .demo .pytest_cache .mypy_cache .ruff_cache

$(VENV)/installed: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.env: .env.example
	@test -f .env || { sed "s|^SECRET_KEY=.*|SECRET_KEY=$$($(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(50))')|" \
		.env.example > .env && chmod 600 .env && echo "made .env with a fresh SECRET_KEY"; }
	@touch .env
