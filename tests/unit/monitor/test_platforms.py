"""What is Linux's own stands behind a check: everything else imports elsewhere.

Another platform is made here by taking away what it does not have, in a
process of its own.  Only Linux can be run.
"""

from __future__ import annotations

import itertools
import os
import select
import subprocess
import sys
from types import SimpleNamespace

import pytest

from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.monitor.kernel.observers import AUTO, INOTIFY, POLLING, Observing, Wakener
from omero_fs_plugin.monitor.kernel.polling import Polling

ELSEWHERE = """
import importlib, importlib.abc, os, pkgutil, select, sys, time

# What others bring is theirs to make work there; the standard library is not
# to take this for what it is not, so it is loaded before.
import Ice, omero.all, omero_FS_ice, omero.util, omero.grid, IceGrid, Glacier2
import lxml.etree, sqlalchemy.dialects.sqlite, sqlalchemy.event, rich.table, rich.console
import asyncio, concurrent.futures, multiprocessing, sqlite3, subprocess, tempfile, uuid
import logging.handlers, selectors, shutil, ssl, zipfile, getpass, hashlib, signal
import watchdog.events, watchdog.utils, importlib.metadata, importlib.resources
import tifffile, pydicom, PIL.Image, omero.cli, omero.config, omero.install.config_parser
import numpy

platform, gone = sys.argv[1], set(sys.argv[2].split(","))
sys.platform = platform
for name in ("eventfd", "eventfd_read", "eventfd_write", "EFD_NONBLOCK", "EFD_CLOEXEC", "O_PATH",
             "pidfd_open", "sched_getaffinity", "posix_fadvise", "memfd_create"):
    if hasattr(os, name):
        delattr(os, name)
if platform == "win32":
    for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "geteuid", "getuid",
                 "getgid", "getegid", "mkfifo", "statvfs", "chown", "lchown", "fork", "pread",
                 "getpgid", "killpg", "setsid"):
        if hasattr(os, name):
            delattr(os, name)
    del select.poll
    os.supports_fd -= {os.scandir}
    os.supports_dir_fd -= {os.open, os.stat}


class Gone(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in gone or name == "watchdog.observers.inotify_c":
            raise ModuleNotFoundError(f"{name} is not there on {platform}", name=name)
        return None


sys.meta_path.insert(0, Gone())
for name in gone:
    sys.modules.pop(name, None)

import omero_fs_plugin

failed = []
for module in pkgutil.walk_packages(omero_fs_plugin.__path__, "omero_fs_plugin."):
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        failed.append(f"{module.name}: {error}")
    except Exception as error:
        failed.append(f"{module.name}: {type(error).__name__}: {error}")
print("\\n".join(failed))
"""

GONE = {
    "darwin": "spwd",
    "win32": "fcntl,termios,pwd,grp,resource,spwd",
}


@pytest.mark.parametrize("platform", sorted(GONE))
def test_every_module_but_one_imports_elsewhere(platform: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, platform, GONE[platform]],
        capture_output=True,
        text=True,
        check=True,
    )
    failed = done.stdout.split("\n")
    assert [one.partition(":")[0] for one in failed if one] == [
        "omero_fs_plugin.monitor.kernel.inotify"
    ]


def test_inotify_is_linuxs_own() -> None:
    with pytest.raises(ConfigurationError, match="only Linux has it, and this is darwin"):
        Observing(INOTIFY, "darwin")
    for kind in (AUTO, POLLING):
        Observing(kind, "win32")


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_polling_is_everyones(platform: str) -> None:
    observer = Observing(POLLING, platform).open(b"/", lambda: None)
    assert isinstance(observer, Polling)
    assert observer.watch(b"/") is None
    observer.close()


@pytest.mark.parametrize("has_eventfd", [True, False])
def test_a_thread_is_wakened(has_eventfd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_eventfd:
        monkeypatch.delattr("os.eventfd", raising=False)
        monkeypatch.delattr("select.poll", raising=False)
    wakener = Wakener()
    wakener.wake()
    wakener.wake()
    assert not wakener.wait(None, None)  # at once
    assert not wakener.wait(0, None)
    wakener.close()


@pytest.mark.skipif(not hasattr(select, "poll"), reason="only sockets can be waited for here")
def test_a_thread_waits_for_another_source_after_an_interruption() -> None:
    """Each kernel queue has its own descriptor, and what waits for one is kept."""
    wakener = Wakener()
    pipes = [os.pipe(), os.pipe()]
    for number, (reader, writer) in enumerate(pipes):
        source = SimpleNamespace(fileno=lambda reader=reader: reader)
        for _ in range(2):
            assert not wakener.wait(0, source)
            os.write(writer, b"x")
            assert wakener.wait(None, source)
            assert not wakener.wait(0, None), "it was not asked for"
            os.read(reader, 1)
        os.write(pipes[0][1], b"x")
        assert wakener.wait(0, source) is (number == 0)
        os.read(pipes[0][0], 1)
    for descriptor in itertools.chain(*pipes):
        os.close(descriptor)
    wakener.close()
