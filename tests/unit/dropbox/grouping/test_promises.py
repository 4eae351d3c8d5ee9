from __future__ import annotations

import pytest

from omero_fs_plugin.dropbox.grouping.promises import is_promising, promised


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("t<0-2>.tif", ["t0.tif", "t1.tif", "t2.tif"]),
        ("t<08-10>.tif", ["t08.tif", "t09.tif", "t10.tif"]),
        ("t<0-6:3>.tif", ["t0.tif", "t3.tif", "t6.tif"]),
        ("<R,G>_<a-b>.tif", ["R_a.tif", "R_b.tif", "G_a.tif", "G_b.tif"]),
        ("/d/x<1,5-6>", ["/d/x1", "/d/x5", "/d/x6"]),
        ("plain.tif", []),
        (r"t[0-2]\.tif", []),
        ("t<0-2>.tif\nt<3-4>.tif", []),
        ("t<5-2>.tif", []),
        ("t<0-999999999>.tif", []),
        ("", []),
    ],
)
def test_patterns(text: str, names: list[str]) -> None:
    assert list(promised("x.pattern", text.encode(), [])) == names


def nd(**fields: str) -> bytes:
    return "\r\n".join(f'"{key}", {value}' for key, value in fields.items()).encode()


def test_metamorph_waves_stages_and_times() -> None:
    text = nd(NWavelengths="2", NStagePositions="2", NTimePoints="2", WaveName1='"DAPI"')
    present = ["e.nd", "e_w1DAPI_s1_t1.TIF", "e_w2GFP_s2_t2.TIF", "e_thumb.jpg", "other_w1.TIF"]
    assert set(promised("e.nd", text, present)) == {
        f"e_w{wave}_s{s}_t{t}.TIF" for wave in ("1DAPI", "2GFP") for s in (1, 2) for t in (1, 2)
    }


def test_metamorph_waves_named_in_the_nd_alone() -> None:
    text = nd(NWavelengths="2", WaveName1='"A"', WaveName2='"B"', WaveInFileName="TRUE")
    assert promised("e.nd", text, ["e_w1A.stk"]) == ("e_w1A.stk", "e_w2B.stk")


@pytest.mark.parametrize(
    ("fields", "present"),
    [
        ({"NTimePoints": "2"}, []),
        ({"NTimePoints": "2"}, ["e_t1.TIF", "e_w1_t2.TIF"]),
        ({"NTimePoints": "2", "WavePointsCollected1": "1"}, ["e_t1.TIF"]),
        ({}, ["e_t1.TIF"]),
    ],
    ids=["nothing there", "two ways of naming", "not at all times", "no count"],
)
def test_metamorph_names_that_cannot_be_known(fields: dict[str, str], present: list[str]) -> None:
    assert promised("e.nd", nd(**fields), present) == ()


def test_micromanager() -> None:
    text = b'{"Summary": {}, "F-0": {"FileName": "a \\"b\\".tif"}, "F-1": {"FileName": "c.tif"}}'
    assert promised("metadata.txt", text, []) == ('a "b".tif', "c.tif")
    assert promised("metadata.txt", b"someone's notes", []) == ()


def index(root: str = "EvaluationInputData") -> bytes:
    images = "".join(
        f"<Image><State>{state}</State><URL>{name}</URL></Image>"
        for name, state in (("a.tiff", "Ok"), ("b.tiff", "Failed"), ("c.tiff", "Ok"))
    )
    return f"<{root} xmlns='x'><Wells><Image id='1'/></Wells>{images}</{root}>".encode()


def test_harmony() -> None:
    assert promised("Index.idx.xml", index(), []) == ("a.tiff", "c.tiff")
    assert promised("Index.xml", index("Something"), []) == ()


@pytest.mark.parametrize(
    "data", [index()[:-5], b"<!DOCTYPE a []>" + index()], ids=["cut", "document type"]
)
def test_harmony_that_is_not_taken(data: bytes) -> None:
    with pytest.raises(ValueError, match="its XML"):
        promised("Index.xml", data, [])


def test_other_names_promise_nothing() -> None:
    assert not is_promising("a.tif")
    assert promised("a.tif", b"t<0-2>.tif", []) == ()
