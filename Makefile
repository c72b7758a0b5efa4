# Hypha: what one does here. `make` alone prints this menu.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup run example bench live test soak fuzz fuzz-short lint format mutants clean

INPUT ?=
DATA ?=
HYPHA := .build/release/hypha

help: ## Print this menu
	@echo "Hypha, an event-sourced message bus for systems of many agents"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make run INPUT=FILE acts out a recorded event log: XES, CSV or CloudEvents, plain or gzip."

setup: ## Install the Debian packages that are missing
	@tools/setup

run: setup ## Build for release and run the main job, about half a minute
	@swift build -c release --product hypha
ifeq ($(INPUT),)
	@$(HYPHA) run topologies/incident-room.yaml --data "$(or $(DATA),data/incident-room)" --fresh
else
	@$(HYPHA) init --from "$(INPUT)" --name acted --output "$(or $(DATA),data/acted)" --force
	@$(HYPHA) run "$(or $(DATA),data/acted)/topology.yaml" --data "$(or $(DATA),data/acted)" --fresh
endif

example: setup ## Build and run one of Examples: NAME=invoices, bank or mixed, which has an agent in Python
	@swift run --package-path "Examples/$(or $(NAME),mixed)" "$(or $(NAME),mixed)" \
		run "Examples/$(or $(NAME),mixed)/topology.yaml" --data "$(or $(DATA),data/$(or $(NAME),mixed))" --fresh

bench: setup ## Build for release and measure log and channels beside their bare parts, some minutes
	@swift build -c release --product hypha
	@$(HYPHA) bench log $(if $(DATA),--data "$(DATA)")
	@$(HYPHA) bench channels $(if $(DATA),--data "$(DATA)")
	@$(HYPHA) bench e2e $(if $(DATA),--data "$(DATA)")
	@$(HYPHA) bench observer
	@$(HYPHA) bench replay $(if $(DATA),--data "$(DATA)")
	@$(HYPHA) bench agents $(if $(DATA),--data "$(DATA)")
	@tools/trace-table

live: setup ## Send a recording once more with and without an observer: TRACE=FILE GROUP_FILE=FILE
	@swift build -c release --product hypha
	@$(HYPHA) bench topology "$(or $(TRACE),../shared/data/email-Eu-core-temporal.txt.gz)" \
		--groups "$(or $(GROUP_FILE),../shared/data/email-Eu-core-temporal-departments.derived.tsv)" \
		$(if $(DATA),--data "$(DATA)")

# With the libraries optimised, and apart from what is built for debugging.
TESTS := --scratch-path .build/tests
test soak: export HYPHA_OPTIMIZED = 1
BUILD_TESTS = swift build --build-tests $(TESTS)

test: setup ## Build and run all tests, about half an hour
	@tools/setup-python
	@$(BUILD_TESTS)
	@tools/run-tests $(TESTS)

soak: setup ## Try lanes on 100,000 seeds, all at once on 200; kill, starve and damage logs and nodes: SECONDS=600
	@tools/setup-python
	@$(BUILD_TESTS)
	@HYPHA_SEEDS=$(or $(SEEDS),100000) swift test --skip-build $(TESTS) --filter 'LaneSimulationTests'
	@HYPHA_SEEDS=$(or $(MIXED_SEEDS),200) swift test --skip-build $(TESTS) --filter 'MixedSimulationTests'
	@HYPHA_SOAK_SECONDS=$(or $(SECONDS),600) swift test --skip-build $(TESTS) --no-parallel \
		--filter 'SoakTests|CrashMatrixTests|DiskFaultTests|PowerCutTests|PageDamageTests' \
		--filter 'HyphaLogTests.ModelTests|AgentCrashTests|MainScenarioTests'

fuzz: setup ## Fuzz the wire and damaged logs for long: SECONDS=600
	@tools/fuzz wire $(or $(SECONDS),600)
	@tools/fuzz directory $(or $(SECONDS),600)

# What CI can wait for.
fuzz-short: setup
	@tools/fuzz wire 10
	@tools/fuzz directory 10

lint: ## Check the format of all sources
	@swift format lint --strict --recursive Package.swift Sources Tests

format: ## Put all sources into the project's format
	@swift format --in-place --recursive Package.swift Sources Tests

mutants: setup ## Break each mechanism on purpose and see a test fail
	@tools/run-mutants

clean: ## Remove what was built
	@rm -rf .build
