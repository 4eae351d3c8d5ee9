"""How the tests are shared out when several processes run them (pytest -n)."""

from __future__ import annotations

from typing import Any

import pytest

# These start grids, which take ports that are free when a sandbox is made.
_GRIDS = (
    "tests/acceptance/",
    "tests/integration/test_benchmarks_dropbox.py",
    "tests/integration/test_sandbox_grid.py",
    "tests/integration/test_wheel_install.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One process has all that start grids; any other file is whole in one process."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return "grids" if path.startswith(_GRIDS) else path

    return ByFile(config, log)
