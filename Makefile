# One step on a fresh machine: `make demo`. Everything after the installation works offline.
PYTHON ?= python3
BIN := .venv/bin
PHOTO := lavida/assets/demo.jpg

.PHONY: demo test test-sharded lint bench docs clean

demo: .venv/ready
	$(BIN)/lavida describe $(PHOTO) --show --time
	$(BIN)/lavida ask $(PHOTO) "What animal is it?" --show --time
	$(BIN)/lavida ask $(PHOTO) "Is there a dog in the picture?" --show --time
	$(BIN)/lavida ask $(PHOTO) "How many cats are there?" --show --time
	$(BIN)/lavida ask $(PHOTO) "Where is the cat?" --show --time
	$(BIN)/lavida ask $(PHOTO) "Who is the owner of this cat?" --show --time

test: .venv/ready
	$(BIN)/python -m pytest -n 2

# Sharded training equals one process; minutes.
test-sharded: .venv/ready
	$(BIN)/python -m pytest -m sharded

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p lavida

# make bench DATA=build/mini tells the quality of captions too.
TWIN ?= benchmarks/twin
bench: .venv/ready
	$(BIN)/python -m benchmarks.run $(if $(TWIN),--twin $(TWIN)) $(if $(DATA),--data $(DATA))

# The pages as a site in build/site; python -m http.server -d build/site shows it, with its search.
docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

clean:
	rm -rf .venv

# The stamp is written last, so an interrupted installation is taken up again.
.venv/ready: pyproject.toml requirements/cpu.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lavida needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/cpu.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@
