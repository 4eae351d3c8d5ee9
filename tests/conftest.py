"""What holds for all tests: how processes share them (pytest -n), and no clock for hypothesis."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no defect, nor is the first look at Unicode on a new one.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# These start grids, which take ports that are free when a sandbox is made.
_GRIDS = (
    "tests/acceptance/",
    "tests/integration/benchmarks/test_dropbox.py",
    "tests/integration/sandbox/test_grid.py",
    "tests/integration/deployment/test_wheel_install.py",
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
