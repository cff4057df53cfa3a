# make demo             a server and two that follow it, on this machine; then Dagster's UI
# make demo ONCE=1      the same without the UI: ends by itself
# make demo BROKER=HOST:PORT   with a Kafka broker of yours, where the embedded one has no wheel
# make test             all tests, the sandbox's too
# make lint, make types what .ci/run checks besides
# make docs             the pages of docs/, into build/docs
# make proto            the Python of DVID's protobuf messages (needs the dependency group `proto`)
#
# Each makes .venv from requirements.lock first. PYTHON=/path/to/python3.12 chooses the Python for it.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
READY := .venv/ready

.PHONY: demo test lint types docs format proto clean

demo: $(READY)
	@$(BIN)/python -m demo $(if $(ONCE),--once) $(if $(BROKER),--broker $(BROKER)) $(if $(PORT),--port $(PORT))

test: $(READY)
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(TESTS)

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/mypy
	@$(BIN)/mypy sandbox/tests

docs: $(READY)
	@$(BIN)/mkdocs build --quiet --strict

format: $(READY)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

proto:
	@PATH="$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I . --python_out=. --mypy_out=. \
	    dvidsync_dagster/dvid/proto/*.proto

$(READY): requirements.lock pyproject.toml sandbox/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo 'Python 3.11 or newer is needed. Name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12' >&2; \
	    exit 1; }
	@echo 'Making .venv from requirements.lock …'
	@$(PYTHON) -m venv .venv
	@$(INSTALL) --require-hashes --only-binary :all: -r requirements.lock
	@$(INSTALL) --no-build-isolation --editable . --editable sandbox
	@touch $@

clean:
	rm -rf .venv .demo
