# Billplane. `make` alone prints this help.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE :=
# True while containers of compose.yaml run.
COMPOSED = docker compose ls --quiet 2>/dev/null | grep -qx billplane

.DEFAULT_GOAL := help
.PHONY: help up demo-year down restart up_build docker-up build status test soak check bench bench-growth protos lock clean install develop judges run logs format cluster-up cluster-down e2e e2e-full test-brokers test-postgres

help: ## print this help
	@awk -F':.*## ' '/^[a-z0-9_-]+:.*## /{printf "  \033[36m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: install ## install, start the laptop platform, bill January of the airport example, leave it running
	@$(BIN)/python examples/airport/run.py

demo-year: install ## bill the airport example's whole year, with a new tariff and a change of plan
	@$(BIN)/python examples/airport/year.py $(ARGS)

down: ## stop what runs: compose's containers, or else the laptop platform
	@if $(COMPOSED); then docker compose down; else $(BIN)/billplane down; fi

status: ## say what runs
	@$(BIN)/billplane status

logs: ## follow the log of what runs
	@if $(COMPOSED); then docker compose logs --follow --tail 50; else tail -n 50 -F "$$($(BIN)/python -c 'from billplane.laptop.home import default_home; print(default_home())')/logs/platform.log"; fi

restart: ## start what runs anew
	@if $(COMPOSED); then docker compose restart; else $(BIN)/billplane down && $(BIN)/billplane up; fi

up_build: install ## build the image and start everything in containers by docker compose
	@$(BIN)/python tools/compose.py --credentials
	@docker compose up --build --detach --wait

docker-up: install ## start the containers as they were built
	@$(BIN)/python tools/compose.py --credentials
	@docker compose up --detach --wait

build: ## build the image
	@docker build -t billplane .

run: install ## host one or more services in the foreground: make run SERVICE="tax identity"
	@$(BIN)/python -m billplane run $(SERVICE)

test: develop judges ## run every test, beside a running platform
	@$(BIN)/python -m pytest -n 2 --dist loadscope --ignore=tests/judges $(ARGS)
	@$(VENV)-judges/bin/python -m pytest -c /dev/null --rootdir . --confcutdir tests/judges --import-mode=importlib -q -p no:cacheprovider tests/judges

test-brokers: develop ## the messages' tests on Kafka and RabbitMQ, started in Docker and removed again
	@eval "$$(tests/brokers.sh up)"; trap 'tests/brokers.sh down' EXIT; \
		BILLPLANE_TEST_BROKERS=required $(BIN)/python -m pytest -n0 tests/events tests/listener

test-postgres: develop ## the ledger's tests on other versions of Postgres: make test-postgres VERSIONS="15 17"
	@tests/postgres.sh "$(or $(VERSIONS),15 17)" $(ARGS)

soak: develop ## kill every process, store and broker for about 40 minutes, send 300 requests of each kind
	@eval "$$(tests/brokers.sh up)"; trap 'tests/brokers.sh down' EXIT; \
		BILLPLANE_TEST_BROKERS=required BILLPLANE_TEST_KILL_MONEY_SECONDS=600 \
		BILLPLANE_TEST_KILL_ROUNDS=10 BILLPLANE_TEST_KILL_EVENTS=100000 \
		BILLPLANE_TEST_KILL_SUBSCRIPTIONS=500 BILLPLANE_TEST_LISTEN_EVENTS=10000 \
		BILLPLANE_TEST_FUZZ_EXAMPLES=300 \
		$(BIN)/python -m pytest -n0 -o faulthandler_timeout=1800 -rP tests/faults \
		tests/notification/test_listen.py tests/every_service/test_openapi_fuzz.py \
		-k "faults or killed or fuzz"

cluster-up: install ## make a kind cluster, install the platform in it, print its address and a key
	@$(BIN)/billplane cluster up $(ARGS)

cluster-down: install ## remove the kind cluster and everything in it
	@$(BIN)/billplane cluster down $(ARGS)

e2e: develop judges ## try the platform in the kind cluster, made if there is none
	@BILLPLANE_TEST_CLUSTER=1 $(BIN)/python -m pytest -n0 -o faulthandler_timeout=1800 -v tests/cluster $(ARGS)

e2e-full: develop judges ## the same with fleet topology, 200 changes, 500 resources and an upgrade under load
	@BILLPLANE_TEST_CLUSTER=1 BILLPLANE_TEST_CLUSTER_FULL=1 \
		$(BIN)/python -m pytest -n0 -o faulthandler_timeout=1800 -v -rP tests/cluster $(ARGS)

check: develop ## format, lint, types, import contracts, protos: everything but the tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@cd protos && $(CURDIR)/$(BIN)/buf lint
	@$(BIN)/python tools/protos.py --check
	@$(BIN)/python tools/routes.py --check
	@$(BIN)/python tools/reference.py --check
	@$(BIN)/python tools/chart.py --check
	@$(BIN)/python tools/compose.py --check

format: develop ## format and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: develop ## measure the bars of performance, as ratios in one run
	@$(BIN)/python -m bench

bench-growth: develop ## measure what an operation costs as data grows a hundredfold
	@$(BIN)/python -m bench.growth

protos: develop ## generate Python from protos/, and the gateway's routes from the services
	@$(BIN)/python tools/protos.py
	@$(BIN)/python tools/routes.py
	@$(BIN)/python tools/reference.py
	@$(BIN)/python tools/chart.py
	@$(BIN)/python tools/compose.py

lock: ## rewrite the lock files from pyproject.toml
	@tools/lock.sh

clean: ## remove what was built and installed; the platform's data stays
	@rm -rf .venv .venv-judges build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

install: $(VENV)/installed
develop: $(VENV)/developing
judges: $(VENV)-judges/installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(not (3, 11) <= v < (3, 14) and f"Billplane needs Python 3.11 to 3.13, {sys.executable} is {v[0]}.{v[1]}; set PYTHON=…")'
	@echo "Making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.lock requirements-data.lock examples/airport/requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing what Billplane needs (a minute or two)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r examples/airport/requirements.lock -r requirements-data.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/developing: requirements-dev.lock $(VENV)/installed
	@echo "Installing what its tests need"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)-judges/installed: tests/judges/requirements.lock
	@echo "Installing independent judges"
	@$(PYTHON) -m venv $(VENV)-judges
	@$(VENV)-judges/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r tests/judges/requirements.lock
	@touch $@
