from __future__ import annotations

import io
import json
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import pytest

from omero_fs_plugin.dropbox.grouping.native.neighbours import MARKERS, may_be_index
from omero_fs_plugin.dropbox.grouping.promises import said
from omero_fs_plugin.dropbox.grouping.promises.said import MOST, Index, Said
from omero_fs_plugin.dropbox.grouping.promises.table import (
    KINDS,
    depth_below,
    kind_of,
    may_promise,
)
from omero_fs_plugin.errors import ImportRefused
from tests import ended, indexes


def says(
    name: str, data: bytes, around: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> Said:
    """What an index says; `around`: names in the directories below its own."""
    kind = kind_of(name, data)
    if kind is None:
        return Said()
    return kind.says(Index(name, io.BytesIO(data), len(data), lambda below: around.get(below, ())))


def promised(name: str, data: bytes, present: Sequence[str]) -> tuple[str, ...]:
    return tuple(says(name, data, {"": present}).files)


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
    assert "its XML" in says("Index.xml", data).unfinished


def test_other_names_promise_nothing() -> None:
    assert not may_promise("a.tif")
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
    monkeypatch.setattr(said, "MOST", FEW)
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


@pytest.mark.parametrize("name", indexes.WHOLE)
def test_a_whole_index_promises_its_files(name: str) -> None:
    said = says(name, indexes.WHOLE[name], indexes.AROUND.get(name, {}))
    assert said.unfinished == ""
    assert tuple(said.files) == indexes.PROMISED.get(name, ())
    assert set(said.files.values()) <= {0, indexes.LENGTHS.get(name, 0)}


def test_each_kind_of_index_has_a_sample() -> None:
    assert {kind_of(name, data) for name, data in indexes.WHOLE.items()} == set(KINDS)


# Those that have no end of their own: what follows their names is counted, or looked at.
ENDLESS = {
    "x.pattern",
    *("x.lei", "x.oif", "s_C001.pty", "x.mrxs", "hitachi.txt"),
    *("x.vsi", "x.oir", "x.czi", "x.ics", "x.nhdr", "list.nhdr", "x.hdr", "analyze.hdr", "x.vmu"),
}


@pytest.mark.parametrize("name", sorted(set(indexes.WHOLE) - ENDLESS))
def test_an_index_that_grows_is_not_whole_at_any_length(name: str) -> None:
    data = indexes.WHOLE[name].rstrip()
    sure = 40  # bytes that show what it is
    last = {"Slidedat.ini": data.rindex(b"FILE_1") if b"FILE_1" in data else 0}.get(name)
    if name in ("x.vms", "x.ndpis"):  # a name that is cut short is a name; the others are counted
        last = data.rindex(b"ImageFile(1" if name == "x.vms" else b"Image1")
    for length in range(sure, last or len(data)):
        said = says(name, data[:length], indexes.AROUND.get(name, {}))
        if kind_of(name, data[:length]) and (said.files or length > len(data) // 2):
            assert said.unfinished, data[:length]


@pytest.mark.parametrize("name", sorted({name for kind in KINDS for name in kind.named}))
@pytest.mark.parametrize(
    "stem", ["a\nb", "\n", "a\r\u2028b", "%2e?#;=", "e\u0301\U0001f52c"], ids=ascii
)
def test_an_index_may_have_any_name(name: str, stem: str) -> None:
    own = name.replace("*", stem)
    assert may_promise(own) and depth_below(own) >= 0
    of_grouper = {marker.name.rpartition(".")[2] for marker in MARKERS}
    assert may_be_index(own) or name.rpartition(".")[2] not in of_grouper


def test_planes_in_a_series_whose_name_has_lines() -> None:
    text = nd(NTimePoints="2", NWavelengths="1", WaveName1='"DAPI"')
    present = ["a\nb.nd", "a\nb_w1DAPI_t1.TIF"]
    assert set(promised("a\nb.nd", text, present)) == {f"a\nb_w1DAPI_t{t}.TIF" for t in (1, 2)}


@pytest.mark.parametrize("make", [indexes.micromanager, indexes.micromanager_2])
def test_micromanager_with_fewer_frames_than_its_summary_says(make: Callable[..., bytes]) -> None:
    assert says("metadata.txt", make(3, 3)).unfinished == ""
    assert says("metadata.txt", make(2, 3)).unfinished == "it promises 3 frames, and 2 are there"


def test_micromanager_that_still_acquires() -> None:
    told = says("metadata.txt", indexes.micromanager(3, 3, end=""))
    assert told.unfinished == "its JSON has no end yet"
    assert len(told.files) == 3


def test_micromanager_whose_summary_says_no_number() -> None:
    text = b'{"Summary": {"Frames": "many", "Slices": null}, "FrameKey-0": {"FileName": "a.tif"}}'
    assert says("metadata.txt", text) == Said({"a.tif": 0})
    deep = b'{"Summary": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert says("metadata.txt", deep).unfinished == ""


def test_metaxpress_counts_wells_sites_and_waves() -> None:
    data = indexes.metaxpress()
    around = {"": indexes.METAXPRESS[1:]}
    assert says("x.htd", data, around).unfinished == (
        "it promises 8 images, and 1 of them, such as x_a01_s1_w1, are not there"
    )
    assert "8 of them" in says("x.htd", data, {"": ()}).unfinished
    other = {"": ("of another kind.tif",)}
    assert says("x.htd", data, other).unfinished == ""
    folders = {"": ("TimePoint_1",), "TimePoint_1": indexes.METAXPRESS}
    in_folder = dict.fromkeys((f"TimePoint_1/{name}" for name in indexes.METAXPRESS), 0)
    assert says("x.htd", data, folders) == Said(in_folder)
    folders["TimePoint_1"] = indexes.METAXPRESS[:-1]
    assert "such as TimePoint_1/x_b02_s2_w2" in says("x.htd", data, folders).unfinished
    two = data.replace(b'"TimePoints", 1', b'"TimePoints", 2')
    assert says("x.htd", two, folders).unfinished == "it promises 2 time points, and 1 are there"


@pytest.mark.parametrize(
    ("external", "around", "waits"),
    [
        (None, {}, True),
        (True, {}, True),
        (False, {}, False),
        (None, {"_x_": ("stack1",)}, True),
        (False, {"_x_": ("stack1",)}, True),
        (None, {"_x_": ("stack1", "stack2"), "_x_/stack1": ("frame_t.ets",)}, True),
        (None, {"_x_": ("stack1",), "_x_/stack1": ("frame_t.ets",)}, False),
    ],
    ids=[
        "nothing there", "its tag says more", "its tag says none", "no tiles", "no tiles, no tag",
        "tiles of one stack", "all there",
    ],
)  # fmt: skip
def test_a_vsi_awaits_its_tiles(
    external: bool | None, around: Mapping[str, Sequence[str]], waits: bool
) -> None:
    told = says("x.vsi", indexes.vsi(external), around).unfinished
    assert bool(told) == waits
    assert not waits or "_x_/" in told


def test_a_part_of_a_czi_awaits_the_first() -> None:
    assert promised("x(1).czi", ended.czi(3, part=1), []) == ("x.czi",)


def test_an_oif_awaits_its_images() -> None:
    told = says("x.oif", indexes.oif(), {"x.oif.files": ("s_C001.pty",)})
    assert told.unfinished == "the images of x.oif.files/ are not there yet"
