"""omero.server.nodedescriptors: what an admin is told to make of it."""

from __future__ import annotations

import pytest
from omero.util._process_defaultxml import _process_xml

from omero_fs_plugin.deployment.node_descriptors import advice, advice_on_leaving, parse, render

# The value omero-py's documentation gives for everything on one node.
STOCK = (
    "master:Blitz-0,Indexer-0,DropBox,MonitorServer,FileServer,Storm,PixelData-0,"
    "Processor-0,Tables-0,TestDropBox"
)
OURS = "master:Blitz-0,Indexer-0,Storm,PixelData-0,Processor-0,Tables-0,FSServer,DropBox"


def command(lines: list[str]) -> str:
    (line,) = [line for line in lines if "omero config set" in line]
    return line.split('"')[1]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (STOCK, OURS),
        ("master:Blitz-0", "master:Blitz-0,FSServer,DropBox"),
        ("master:Blitz-0,FSServer", "master:Blitz-0,FSServer,DropBox"),
        (
            "master:Blitz-0 fs:DropBox,MonitorServer,FileServer",
            "master:Blitz-0 fs:FSServer,DropBox",
        ),
        ("master:Blitz-0,DropBox  fs:MonitorServer", "master:Blitz-0,FSServer,DropBox"),
        ("slave:Processor-0", "slave:Processor-0 master:FSServer,DropBox"),
    ],
    ids=["stock", "none of ours", "half", "on another node", "a node left empty", "no master"],
)
def test_what_to_list(value: str, wanted: str) -> None:
    lines = advice(value)

    assert command(lines) == wanted
    assert advice(wanted) == []


def test_it_warns_of_servers_that_are_no_more() -> None:
    why = advice(STOCK)[0]

    assert "MonitorServer, FileServer, TestDropBox, which no longer exist" in why


@pytest.mark.parametrize("value", ["Blitz-0", "master:a:b", ":Blitz-0"])
def test_what_omero_cannot_read_is_said_to_be_so(value: str) -> None:
    (line,) = advice(value)

    assert repr(value) in line
    assert advice_on_leaving(value, stock=True) == [line]


def test_leaving_brings_the_stock_servers_back() -> None:
    lines = advice_on_leaving(OURS, stock=True)

    assert command(lines) == (
        "master:Blitz-0,Indexer-0,Storm,PixelData-0,Processor-0,Tables-0,"
        "MonitorServer,FileServer,DropBox"
    )


def test_leaving_where_there_were_no_stock_servers() -> None:
    assert command(advice_on_leaving(OURS, stock=False)) == (
        "master:Blitz-0,Indexer-0,Storm,PixelData-0,Processor-0,Tables-0"
    )


def test_importers_on_other_nodes_may_be_listed_and_leave_too() -> None:
    listed = (
        "master:Blitz-0,FSServer,DropBox node2:DropBoxImporter node3:DropBoxImporter,Processor-1"
    )

    assert advice(listed) == []
    assert command(advice_on_leaving(listed, stock=False)) == "master:Blitz-0 node3:Processor-1"
    assert advice_on_leaving("master:Blitz-0 node2:DropBoxImporter", stock=True)


def test_leaving_has_nothing_to_say_of_others() -> None:
    assert advice_on_leaving("master:Blitz-0", stock=True) == []


def test_rendering_is_what_omero_py_reads() -> None:
    nodes = parse(OURS)
    assert nodes is not None
    xml = '<node name="master"><server-instance template="Glacier2Template"/></node>'

    written = _process_xml(xml, render(nodes))

    for server in ("FSServer", "DropBox"):
        assert f'template="{server}Template"' in written
