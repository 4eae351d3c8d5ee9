"""Django is set up before the tests of the views are imported."""

from __future__ import annotations

from importlib.util import find_spec

from benchmarks.web.configured import configure

if find_spec("omeroweb") is not None:  # the extra `web` is installed
    configure("tests.unit.web.urls")
