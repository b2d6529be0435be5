# One command does everything from nothing: it makes its own virtual environment first.
#   make demo                 the whole product at work; EXIT=1 ends by itself
#   make test                 every test; AIRFLOW=3.4.0b2 runs them on that Airflow instead of the pinned one
#   make test-fast            what is done in a minute
#   make lint bench
SHELL   := bash
PYTHON  ?= python3
AIRFLOW ?=
VENV    := .venv$(addprefix -airflow-,$(AIRFLOW))
BIN     := $(CURDIR)/$(VENV)/bin
READY   := $(VENV)/.ready
PEERS   := .venv-peers
WORKERS ?= 2
export EXIT

.PHONY: demo test test-fast lint bench setup format constraints clean

setup: $(READY)

# The constraints pin everything; another Airflow than the pinned one brings its own providers' versions. Bytecode is compiled
# now, because every task of every run starts a process, and some machines forbid Python to write it on the way.
$(READY): pyproject.toml constraints.txt Makefile
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(if $(AIRFLOW),grep -v '^apache-airflow' constraints.txt,cat constraints.txt) > $(VENV)/constraints.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraints $(VENV)/constraints.txt $(if $(AIRFLOW),--prerelease allow 'apache-airflow==$(AIRFLOW)') \
		--group test --group lint --group bench --editable '.[polars,spark,http,kafka,iceberg,openlineage,slack]'
	$(BIN)/python -m compileall -q airflow_dataproducts
	touch $@

demo: $(READY)
	@$(BIN)/python -m demo $(if $(filter-out 0,$(EXIT)),--exit)

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

test-fast: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" tests/unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

bench: $(READY) $(PEERS)/.ready
	$(BIN)/python -m bench $(ONLY)

# What the benchmarks are compared with. Their requirements exclude each other's and ours.
$(PEERS)/.ready: $(READY) Makefile
	$(PYTHON) -m venv --clear $(PEERS)/soda
	$(PYTHON) -m venv --clear $(PEERS)/datacontract
	$(PYTHON) -m venv --clear $(PEERS)/dlt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(PEERS)/soda/bin/python soda-core==4.28.0 soda-duckdb==4.28.0
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(PEERS)/datacontract/bin/python 'datacontract-cli[duckdb]==1.2.8'
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(PEERS)/dlt/bin/python 'dlt[deltalake,filesystem,postgres,sql_database]==1.31.0'
	touch $@

constraints: $(READY)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate --all-extras \
		--group test --group lint --group bench pyproject.toml --output-file constraints.txt

clean:
	rm -rf .venv* .mypy_cache .ruff_cache .pytest_cache .demo build dist
