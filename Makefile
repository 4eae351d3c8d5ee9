# Each target does all the set-up it needs (tools/setup.sh), also on a fresh machine.
#
#   make demo                     a sandbox OMERO, two files dropped, two filesets imported
#   make test                     lint, types, and every test but the long ones
#   make long                     the long tests: each step at which a share may hang, what
#                                 hostile files do to Bio-Formats, whole tables of which `make test`
#                                 has some rows, and ten times the examples of hypothesis
#   make sandbox DIR=/path        a sandbox OMERO server to keep; SANDBOX_ARGS="--user eve"
#                                 WEB=1 starts it, and OMERO.web with the page My drops beside it
#   make demo-web                 the same, in a directory that is removed at the end
#   make acceptance OMERODIR=/path   the acceptance tests against an OMERO.server set aside for
#                                 tests, OMERO_ROOT_PASSWORD in the environment
#   make torture                  the campaigns at full size, kill -9 and takeovers;
#                                 TORTURE_ARGS="--seed 7", or "--takeovers sqlite" for one of them
#   make pauses                   the tests of the servers, with threads that pause at random where
#                                 another one may act; PYTEST_ARGS="tests/integration/dropbox"
#   make fuzz                     every parser of users' files, given what nobody would write, for an
#                                 hour; FUZZ_ARGS="--seconds 60 --seed 7"
#   make sets                     the table of sets: each member of each kind late, empty, cut
#                                 short or with a hole; SETS_ARGS="--wrong --jars found --jars DIR"
#   make bench                    what FSServer costs, beside others; BENCH_ARGS="--quick"
#   make bench-fsserver           where FSServer's CPU time goes, by thread and function, now and before
#   make bench-dropbox            what DropBox achieves and costs, on a sandbox
#   make bench-filesets           grouping beside cold JVMs, importing beside a bare upload loop;
#                                 `make bench` runs it too, after its own
#   make bench-journal            what many files at once cost the journal, at three sizes
#   make bench-nodes              imports an hour with 1, 2 and 4 machines, and blows for five minutes
#   make bench-metrics            1,000 files while curl asks for the metrics; a page of 1,000,000
#   make bench-growth             how time and memory grow with files, users, rules, directories
#   make bench-isolation          imports and grouping beside the commit before isolation, in turn
#   make bench-audit              what an audit of 200,000 filesets asks OMERO and keeps in memory
#   make bench-commands           what each `omero fs` command takes beyond `omero version`
#   make bench-web                the page My drops: what it asks, first byte, rows; what documents cost
#   make reference                the list of properties in docs/configuration.rst, from the code
#   make docs                     the documentation site, in build/docs; DOCS=/path
#   make links                    whether the links to other sites lead anywhere
#   make pictures                 docs/rooms.svg and docs/states.svg, from the tables in the code
#   make venv | lint | types | unit | format | clean
#
# PYTHON=/path/to/python3 chooses the Python (3.10 to 3.13) of the virtual environment.

PYTHON ?= /usr/bin/python3
DIR ?=
SANDBOX_ARGS ?=
WEB ?=
OMERODIR ?=
PYTEST_ARGS ?=
TORTURE_ARGS ?=
FUZZ_ARGS ?=
SETS_ARGS ?=
BENCH_ARGS ?=
DOCS ?= build/docs

SHELL := /bin/bash
RUN := tools/run.sh
export PYTHON

.NOTPARALLEL:
.PHONY: help venv demo demo-web sandbox test long test-packages acceptance torture pauses fuzz sets unit compiled bench bench-fsserver bench-dropbox bench-filesets bench-journal bench-growth bench-nodes bench-metrics bench-commands bench-web bench-audit bench-isolation docs links lint types reference pictures format clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

venv:
	@tools/setup.sh

demo: venv
	@$(RUN) python tools/demo.py

# OMERO.web is among what the tests need.
sandbox: $(if $(WEB),test-packages,venv)
	@tools/sandbox.sh '$(DIR)' $(SANDBOX_ARGS)
	@$(if $(WEB),$(RUN) python tools/web.py '$(abspath $(DIR))',:)

demo-web: test-packages
	@$(RUN) python tools/demo_web.py

test-packages:
	@tools/setup.sh tests

test: test-packages lint
	@$(MAKE) --no-print-directory -j 2 types compiled
	$(RUN) pytest -n 8 -m 'not long' $(PYTEST_ARGS)

# pytest rewrites each module of the tests when it is read first; eight processes would each do it.
compiled:
	@$(RUN) pytest --collect-only -q $(PYTEST_ARGS) >/dev/null 2>&1 || :

long: test-packages
	$(RUN) env OMERO_FS_EXAMPLES=10 pytest -n 3 -m 'long or hypothesis' $(PYTEST_ARGS)

acceptance: venv
	@test -n '$(OMERODIR)' || { echo 'which server? make acceptance OMERODIR=/path' >&2; exit 2; }
	@test -n "$$OMERO_ROOT_PASSWORD" || { echo 'set OMERO_ROOT_PASSWORD to the password of its root' >&2; exit 2; }
	$(RUN) env OMERO_FS_ACCEPTANCE_OMERODIR='$(abspath $(OMERODIR))' pytest $(PYTEST_ARGS) tests/acceptance

# TORTURE_ARGS are those of one campaign: with any, the others are left out.
torture: test-packages
	$(RUN) python -m tests.acceptance.torture $(TORTURE_ARGS)
	@$(if $(TORTURE_ARGS),:,$(RUN) python -m tests.acceptance.torture --takeovers sqlite --filesets 100)
	@$(if $(TORTURE_ARGS),:,$(RUN) python -m tests.acceptance.torture --takeovers postgresql --filesets 100)
	@$(if $(TORTURE_ARGS),:,$(RUN) env OMERO_FS_NODES_S=300 pytest -n 0 -m long tests/integration/dropbox/test_elsewhere.py)
	@$(if $(TORTURE_ARGS),:,$(RUN) env OMERO_FS_NODES_S=300 pytest -n 0 -m long tests/acceptance/test_fsservers_on_nodes.py)

pauses: test-packages
	$(RUN) pytest -p tests.pauses -n 4 -m 'not long' $(or $(PYTEST_ARGS),tests/integration/dropbox tests/integration/monitor)

fuzz: test-packages
	$(RUN) python -m tests.fuzz $(FUZZ_ARGS)

sets: test-packages
	$(RUN) python -m tests.sets $(SETS_ARGS)

unit: venv
	$(RUN) pytest -n 2 -m 'not long' $(PYTEST_ARGS) tests/unit

# BENCH_ARGS are those of the first part: with any, the second is left out.
bench: venv
	@tools/bench.sh benchmarks $(BENCH_ARGS)
	@$(if $(BENCH_ARGS),:,tools/bench.sh benchmarks.filesets)

bench-fsserver: venv
	@tools/bench.sh benchmarks.fsserver $(BENCH_ARGS)

bench-dropbox: venv
	@tools/bench.sh benchmarks.dropbox $(BENCH_ARGS)

bench-filesets: venv
	@tools/bench.sh benchmarks.filesets $(BENCH_ARGS)

bench-journal: venv
	@tools/bench.sh benchmarks.journal $(BENCH_ARGS)

bench-nodes: test-packages
	@tools/bench.sh tests.acceptance.nodes $(BENCH_ARGS)

bench-metrics: test-packages
	@tools/bench.sh tests.integration.dropbox.metrics $(BENCH_ARGS)

bench-growth: venv
	@tools/bench.sh benchmarks.growth $(BENCH_ARGS)

bench-audit: venv
	@tools/bench.sh benchmarks.audit $(BENCH_ARGS)

bench-isolation: venv
	@tools/bench.sh benchmarks.isolation $(BENCH_ARGS)

bench-commands: venv
	@tools/bench.sh benchmarks.commands $(BENCH_ARGS)

bench-web: venv
	@tools/bench.sh benchmarks.web $(BENCH_ARGS)

lint: venv
	$(RUN) ruff check .
	$(RUN) ruff format --check .

types: venv
	$(RUN) mypy

# These write to the files of the checkout, so they run as whoever owns them.
# Each warning is an error; a link to a page that is not there is one.
docs: test-packages
	$(RUN) python -m sphinx -b html -W --keep-going -q docs $(DOCS)
	@echo "the site is in $(DOCS)"

# The links to other sites, which only the network can check.  Sphinx counts as broken also what
# cannot be reached from here; links.py tells it apart, and its exit code counts.
links: test-packages
	@$(RUN) rm -rf build/links
	@$(RUN) python -m sphinx -b linkcheck -Q docs build/links || true
	@$(RUN) python tools/links.py build/links/output.json

reference: venv
	.venv/bin/python tools/reference.py

pictures: venv
	.venv/bin/python tools/pictures.py
	.venv/bin/python -m tools.screens

format: venv
	.venv/bin/ruff check --fix . && .venv/bin/ruff format .

clean:
	@tools/clean.sh
