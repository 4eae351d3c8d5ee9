"""The fragment into descriptors and out again: exact, repeatable, or refused."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from omero_fs_plugin.deployment.descriptor import (
    STOCK_TEMPLATES,
    merge,
    properties,
    read_fragment,
    same_xml,
    set_aside,
    unmerge,
)
from omero_fs_plugin.deployment.installation import fragment_path
from omero_fs_plugin.errors import DescriptorError
from tests import CHECKOUT, DATA
from tests.conftest import examples

SAMPLES = DATA / "grid"
FRAGMENT = fragment_path().read_bytes()
TEMPLATES = (SAMPLES / "templates.xml").read_bytes()
DEFAULT = (SAMPLES / "default.xml").read_bytes()
OURS = ["FSServerTemplate", "DropBoxTemplate"]
# Those for other nodes have no instance by themselves.
ALL_OURS = [
    "FSServerTemplate",
    "FSServerNodeTemplate",
    "DropBoxTemplate",
    "DropBoxImporterTemplate",
]


def deployed(root: etree._Element, path: str, attribute: str) -> list[str]:
    """The values of `attribute` along `path`, without what lies in a target."""
    return [e.get(attribute) for e in root.iterfind(path) if not list(e.iterancestors("target"))]


def templates_in(data: bytes) -> list[str]:
    return deployed(etree.fromstring(data), ".//server-template", "id")


def instances_in(data: bytes, node: str = "master") -> list[str]:
    path = f".//node[@name='{node}']//server-instance"
    return deployed(etree.fromstring(data), path, "template")


def test_ours_take_the_place_of_the_stock_ones() -> None:
    templates, default = merge(TEMPLATES, DEFAULT, FRAGMENT)

    assert templates_in(templates) == ["BlitzTemplate", *ALL_OURS]
    assert instances_in(default) == ["Glacier2Template", "BlitzTemplate", *OURS]
    root = etree.fromstring(templates)
    assert deployed(root, ".//properties[@id='DropBox']", "id") == ["DropBox"]
    aside, aside_instances = set_aside(templates, default)
    assert sorted(aside) == sorted((*STOCK_TEMPLATES, "DropBox"))
    assert sorted(aside_instances) == sorted(STOCK_TEMPLATES)


def test_every_other_byte_stays() -> None:
    merged = merge(TEMPLATES, DEFAULT, FRAGMENT)

    for before, after in zip((TEMPLATES, DEFAULT), merged, strict=True):
        rest = re.sub(rb'<target name="omero.fs.stock">(.*?)</target>', rb"\1", after, flags=re.S)
        rest = re.sub(rb"\n *<\?omero-fs begin.*omero-fs end\?>", b"", rest, flags=re.S)
        assert rest == before


def test_taking_out_gives_the_bytes_back() -> None:
    assert unmerge(*merge(TEMPLATES, DEFAULT, FRAGMENT)) == (TEMPLATES, DEFAULT)


def test_merging_twice_equals_once() -> None:
    once = merge(TEMPLATES, DEFAULT, FRAGMENT)

    assert merge(*once, FRAGMENT) == once


def test_a_newer_fragment_replaces_the_older() -> None:
    newer = FRAGMENT.replace(b'name="omero.fs.importers" value="2"', b'name="new" value="3"')

    upgraded = merge(*merge(TEMPLATES, DEFAULT, FRAGMENT), newer)

    assert upgraded == merge(TEMPLATES, DEFAULT, newer)
    assert properties(upgraded[0], "DropBox")["new"] == "3"


def test_edits_in_between_are_kept_in_every_byte() -> None:
    edits = (
        (
            b"<option>MEMORY:blitz</option>",
            b"<option>MEMORY:blitz</option>\n\t<option >-Xmx9g</option>",
        ),
        (b'name="omero.fs.dirImportWait"  value="60"', b"name='omero.fs.dirImportWait'\tvalue='5'"),
        (b'index="0" config="default"/>', b'index="0" config="default"/>\r\n<!-- mine -->'),
        (b"</icegrid>", b"<properties id='Mine'/> </icegrid>"),
    )

    def edited(documents: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        templates, default = documents
        for old, new in edits:
            templates, default = templates.replace(old, new), default.replace(old, new)
        return templates, default

    merged = merge(TEMPLATES, DEFAULT, FRAGMENT)
    assert edited(merged) != merged
    assert unmerge(*edited(merged)) == edited((TEMPLATES, DEFAULT))


def without_stock() -> tuple[bytes, bytes]:
    """Descriptors that never had any of the stock servers."""
    documents = []
    for data in (TEMPLATES, DEFAULT):
        root = etree.fromstring(data)
        stock = [
            e
            for e in root.iter("server-template", "server-instance", "properties")
            if e.get("id", e.get("template")) in (*STOCK_TEMPLATES, "DropBox")
        ]
        for element in stock:
            element.getparent().remove(element)
        documents.append(etree.tostring(root))
    return documents[0], documents[1]


def test_it_works_where_no_stock_servers_exist() -> None:
    bare = without_stock()

    templates, default = merge(*bare, FRAGMENT)

    assert templates_in(templates) == ["BlitzTemplate", *ALL_OURS]
    assert instances_in(default) == ["Glacier2Template", "BlitzTemplate", *OURS]
    assert set_aside(templates, default) == ([], [])
    assert unmerge(templates, default) == bare


def test_stock_instances_of_other_nodes_are_set_aside_too() -> None:
    two_nodes = DEFAULT.replace(
        b'<target name="repo">',
        b'<node name="n2"><server-instance template="DropBoxTemplate"/></node><target name="repo">',
    )

    merged = merge(TEMPLATES, two_nodes, FRAGMENT)

    assert instances_in(merged[1], "n2") == []
    assert unmerge(*merged) == (TEMPLATES, two_nodes)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
def test_line_ends_and_byte_order_mark(newline: bytes, bom: bytes) -> None:
    given_ = tuple(bom + data.replace(b"\n", newline) for data in (TEMPLATES, DEFAULT))

    merged = merge(*given_, FRAGMENT)

    assert all(data.replace(newline, b"").count(b"\n") == 0 for data in merged)
    assert unmerge(*merged) == given_
    assert merge(*merged, FRAGMENT) == merged


def test_latin_1_stays_latin_1() -> None:
    latin = TEMPLATES.decode().replace("'UTF-8'", '"iso-8859-1"').encode("iso-8859-1")

    merged = merge(latin, DEFAULT, FRAGMENT)

    assert "Größe, µm".encode("iso-8859-1") in merged[0]
    assert unmerge(*merged) == (latin, DEFAULT)


TEMPLATES_ROOT_END = b"</icegrid>\n<!-- after"


@pytest.mark.parametrize(
    ("templates", "default", "why"),
    [
        (TEMPLATES[:-60], DEFAULT, "templates.xml is not well-formed XML"),
        (b"", DEFAULT, "templates.xml is not well-formed XML"),
        (TEMPLATES, b"omero = 1\n", "default.xml is not well-formed XML"),
        (TEMPLATES.replace(b"icegrid>", b"beans>"), DEFAULT, "root is <beans>, not <icegrid>"),
        (TEMPLATES, b"<!DOCTYPE icegrid>" + DEFAULT, "default.xml.*DOCTYPE"),
        (
            TEMPLATES,
            b'<!DOCTYPE icegrid [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
            + DEFAULT.replace(b'value="."', b'value="&f;"'),
            "default.xml",
        ),
        (TEMPLATES[40:].decode().encode("utf-16"), DEFAULT, "encoding is UTF-16"),
        (
            TEMPLATES,
            DEFAULT.replace(b'"master"', b'"head"'),
            'one <node name="master">, .* 1 and 0',
        ),
        (
            TEMPLATES,
            DEFAULT.replace(b"application", b"app"),
            'one <node name="master">, .* 0 and 0',
        ),
        (
            TEMPLATES.replace(b'id="Basics"', b'id="Basic"').replace(b'id="CppServer"', b'id="C"'),
            DEFAULT,
            "templates.xml.* need <properties id=...> named Basics, CppServer",
        ),
        (TEMPLATES, DEFAULT.replace(b'"Profile"', b'"Prof"'), "need .*named Profile"),
        (TEMPLATES, DEFAULT.replace(b'"PYTHON"', b'"PY"'), "default.xml.*variable.* named PYTHON"),
        (
            TEMPLATES.replace(
                TEMPLATES_ROOT_END, b'<server-template id="FSServerTemplate"/></icegrid><!-- after'
            ),
            DEFAULT,
            'line 41: there is a <server-template id="FSServerTemplate"> already',
        ),
        (
            TEMPLATES,
            DEFAULT.replace(
                b'<server-instance template="Glacier2Template"',
                b'<!-- first --><server-instance template="Glacier2Template"',
            ),
            'master"> must begin with a <server-instance>',
        ),
        (TEMPLATES, DEFAULT.replace(b"Glacier2Template", b"FileServerTemplate"), "must begin"),
    ],
    ids=[
        "cut short",
        "empty",
        "no XML",
        "other root",
        "doctype",
        "entity",
        "utf-16",
        "no master",
        "no application",
        "no property sets",
        "no profile",
        "no variable",
        "a stranger's FSServer",
        "comment first",
        "stock server first",
    ],
)
def test_what_it_does_not_understand_is_refused(templates: bytes, default: bytes, why: str) -> None:
    with pytest.raises(DescriptorError, match=why) as refused:
        merge(templates, default, FRAGMENT)

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("lost", ["omero-fs begin", "omero-fs end"])
def test_half_of_the_marks_is_refused(lost: str) -> None:
    templates, default = merge(TEMPLATES, DEFAULT, FRAGMENT)
    damaged = b"\n".join(line for line in default.splitlines() if lost.encode() not in line)

    for act in (lambda: unmerge(templates, damaged), lambda: merge(templates, damaged, FRAGMENT)):
        with pytest.raises(DescriptorError, match=r"default\.xml.*line \d+: the marks"):
            act()


def test_marks_in_a_comment_are_no_marks() -> None:
    commented = DEFAULT.replace(b"<include", b"<!-- <?omero-fs begin?> -->\n<include")

    assert unmerge(*merge(TEMPLATES, commented, FRAGMENT)) == (TEMPLATES, commented)


def test_same_xml_looks_past_how_it_is_written() -> None:
    assert same_xml(DEFAULT, DEFAULT.replace(b'name="PYTHON"        value', b"name='PYTHON' value"))
    assert not same_xml(DEFAULT, DEFAULT.replace(b'value="python"', b'value="python3"'))


def test_the_fragment_knows_what_it_needs() -> None:
    fragment = read_fragment(FRAGMENT)

    assert fragment.property_sets == {
        "Basics",
        "PythonServer",
        "CppServer",
        "MultiThreaded",
        "Profile",
    }
    assert fragment.variables == {"OMERO_HOME", "PYTHON", "ROUTERPORT"}
    assert ("server-template", "FSServerTemplate") in fragment.defined


# Descriptors as no one would write them: any order, comments, blanks, quotes.

BLANKS = st.sampled_from(["", " ", "\n", "\n    ", "\n\t", "\n\n  ", "  \n", "\r\n  "])
COMMENTS = st.sampled_from(["", "", "<!---->", "<!-- <x> ?> -->", "<?php echo 1; ?>", "@a.b@"])
QUOTES = st.sampled_from(['"', "'"])


@st.composite
def element(draw: st.DrawFn, tag: str, attributes: dict[str, str]) -> str:
    written = "".join(
        f"{draw(st.sampled_from([' ', '  ', chr(10)]))}{name}={quote}{value}{quote}"
        for name, value in attributes.items()
        for quote in [draw(QUOTES)]
    )
    inner = draw(
        st.sampled_from([None, "", " ", "\n", "<!-- in -->", '<property name="a" value="&lt;"/>'])
    )
    if inner is None:
        return f"<{tag}{written}{draw(st.sampled_from(['', ' ']))}/>"
    return f"<{tag}{written}>{inner}</{tag}{draw(st.sampled_from(['', ' ']))}>"


@st.composite
def content(draw: st.DrawFn, elements: list[str]) -> str:
    pieces = [draw(BLANKS)]
    for one in elements:
        pieces += [draw(COMMENTS), draw(BLANKS), one, draw(BLANKS)]
    return "".join([*pieces, draw(COMMENTS), draw(BLANKS)])


@st.composite
def descriptors(draw: st.DrawFn) -> tuple[bytes, bytes]:
    stock = draw(st.lists(st.sampled_from(STOCK_TEMPLATES), unique=True))
    sets = ["Basics", "PythonServer", "CppServer", "MultiThreaded"]
    sets += draw(st.lists(st.just("DropBox"), max_size=1))
    parts = [draw(element("properties", {"id": name})) for name in sets]
    parts += [draw(element("server-template", {"id": name})) for name in (*stock, "BlitzTemplate")]
    templates = f"<icegrid>{draw(content(draw(st.permutations(parts))))}</icegrid>{draw(BLANKS)}"

    servers = [
        draw(element("server-instance", {"template": name, "x": "1"}))
        for name in draw(st.permutations([*stock, "BlitzTemplate"]))
    ]
    first = f'{draw(BLANKS)}<server-instance template="Glacier2Template"/>'
    node = f'<node name="master">{first}{draw(content(servers))}</node>'
    variables = [
        draw(element("variable", {"name": name, "value": "v"}))
        for name in ("OMERO_HOME", "PYTHON", "ROUTERPORT")
    ]
    inside = draw(st.permutations([*variables, '<properties id="Profile"/>', node]))
    application = f'<application name="OMERO">{draw(content(inside))}</application>'
    return templates.encode(), f"<icegrid>{application}</icegrid>".encode()


@settings(max_examples=examples(150), deadline=None, database=None)
@given(descriptors())
def test_any_descriptors_survive(documents: tuple[bytes, bytes]) -> None:
    merged = merge(*documents, FRAGMENT)

    assert unmerge(*merged) == documents
    assert merge(*merged, FRAGMENT) == merged
    assert [t for t in templates_in(merged[0]) if t != "BlitzTemplate"] == ALL_OURS
    assert [
        t for t in instances_in(merged[1]) if t not in ("BlitzTemplate", "Glacier2Template")
    ] == OURS


def released_servers() -> list[Path]:
    """Directories of descriptors of released OMERO.servers, where there are any."""
    named = os.environ.get("OMERO_FS_TEST_TEMPLATES")
    root = Path(named) if named else CHECKOUT.parent / "shared" / "data" / "omero-templates"
    return sorted(path.parent for path in root.rglob("templates.xml"))


@pytest.mark.skipif(not released_servers(), reason="no descriptors of a released OMERO.server here")
@pytest.mark.parametrize("directory", released_servers(), ids=str)
def test_released_servers(directory: Path) -> None:
    documents = (directory / "templates.xml").read_bytes(), (directory / "default.xml").read_bytes()

    merged = merge(*documents, FRAGMENT)

    assert unmerge(*merged) == documents
    assert merge(*merged, FRAGMENT) == merged
    assert set(ALL_OURS) <= set(templates_in(merged[0]))
    assert not {"MonitorServerTemplate", "FileServerTemplate"} & set(instances_in(merged[1]))
    assert set(OURS) <= set(instances_in(merged[1]))
