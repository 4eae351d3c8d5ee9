"""What omero.fs.metrics takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_fs_plugin.config.outlets import OUTLETS, Outlets

FILE = Path("/var/lib/node/omero-fs.prom")


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ("", Outlets()),
        ("9450", Outlets(None, ("127.0.0.1", 9450))),
        ("0.0.0.0:9450", Outlets(None, ("0.0.0.0", 9450))),
        ("[::1]:9450", Outlets(None, ("::1", 9450))),
        (str(FILE), Outlets(FILE)),
        (f"{FILE}, 9450", Outlets(FILE, ("127.0.0.1", 9450))),
        (f"9450,{FILE}", Outlets(FILE, ("127.0.0.1", 9450))),
        ('"/with, comma.prom"', Outlets(Path("/with, comma.prom"))),
    ],
)
def test_what_is_taken_and_written_again(entry: str, wanted: Outlets) -> None:
    assert OUTLETS.read(entry) == wanted
    assert OUTLETS.read(OUTLETS.write(wanted)) == wanted


@pytest.mark.parametrize(
    "entry",
    [
        "0",
        "65535",  # FSServer takes the next one
        "99999",
        "port",
        "9450, 9451",
        f"{FILE},{FILE}",
        "/var/lib/node/metrics.txt",  # node_exporter passes over it
        "/var/lib/node/.prom",
        "/var/../etc/x.prom",
        "relative.prom",
        "/a\0b.prom",
    ],
)
def test_what_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"a port, HOST:PORT, or the absolute path"):
        OUTLETS.read(entry)


def test_fsserver_has_its_own() -> None:
    own = Outlets(FILE, ("127.0.0.1", 9450)).for_fsserver()
    assert own == Outlets(Path("/var/lib/node/omero-fs-fsserver.prom"), ("127.0.0.1", 9451))
    assert Outlets().for_fsserver() == Outlets()
