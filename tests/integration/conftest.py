"""A sandbox server inside the test's process: its servants over Ice, without the grid."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import omero.all
import pytest

import omero
from omero_fs_plugin.blitz import user_session
from omero_fs_plugin.dropbox.importing.apart import job
from omero_fs_plugin.sandbox import accounts
from omero_fs_plugin.sandbox.store import FILE, Store

from . import apart
from .blitz import Serving, client_communicator, manager_at, seed
from .whole import Whole, journals_opened

_ICE = {"Ice.ThreadPool.Server.Size": "4", "Ice.Override.Timeout": "10000"}


@pytest.fixture(autouse=True)
def _without_a_router(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of large filesets enter as this one does, and so does who joins a session."""
    monkeypatch.setattr(job, "_BEGIN", apart.BEGIN)
    monkeypatch.setattr(user_session, "join", apart.join)


@dataclass(frozen=True)
class Seeded:
    """The database of a Blitz, and the ids of what is in it by name."""

    file: Path
    groups: Mapping[str, int]
    users: Mapping[str, int]


def _seed(directory: Path) -> Seeded:
    store = Store(directory / FILE)
    accounts.seed(store, "omero")
    with store.begin() as db:
        groups = {
            name: accounts.create_group(store, db, name, permissions)
            for name, permissions in (
                ("amy_group", accounts.PRIVATE),
                ("zak_group", accounts.PRIVATE),
                ("shown", accounts.READ_ONLY),
                ("noted", accounts.READ_ANNOTATE),
                ("shared", accounts.READ_WRITE),
            )
        }
        both = [1, *(groups[name] for name in ("shown", "noted", "shared"))]  # 1: `user`
        users = {
            name: accounts.create_user(
                store, db, name, name, [groups[f"{name}_group"], accounts.USER_GROUP, *both]
            )
            for name in ("amy", "zak")
        }
    store.close()
    return Seeded(store.file, groups, users)


class Blitz:
    """The server, and clients as they are inside the grid: without a password."""

    def __init__(self, data_dir: Path, seeded: Seeded) -> None:
        self.clock = 1000.0  # s; tests move it
        shutil.copy(seeded.file, data_dir / FILE)
        self.groups, self.users = seeded.groups, seeded.users
        self._serving = Serving(data_dir, now=lambda: self.clock, ice=_ICE)
        self.sandbox, self.address = self._serving.sandbox, self._serving.address
        self.client = client_communicator(_ICE)
        self.manager = manager_at(self.address, self.client)

    def here(self, proxy: Any) -> Any:
        """A proxy of the server's as the client has it."""
        return self.client.stringToProxy(str(proxy))

    def login(self, name: str, group: str = "") -> Any:
        """A ServiceFactory; `name` may be a session's uuid."""
        return omero.api.ServiceFactoryPrx.uncheckedCast(
            self.manager.create(name, None, {"omero.group": group})
        )

    def sudo(self, name: str, group: str = "", live: int = 0, idle: int = 0) -> Any:
        """The Session that root opens for `name`."""
        principal = omero.sys.Principal(name, group, "User", None)
        service = self.login("root").getSessionService()
        return service.createSessionWithTimeouts(principal, live, idle)

    def stop(self) -> None:
        self._serving.stop()
        self.client.destroy()


@pytest.fixture(scope="session")
def seeded_blitz(tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    """Made once: hashing passwords and making tables take longer than most tests."""
    return _seed(tmp_path_factory.mktemp("seeded-blitz"))


@pytest.fixture
def blitz(tmp_path: Path, seeded_blitz: Seeded) -> Iterator[Blitz]:
    server = Blitz(tmp_path, seeded_blitz)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def seeded_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a sandbox with the users of a Whole."""
    return seed(tmp_path_factory.mktemp("seeded"))


@pytest.fixture
def make_whole(
    tmp_path: Path, seeded_once: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Whole]]:
    """Makes a Whole with properties of its own; it is closed at the end."""
    made: list[Whole] = []

    def make(**properties: str) -> Whole:
        made.append(Whole(tmp_path, seeded_once, monkeypatch, **properties))
        return made[-1]

    journals_opened()
    yield make
    for whole in made:
        whole.close()
    assert journals_opened() == [], "only SQLite may open a journal's file"


@pytest.fixture
def whole(make_whole: Callable[..., Whole]) -> Whole:
    """FSServer, DropBox and a sandbox server in this process."""
    return make_whole()
