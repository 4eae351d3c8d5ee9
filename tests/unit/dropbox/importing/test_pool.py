"""Sessions that imports share: opened once, closed once, and nobody waits for another's."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing import pool
from omero_fs_plugin.dropbox.importing.pool import SessionPool
from omero_fs_plugin.errors import ServerAwayError, UserError


class Session:
    def __init__(self, whose: tuple[str, str]) -> None:
        self.whose = whose
        self.closed = 0
        self.lives = True

    def alive(self) -> bool:
        return self.lives

    def forget(self) -> None:
        pass

    def close(self) -> None:
        self.closed += 1


class Omero:
    def __init__(self) -> None:
        self.opened: list[Session] = []
        self.hangs = threading.Event()  # set: zak gets an answer

    def user(self, name: str, group: str = "") -> tuple[str, str]:
        if name == "nobody":
            raise UserError("no such user")
        if name == "zak":
            assert self.hangs.wait(10)
        return name, group

    def session_for(self, user: tuple[str, str]) -> Session:
        self.opened.append(Session(user))
        return self.opened[-1]


@pytest.fixture
def omero() -> Omero:
    return Omero()


@pytest.fixture
def sessions(omero: Omero) -> SessionPool:
    made: Any = omero
    return SessionPool(made)


def test_one_for_each_user_and_group(sessions: SessionPool, omero: Omero) -> None:
    with sessions.session("amy") as one, sessions.session("amy") as same:
        assert one is same
        with sessions.session("amy", "lab") as other:
            assert other is not one
    sessions.tidy()
    assert [session.closed for session in omero.opened] == [0, 0], "they may be needed again"
    sessions.tidy(everything=True)
    assert [session.closed for session in omero.opened] == [1, 1]


def test_one_in_use_is_closed_by_its_last_user(sessions: SessionPool, omero: Omero) -> None:
    with sessions.session("amy"):
        sessions.tidy(everything=True)
        assert omero.opened[0].closed == 0
    assert omero.opened[0].closed == 1


def test_a_dead_one_is_not_lent_again(sessions: SessionPool, omero: Omero) -> None:
    with pytest.raises(ServerAwayError), sessions.session("amy"):
        omero.opened[0].lives = False
        raise ServerAwayError("gone")
    with sessions.session("amy"):
        assert len(omero.opened) == 2
    assert omero.opened[0].closed == 1


def test_an_old_one_is_exchanged(
    sessions: SessionPool, omero: Omero, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sessions.session("amy"):
        monkeypatch.setattr(pool, "_OLDEST_S", -1.0)
        with sessions.session("amy"):
            assert [session.closed for session in omero.opened] == [0, 0]
        assert [session.closed for session in omero.opened] == [0, 0]
    assert [session.closed for session in omero.opened] == [1, 0]


def test_who_has_none_leaves_nothing_behind(sessions: SessionPool, omero: Omero) -> None:
    for _ in range(2):
        with pytest.raises(UserError), sessions.session("nobody"):
            pass
    assert omero.opened == []


def test_one_that_hangs_holds_up_nobody_else(sessions: SessionPool, omero: Omero) -> None:
    def of_zak() -> None:
        with sessions.session("zak"):
            pass

    hanging = threading.Thread(target=of_zak)
    hanging.start()
    try:
        with sessions.session("amy"):
            assert [session.whose for session in omero.opened] == [("amy", "")]
        sessions.tidy()
    finally:
        omero.hangs.set()
        hanging.join(10)
    assert len(omero.opened) == 2
