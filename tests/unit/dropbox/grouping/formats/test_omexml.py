from __future__ import annotations

import contextlib
import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.dropbox.grouping.formats import omexml, tiff
from omero_fs_plugin.dropbox.grouping.formats.omexml import OmeXml, OmeXmlError

NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def ome(inner: str, uuid: str = "urn:uuid:A") -> bytes:
    return f'<?xml version="1.0"?><OME xmlns="{NAMESPACE}" UUID="{uuid}">{inner}</OME>'.encode()


def image(*tiffdata: str) -> str:
    return f'<Image ID="Image:0"><Pixels>{"".join(tiffdata)}</Pixels></Image>'


def part(name: str, uuid: str) -> str:
    given_name = f' FileName="{name}"' if name else ""
    return f"<TiffData><UUID{given_name}>{uuid}</UUID></TiffData>"


def tiff_of(description: bytes, *, big: bool = False, order: str = "<") -> bytes:
    """A TIFF of one directory that has nothing but a description."""
    mark = b"II" if order == "<" else b"MM"
    text = description + b"\0"
    if big:
        head = mark + struct.pack(order + "HHHQ", 43, 8, 0, 16)
        entry = struct.pack(order + "QHHQQQ", 1, 270, 2, len(text), 16 + 8 + 20 + 8, 0)
    else:
        head = mark + struct.pack(order + "HI", 42, 8)
        entry = struct.pack(order + "HHHIII", 1, 270, 2, len(text), 8 + 2 + 12 + 4, 0)
    return head + entry + text


def companion(data: bytes) -> OmeXml:
    return omexml.of_companion(io.BytesIO(data))


def test_files_are_told_once_in_their_order() -> None:
    found = companion(
        ome(
            image(part("b.ome.tif", "urn:uuid:B"), part("a.ome.tif", "urn:uuid:A"))
            + image(part("b.ome.tif", "urn:uuid:B"))
        )
    )
    assert list(found.files.items()) == [("b.ome.tif", "urn:uuid:b"), ("a.ome.tif", "urn:uuid:a")]
    assert (found.uuid, found.images, found.own_planes) == ("urn:uuid:a", 2, False)


def test_the_order_is_that_of_the_planes() -> None:
    def at(name: str, **first: int) -> str:
        where = " ".join(f'First{letter}="{number}"' for letter, number in first.items())
        return f'<TiffData {where}><UUID FileName="{name}">u</UUID></TiffData>'

    blocks = [at("z1", Z=1), at("c1", C=1), at("z0"), at("c1z1", C=1, Z=1), at("z0", T=7)]
    of_order = {
        order: list(companion(ome(image(*blocks).replace("<Pixels", f"<Pixels {order}"))).files)
        for order in ("", 'DimensionOrder="XYCZT"')
    }
    assert of_order == {
        "": ["z0", "z1", "c1", "c1z1"],
        'DimensionOrder="XYCZT"': ["z0", "c1", "z1", "c1z1"],
    }


@pytest.mark.parametrize(
    "inner",
    [
        pytest.param(image("<TiffData/>"), id="a TiffData without a UUID"),
        pytest.param(image(), id="no TiffData"),
        pytest.param(image(part("b.tif", "b"), "<TiffData/>"), id="one of two"),
    ],
)
def test_planes_of_its_own(inner: str) -> None:
    assert companion(ome(inner)).own_planes


def test_a_part_that_has_a_uuid_alone() -> None:
    assert companion(ome(image(part("", "urn:uuid:Q")))).unnamed == ("urn:uuid:q",)


def test_binary_only_and_plate() -> None:
    found = companion(ome('<BinaryOnly MetadataFile="x.companion.ome" UUID="urn:uuid:C"/>'))
    assert (found.metadata_file, found.metadata_uuid) == ("x.companion.ome", "urn:uuid:c")
    assert companion(ome('<Plate ID="Plate:0"/>' + image())).plate


def test_prefixed_names_are_the_same() -> None:
    text = f'<q:OME xmlns:q="{NAMESPACE}"><q:BinaryOnly MetadataFile="m"/></q:OME>'
    assert companion(text.encode()).metadata_file == "m"
    found = omexml.of_tiff(io.BytesIO(tiff_of(text.encode())))
    assert found is not None and found.metadata_file == "m"


@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_in_a_tiff(big: bool, order: str) -> None:
    data = tiff_of(ome(image(part("a.ome.tif", "A"))), big=big, order=order)
    found = omexml.of_tiff(io.BytesIO(data))
    assert found is not None and list(found.files) == ["a.ome.tif"]


def test_a_tiff_that_has_none() -> None:
    assert omexml.of_tiff(io.BytesIO(tiff_of(b"ImageJ=1.53"))) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'<!DOCTYPE OME [<!ENTITY a "b">]>' + ome("")[21:], "document type"),
        (b"<OME/>", "not OME-XML"),
        (b'<html xmlns="x"/>', "not OME-XML"),
        (ome("")[:-3], "cannot be read"),
        (b'<?xml version="1.0" encoding="no-such-code"?><OME/>', "cannot be read"),
        (b'<?xml version="1.0" encoding="utf-7"?><OME/>', "cannot be read"),
        (b"", "cannot be read"),
    ],
    ids=["entities", "no namespace", "html", "cut", "encoding", "multibyte encoding", "empty"],
)
def test_what_is_not_taken(text: bytes, said: str) -> None:
    with pytest.raises(OmeXmlError, match=said):
        companion(text)


def test_too_much_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(omexml, "LIMIT", 100_000)
    file = io.BytesIO(ome("<a/>" * 100_000))
    with pytest.raises(OmeXmlError, match="more than 100000 bytes"):
        omexml.of_companion(file)
    assert file.tell() < 200_000
    with pytest.raises(OmeXmlError, match="at most 100000"):
        omexml.of_tiff(io.BytesIO(tiff_of(file.getvalue())))


@given(st.data())
def test_any_cut_or_change_is_told_as_what_it_is(data: st.DataObject) -> None:
    whole = bytearray(tiff_of(ome(image(part("a.ome.tif", "A"))), big=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(tiff.TiffError, OmeXmlError):
        omexml.of_tiff(io.BytesIO(whole[: data.draw(st.integers(0, len(whole)))]))
