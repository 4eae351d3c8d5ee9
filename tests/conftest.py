"""For all tests: how processes share them, hypothesis without a clock, what is left open."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import stat
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from . import left_open, leftovers, statements

# A process of tests that does not end is asked where each of its threads is.
faulthandler.register(signal.SIGUSR1, file=sys.__stderr__, all_threads=True)
left_open.watch()
statements.share()

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

EXAMPLES = "OMERO_FS_EXAMPLES"  # how many times as many examples hypothesis tries

EXTERNAL = "OMERO_FS_ACCEPTANCE_OMERODIR"  # a given server to test against

# They wait for most of their time, for servers, quiet periods and hangs: see ByFile.  The longest
# come first.  The restart of the whole grid comes after all that is dropped into it.
_FIRST = (
    *("acceptance/test_takeover.py", "acceptance/test_torture.py", "acceptance/test_kill.py"),
    *("dropbox/test_hanging_disks.py", "monitor/test_hanging.py", "dropbox/test_stores.py"),
    "dropbox/test_adversity_mounts.py",
)
_LATER = ("acceptance/test_restart.py",)
# The state machines take most of the time of the unit tests, the others most of the integration
# tests': begun first, they end beside the others.
_LONG = (
    *("journal/test_machine.py", "settling/test_assembly.py", "settling/test_pipeline.py"),
    *("tracking/test_picture.py", "dropbox/test_adversity.py", "deployment/test_wheel_install.py"),
    *("sandbox/test_grid.py", "cli/test_plugin_load.py"),
)
# One process runs all of these: each process has an OMERO, an OMERO.web and a browser of its own.
_TOGETHER = (
    ("tests/acceptance/test_web.py", "tests/acceptance/test_published.py"),
    (
        "tests/acceptance/test_web_habits.py",
        "tests/acceptance/test_web_mended.py",
        "tests/acceptance/test_web_accounts.py",
    ),
)


def examples(number: int) -> int:
    """How many examples a test tries: `number` in `make test`, many times as many in `make long`.

    Each run tries others, so what `make test` tries adds up.
    """
    return number * int(os.environ.get(EXAMPLES, "1"))


@pytest.fixture(scope="session", autouse=True)
def _killed_runs_hold_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    leftovers.end(tmp_path_factory.getbasetemp())


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


def _rank(path: str) -> int:
    """The place of a module in the order in which modules are handed out; below 20 it waits."""
    if path.endswith(_FIRST):
        return next(n for n, name in enumerate(_FIRST) if path.endswith(name))
    if "tests/acceptance/" in path:
        return 11 if path.endswith(_LATER) else 10
    return 20 if path.endswith(_LONG) else 21


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """The garbage collector waits until all tests are known, and never looks at them.

    They stay to the end.  While they became more it looked through all of them again and again, for
    a third of the time that each process needs to find its tests.
    """
    gc.disable()
    try:
        found = yield
    finally:
        gc.enable()
    gc.collect()
    gc.freeze()
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the modules in the order in which processes get them."""
    items.sort(key=lambda item: _rank(item.path.as_posix()))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One process runs a whole module, or several.  One runs all tests of a given server."""
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # our order, not the number of tests

    class ByFile(LoadScopeScheduling):
        """The last process begins with what works, the others with what waits.

        So those that wait leave the processors to one that works, from the start to the end.
        """

        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            if EXTERNAL in os.environ and path.startswith("tests/acceptance/"):
                return "given"
            return next((room[0] for room in _TOGETHER if path in room), path)

        def _assign_work_unit(self, node: Any) -> None:
            wanted = node is not self.nodes[-1]
            for scope in self.workqueue:
                if (scope == "given" or _rank(scope) < 20) is wanted:
                    self.workqueue.move_to_end(scope, last=False)
                    break
            super()._assign_work_unit(node)

    return ByFile(config, log)
