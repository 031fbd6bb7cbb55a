PYTHON ?= python3
BIN := .venv/bin
DEMO := work_dirs/demo
CONFIG := configs/shapes/atss_r18_asl_shapes.py
# The versions that the tests last passed with; they are for one Python, and on another pip takes the newest that fit.
PINS := $(shell $(PYTHON) -c "import sys; print('--constraint constraints/current.txt' if sys.version_info[:2] == (3, 11) else '')")

.PHONY: demo test test-fast test-browser test-matrix test-classic gpu-check lint constraints docs clean

demo: .venv/.installed data/shapes
	@echo "Training a small ATSS with ASL for 6 epochs (some minutes on two CPU cores) ..."
	$(BIN)/python tools/train.py $(CONFIG) --work-dir $(DEMO)
	$(BIN)/python tools/test.py $(CONFIG) $(DEMO)/epoch_6.pth --work-dir $(DEMO) --out $(DEMO)/predictions.pkl
	$(BIN)/python tools/report.py $(CONFIG) $(DEMO)
	@echo "Next:"
	@echo "  the same with focal loss   $(BIN)/python tools/train.py configs/shapes/atss_r18_focal_shapes.py"
	@echo "  ASL in a config of yours   see README.md, 'Swap the loss'"

# The long files first, as the folders have them: pytest-xdist would begin with those of the most tests.
test: .venv/.installed
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-fast: .venv/.installed
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "not slow" tests/unit

# The page of an audit in a browser, headless. Playwright's Python package drives the system's own; nothing else is downloaded.
test-browser: .venv/.browser
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
	  || { echo "There is no browser: apt-get install chromium (Debian), or put Chrome on the PATH as google-chrome"; exit 1; }
	$(BIN)/python -m pytest tests/browser

.venv/.browser: .venv/.installed
	$(BIN)/pip install --quiet $(PINS) --editable '.[browser]'
	@touch $@

# On older and newer stacks, in an environment of some GB each: noxfile.py.
test-matrix: .venv/.installed
	$(BIN)/nox

test-classic: .venv/.installed
	$(BIN)/nox --session classic-3.11 -- -m "not slow"

# On a machine with a GPU: what is to be checked and measured there. Called again, it does what is left.
gpu-check: .venv/.installed
	$(BIN)/python benchmarks/gpu.py

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms \
	  .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml .github/ISSUE_TEMPLATE/result.yml

# After the tests have passed with what is in .venv (to try newer versions: pip install --upgrade there, or nox -s newest).
constraints: .venv/.installed
	echo "# What make installs on Python 3.11: the versions that the tests last passed with. Written by make constraints." \
	  > constraints/current.txt
	$(BIN)/pip freeze --exclude-editable >> constraints/current.txt

# The site, in build/site; the tutorial is executed. Links work in files opened from a disk, too; the search needs a server:
# python -m http.server --directory build/site
docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

.venv/.docs: .venv/.installed
	$(BIN)/pip install --quiet $(PINS) --editable '.[docs]'
	@touch $@

data/shapes: | .venv/.installed
	$(BIN)/python tools/make_shapes.py --out $@

# Once: the virtual environment with the whole stack. Remove .venv to recreate it.
.venv/.installed: pyproject.toml setup.py constraints/current.txt
	@echo "Installing into .venv (several minutes the first time) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(PINS) --editable '.[full,dev]'
	$(BIN)/python -c "import yapf.yapflib.yapf_api"  # it writes its grammar once, which two processes at a time would damage
	@touch $@

clean:
	rm -rf .venv .nox data/shapes work_dirs/demo build dist *.egg-info
