from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from omero_fs_plugin.dropbox.grouping import promises
from omero_fs_plugin.dropbox.grouping.promises import MOST, is_promising, promised
from omero_fs_plugin.errors import ImportRefused


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


FEW = 2000  # in place of MOST, where all of it has to be written
WAVES = {"NWavelengths": "1000", "NStagePositions": "1000", "NTimePoints": "1000"}
TOO_MUCH = {
    "time points": ("e.nd", nd(NTimePoints="20000000"), ["e_t1.TIF"]),
    "a count of 5,000 digits": ("e.nd", nd(NTimePoints="9" * 5000), ["e_t1.TIF"]),
    "waves, stages and times": ("e.nd", nd(**WAVES), ["e_w1_s1_t1.TIF"]),
    "a range": ("x.pattern", b"t<001-999999>.tif", []),
    "a range of nine digits": ("x.pattern", b"t<0-999999999>.tif", []),
    "two ranges": ("x.pattern", b"<1-1000>_<1-1000>.tif", []),
    "blocks without end": ("x.pattern", b"<1-100000>" * 5000, []),
    "ranges in one block": ("x.pattern", b"<" + b"1-100000," * 5000 + b"1>", []),
    "a long pattern": ("x.pattern", b"<a,b>" * 20_000, []),
    "two to the power of 10,000": ("x.pattern", b"<a,b>" * 10_000, []),
    "names": (
        "metadata.txt",
        b'{"Summary": {}, ' + b"".join(b'"FileName": "%d",' % n for n in range(FEW + 1)),
        [],
    ),
    "a long name": (
        "metadata.txt",
        b'{"Summary": {}, "FileName": "' + b"x" * (4 << 20) + b'"}',
        [],
    ),
    "images": (
        "Index.xml",
        b"<EvaluationInputData>" + b"<Image><URL>a</URL></Image>" * (FEW + 1),
        [],
    ),
    "elements in elements": ("Index.xml", b"<EvaluationInputData>" + b"<a>" * (1 << 18), []),
}


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_what_no_real_set_has_is_refused_before_it_is_multiplied_out(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promises, "MOST", FEW)
    name, data, present = TOO_MUCH[kind]
    tracemalloc.start()
    begun = time.process_time()
    try:
        with pytest.raises(ImportRefused) as refused:
            promised(name, data, present)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.final
    assert peak < 64 << 20, "bytes"
    assert time.process_time() - begun < 20


def test_as_many_as_a_set_may_have() -> None:
    half = MOST // 2
    text = nd(NWavelengths="2", NTimePoints=str(half))
    assert len(promised("e.nd", text, ["e_w1_t1.TIF"])) == MOST
    assert len(promised("x.pattern", f"<1-{half}><a,b>".encode(), [])) == MOST


def test_a_text_in_an_index_takes_no_square_of_its_length() -> None:
    data = b"<EvaluationInputData><Image><URL>" + b"x&#10;" * (1 << 19) + b"</URL></Image>"
    begun = time.process_time()
    names = promised("Index.xml", data + b"</EvaluationInputData>", [])
    assert len("".join(names)) <= 4096
    assert time.process_time() - begun < 20


@pytest.mark.parametrize("name", ["\ud800.tif", "a\0b", "é😀.tif", "\udcff"])
def test_names_in_json_come_as_they_are(name: str) -> None:
    data = json.dumps({"Summary": {}, "F": {"FileName": name}}).encode()
    assert promised("metadata.txt", data, []) == (name,)
