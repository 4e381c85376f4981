# Kakou: `make demo` shows it, `make test` proves it, `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.ready
SOURCE ?=
DATA   ?= data/demo
WORKERS ?= 2
SCENES ?= ../shared/data/dev/scenes.jsonl

.DEFAULT_GOAL := help
.PHONY: help setup train spark demo smoke test check bench clean distclean

help: ## List what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## Prepare .venv with everything that demo and tests need

$(STAMP): pyproject.toml constraints.txt packaging/setup.sh packaging/opencv-contrib-python/pyproject.toml
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh packaging/setup.sh
	@touch $(STAMP)

train: $(STAMP) ## Add to .venv what training the networks needs (PyTorch; large); their tests run then
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train]'

spark: $(STAMP) ## Add to .venv what mining on a Spark cluster needs (large; Java 17 besides); its test runs then
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[spark]'

demo: $(STAMP) ## Server, agents and rendered footage on this machine; SOURCE=video|folder|rtsp://… for your own
	@$(PY) -m demo --data "$(DATA)" $(if $(SOURCE),--source "$(SOURCE)")

smoke: $(STAMP) ## The demo without a screen, checked against the truth of its scenes; one JSON line
	@$(PY) -m demo.smoke

test: $(STAMP) ## All tests, in two workers; WORKERS=0 for one after another
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile

check: $(STAMP) ## Style, types and import rules
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

bench: $(STAMP) ## Accuracy of the reader on labelled frames; SCENES=file.jsonl for your own
	@test -f "$(SCENES)" || { echo "没有标注图片 no labelled frames: $(SCENES); make bench SCENES=file.jsonl (form: python -m benchmarks.accuracy --help)" >&2; exit 2; }
	@$(PY) -m benchmarks.accuracy "$(SCENES)"

clean: ## Remove what the demo has stored
	@rm -rf data/demo && echo "removed data/demo"

distclean: clean ## Remove the virtual environment and every cache too
	@rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
