"""How the tests are shared out when several processes run them (pytest -n)."""

from __future__ import annotations

import pytest

# These start grids, which take ports that are free when a sandbox is made.
_GRIDS = (
    "acceptance/",
    "integration/test_benchmarks_dropbox.py",
    "integration/test_sandbox_grid.py",
    "integration/test_wheel_install.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One process has all that start grids; any other file is whole in one process."""
    if not config.pluginmanager.has_plugin("xdist"):
        return
    for item in items:
        path = item.path.relative_to(config.rootpath / "tests").as_posix()
        group = "grids" if path.startswith(_GRIDS) else path
        item.add_marker(pytest.mark.xdist_group(group))
