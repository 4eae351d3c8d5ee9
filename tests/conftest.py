"""For all tests: how processes share them (pytest -n), and hypothesis without a clock."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

# A busy machine is not a defect.  The first look at Unicode on a new machine is slow, too.
settings.register_profile("shrink", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The first failure is shown as it was found.  For a state machine, the search for a shorter one
# takes minutes: --hypothesis-profile=shrink does it, and begins with the failure found before.
settings.register_profile(
    "patient",
    settings.get_profile("shrink"),
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
settings.load_profile("patient")

EXTERNAL = "OMERO_FS_ACCEPTANCE_OMERODIR"  # a given server to test against

# They take longest, and mostly wait.  So they begin first, and run beside the others.  Their grids
# have ports of their own.  The test that restarts the whole grid comes after those that drop files.
_FIRST = ("acceptance/test_torture.py", "acceptance/test_takeover.py")
_LATER = ("acceptance/test_restart.py",)
# The state machines take most of the time of the unit tests, so they begin first as well.
_MACHINES = (
    "journal/test_machine.py",
    "settling/test_assembly.py",
    "settling/test_pipeline.py",
    "tracking/test_picture.py",
)


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """pytest's own directory.  Whoever made it can remove it.

    pytest keeps the last three runs.  If the owner could not open a directory in it, the fourth
    run and each later one would fail.
    """
    yield tmp_path
    for where, directories, _ in os.walk(tmp_path):
        for name in directories:
            path = Path(where, name)
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
                path.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the modules in the order in which processes get them."""

    def rank(item: pytest.Item) -> int:
        path = item.path.as_posix()
        if path.endswith(_FIRST):
            return 0
        if "/acceptance/" in path:
            return 2 if path.endswith(_LATER) else 1
        return 3 if path.endswith(_MACHINES) else 4

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One process runs a whole module.  One process runs all tests against a given server."""
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # our order, not the number of tests

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            given = EXTERNAL in os.environ and path.startswith("tests/acceptance/")
            return "given" if given else path

    return ByFile(config, log)
