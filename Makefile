# The two commands of the README, and what the people who work on lifescope run. Builds go through the CMake presets.
.PHONY: demo test fuzz deps build lint format parity clean
SHELL := /bin/bash
BUILD := build/dev

# Installs what is missing (as root, or with sudo where there is one).
deps:
	@if [ "$$(id -u)" = 0 ] || ! command -v sudo >/dev/null; then deploy/install-deps.sh; else sudo deploy/install-deps.sh; fi

# Server and client, without the tests.
build: deps
	cmake --preset release --log-level=WARNING
	cmake --build --preset release

# The main job on the embedded database: a world, a model, a dictionary, a server, a walk with the client.
demo: build
	deploy/demo.sh build/release/bin

# Everything: checks of form, build, all tests; PostgreSQL is started for the tests and may not be skipped.
test: deps
	deploy/checks/run.sh
	cmake --preset dev --log-level=WARNING
	cmake --build --preset dev
	$(MAKE) fuzz
	LIFESCOPE_REQUIRE_POSTGRES=1 tests/postgres/with_postgres.sh ctest --test-dir $(BUILD) --output-on-failure

# The readers of foreign files against a bounded number of inputs (tests/fuzz).
fuzz: deps
	cmake --preset fuzz --log-level=WARNING
	cmake --build --preset fuzz
	ctest --preset fuzz

# Form alone: formatting, include directions, clang-tidy, thread-safety analysis.
lint: deps
	cmake --preset dev --log-level=WARNING
	cmake --build --preset dev --target lifescope_stubs
	deploy/checks/run.sh --tidy

format: deps
	git ls-files '*.cc' '*.h' | xargs clang-format-14 -i

# docs/parity.md from the deviations that the tests measure.
parity: deps
	cmake --preset dev --log-level=WARNING
	cmake --build --preset dev
	rm -rf $(BUILD)/parity
	LIFESCOPE_PARITY_DIR=$(CURDIR)/$(BUILD)/parity ctest --test-dir $(BUILD) -L engine --output-on-failure
	python3 deploy/checks/parity.py $(BUILD)/parity > docs/parity.md

clean:
	rm -rf build
