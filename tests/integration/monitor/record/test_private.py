"""The record: who may read it, and what is in it."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from pathlib import Path

from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor.notices import Tell
from omero_fs_plugin.monitor.record.record import Record

from .records import CLIENT, begun


def test_only_its_owner_may_read_it(file: Path) -> None:
    before = os.umask(0)
    try:
        file.touch(0o666)
        record = Record(file)
        picture = begun(record, "one", {b"/data/a": (1, 1, 1)})
        picture.sending([Tell(EventType.CREATE, b"/data/b")])
        modes = {
            str(one.relative_to(file.parent)): stat.S_IMODE(one.stat().st_mode)
            for one in file.parent.rglob("*")
        }
        assert modes == {
            "record.sqlite": 0o600,
            "record.sqlite-wal": 0o600,
            "record.sqlite.sent": 0o700,
            "record.sqlite.sent/one": 0o600,
        }
        picture.end()
        record.close()
    finally:
        os.umask(before)


def test_it_holds_what_createMonitor_was_given_and_what_is_known_and_no_more(
    file: Path, record: Record
) -> None:
    begun(record, "one", {b"/data/a": (1, 2, 3)})
    record.close()
    db = sqlite3.connect(file)
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    rows = {
        table: [
            [item for item in row if isinstance(item, str | bytes)]
            for row in db.execute(f"SELECT * FROM {table}")
        ]
        for table in tables
    }
    db.close()
    assert rows["known"] == []
    assert rows["page"] == [[b"/data/", b"a", b"a\0" + b"1,2,3"]]
    ((*words, asked, client, mount),) = rows["monitor"]
    assert (words, client, mount) == (["one", b"/data/odd\xff\n"], CLIENT, b"/data")
    assert set(re.findall(r'"(\w+)":', str(asked))) == {
        "type",
        "events",
        "mode",
        "whitelist",
        "blacklist",
        "timeout",
        "block_size",
        "ignore_sys_files",
        "ignore_dir_events",
        "client_timeout",
        "guest",
    }


def test_what_a_proxy_keeps_to_itself() -> None:
    """Contexts, where session keys travel, are no part of a proxy's text."""
    import Ice

    from omero_fs_plugin.monitor.servants import IceClient

    communicator = Ice.initialize()
    try:
        proxy = communicator.stringToProxy("client:tcp -h 127.0.0.1 -p 4061")
        keyed = proxy.ice_context({"omero.session": "5e551017", "omero.client.uuid": "c11e"})
        address = IceClient(keyed).address
        assert "5e551017" not in address
        assert communicator.stringToProxy(address) == proxy
    finally:
        communicator.destroy()
