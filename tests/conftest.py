"""What holds for all tests: how processes share them (pytest -n), and no clock for hypothesis."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

# A busy machine is no defect, nor is the first look at Unicode on a new one.
settings.register_profile("shrink", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The first failure is told as it was found.  To look for a shorter one takes minutes,
# of a state machine: --hypothesis-profile=shrink does so, from what was found before.
settings.register_profile(
    "patient",
    settings.get_profile("shrink"),
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
settings.load_profile("patient")

EXTERNAL = "OMERO_FS_ACCEPTANCE_OMERODIR"  # a server that is given, to test against

# They take longest, most of it waiting: begun first, they end beside the others.  Their grids have
# ports of their own.  The restart of the whole grid comes after all that is dropped into it.
_FIRST = ("acceptance/test_torture.py", "acceptance/test_takeover.py")
_LATER = ("acceptance/test_restart.py",)
# The state machines take most of the time of the unit tests: the same holds for them.
_MACHINES = (
    "journal/test_machine.py",
    "settling/test_assembly.py",
    "settling/test_pipeline.py",
    "tracking/test_picture.py",
)


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """pytest's own, which can be removed by whoever made it.

    pytest keeps the last three runs.  A directory that is closed to its owner would fail the
    fourth, and each after it.
    """
    yield tmp_path
    for where, directories, _ in os.walk(tmp_path):
        for name in directories:
            path = Path(where, name)
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
                path.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which modules are handed out."""

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
    """A module is whole in one process, and so are the tests against a server that is given."""
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # our order, not by number of tests

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            given = EXTERNAL in os.environ and path.startswith("tests/acceptance/")
            return "given" if given else path

    return ByFile(config, log)
