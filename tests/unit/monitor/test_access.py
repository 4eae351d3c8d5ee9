"""Whose a connection is, and what another account may have watched."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.monitor.access import Access, account_of_connection, account_of_socket
from omero_fs_plugin.monitor.requests import MonitorError

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
SOMEBODY = 12345
HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


def line(local: str, remote: str, state: str, uid: int, inode: int) -> str:
    return (
        f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 "
        f"{uid:5}        0 {inode} 1 0000000000000000 20 4 0 10 -1\n"
    )


@linux
class TestAccountOfASocket:
    @pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
    def connected(self, request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
        kind, address = request.param
        with socket.socket(kind) as listening:
            try:
                listening.bind((address, 0))
            except OSError:
                pytest.skip("this machine has no IPv6")
            listening.listen()
            with socket.create_connection(listening.getsockname()[:2]) as client:
                server, _ = listening.accept()
                with server:
                    yield client, server

    def test_of_a_real_one(self, connected: tuple[Any, Any]) -> None:
        client, server = connected
        local, remote = server.getpeername()[:2], server.getsockname()[:2]
        assert account_of_socket(local, remote) == os.geteuid()
        info = SimpleNamespace(
            localAddress=remote[0], localPort=remote[1], remoteAddress=local[0], remotePort=local[1]
        )
        assert account_of_connection(SimpleNamespace(getInfo=lambda: info)) == os.geteuid()
        client.close()
        assert account_of_socket(local, remote) is None, "the kernel may show 0 for it"

    @pytest.mark.parametrize(
        ("state", "inode", "known"),
        [("01", 99, True), ("06", 0, False), ("04", 0, False), ("01", 0, False)],
    )
    def test_what_nobody_has_any_more_is_not_roots(
        self, tmp_path: Path, state: str, inode: int, known: bool
    ) -> None:
        table = tmp_path / "tcp"
        one = line("0100007F:9C40", "0100007F:1F90", state, 0, inode)
        table.write_text(HEADING + line("00000000:1F90", "00000000:0000", "0A", 999, 5) + one)
        found = account_of_socket(("127.0.0.1", 40000), ("127.0.0.1", 8080), [str(table)])
        assert found == (0 if known else None)

    def test_ipv4_in_ipv6(self, tmp_path: Path) -> None:
        table = tmp_path / "tcp6"
        mapped = "0000000000000000FFFF00000100007F"
        table.write_text(HEADING + line(f"{mapped}:9C40", f"{mapped}:1F90", "01", SOMEBODY, 7))
        local, remote = ("127.0.0.1", 40000), ("127.0.0.1", 8080)
        tables = [str(tmp_path / "none"), str(table)]
        assert account_of_socket(local, remote, tables) == SOMEBODY

    def test_of_another_machine_nobody_knows(self) -> None:
        assert account_of_socket(("192.0.2.7", 40000), ("192.0.2.8", 8080)) is None

    def test_of_what_is_no_tcp_nobody_knows(self) -> None:
        assert account_of_connection(SimpleNamespace(getInfo=SimpleNamespace)) is None


class TestWhatMayBeWatched:
    @pytest.fixture
    def given(self, tmp_path: Path) -> Path:
        directory = tmp_path / "DropBox"
        (directory / "amy").mkdir(parents=True)
        return directory

    def access(self, *given: Path, uid: int | None = SOMEBODY) -> Access:
        return Access(lambda: map(str, given), lambda connection: uid)

    CURRENT = SimpleNamespace(con=object())

    def may(self, access: Access, path: Path | str, **more: bool) -> bool:
        try:
            access.check(os.fsencode(path), self.CURRENT, **more)
        except MonitorError as error:
            assert "omero.fs.monitorRoots" in str(error)
            return False
        return True

    @pytest.mark.parametrize("uid", [0, os.geteuid()])
    def test_anything_by_our_own_account_and_root(self, given: Path, uid: int) -> None:
        assert self.may(self.access(given, uid=uid), "/etc")

    @pytest.mark.parametrize("uid", [SOMEBODY, None])
    def test_what_was_given_and_nothing_else_by_others(
        self, given: Path, tmp_path: Path, uid: int | None
    ) -> None:
        access = self.access(given, uid=uid)
        assert self.may(access, given)
        assert self.may(access, given / "amy")
        for path in (tmp_path, "/etc", "/", given.with_name("DropBoxes")):
            assert not self.may(access, path)

    def test_from_this_process_it_is_our_own(self, given: Path) -> None:
        self.access(given).check(b"/etc", None)
        self.access(given).check(b"/etc", SimpleNamespace(con=None))

    def test_a_users_link_leads_nowhere(self, given: Path) -> None:
        (given / "amy").chmod(0o777)
        (given / "amy" / "door").symlink_to("/etc")
        access = self.access(given)
        assert not self.may(access, given / "amy" / "door")
        assert not self.may(access, given / "amy" / "door", missing_well=True)

    def test_an_admins_link_may_lead_into_it_and_not_out_of_it(
        self, given: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "link").symlink_to(given)
        (given / "out").symlink_to("/etc")
        assert self.may(self.access(given), tmp_path / "link" / "amy")
        assert self.may(self.access(tmp_path / "link"), given / "amy")
        assert not self.may(self.access(given), given / "out")

    def test_what_is_not_there_is_judged_by_where_it_would_be(
        self, given: Path, tmp_path: Path
    ) -> None:
        access = self.access(given)
        assert self.may(access, given / "no" / "such", missing_well=True)
        assert not self.may(access, given / "no" / "such")
        assert not self.may(access, tmp_path / "no" / "such", missing_well=True)
