"""Inputs for parsers: real files of users, changed a little, and texts of their own words."""

from __future__ import annotations

import io
import struct
import tempfile
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from tests import samples

_NUMBERS = (0, 1, 2, 8, 255, 4096, 65535, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1)
_WORDS = (
    *(b"<", b">", b"<OME", b"</", b"/>", b"<!DOCTYPE a [", b"<!ENTITY a 'b'>", b"&a;", b"]>", b"'"),
    *(b'"NTimePoints", ', b'"NWavelengths", 99999999999', b"<0-9>", b"<a,b>", b"-", b":", b","),
    *(b'"FileName": "', b'"Summary"', b"{", b"[", b"\\ud800", b"\\u0000", b"\\", b"../", b"/etc/"),
    *(
        b"<URL>",
        b"<Image>",
        b"<State>",
        b"data file: ",
        b"LIST",
        b"%03d",
        b"\nend\n",
        b"source\tfile",
    ),
    *(b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"DICM", b"images=999999999\n", b"ImageJ=1\n"),
    *(
        b"<TiffData FirstT='9'>",
        b"<UUID FileName='x'>",
        b"<BinaryOnly MetadataFile='x'/>",
        b"\xff\xfe",
    ),
    *(
        b"\0",
        b"\n",
        b"\r",
        b" ",
        b"9" * 5000,
        b"a." * 500,
        b"[" * 500,
        b"<a>" * 500,
        b"\xf0\x9f\x98\x80",
    ),
)


@cache
def seeds(suffixes: tuple[str, ...]) -> tuple[bytes, ...]:
    """Files of the samples with these suffixes."""
    found = []
    for sample in samples.SAMPLES:
        with tempfile.TemporaryDirectory() as place:
            sample.make(Path(place))
            for path in sorted(Path(place).rglob("*")):
                if (
                    path.is_file()
                    and path.name.endswith(suffixes)
                    and path.stat().st_size < 1 << 16
                ):
                    found.append(path.read_bytes())
    return tuple(dict.fromkeys(found)) or (b"",)


@st.composite
def mutants(draw: st.DrawFn, suffixes: tuple[str, ...], *more: bytes) -> bytes:
    """One of the seeds, changed in a few places."""
    data = io.BytesIO(draw(st.sampled_from((*seeds(suffixes), *more)))).getvalue()
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(0, len(data))))
        length = draw(st.sampled_from((0, 1, 2, 4, 8, 12, 64)))
        kind = draw(st.sampled_from(("number", "word", "bytes", "cut", "repeat")))
        if kind == "number":
            order, code = draw(st.sampled_from("<>")), draw(st.sampled_from("HIQ"))
            value = draw(st.sampled_from(_NUMBERS)) & (1 << 8 * struct.calcsize(code)) - 1
            piece = struct.pack(order + code, value)
            data = data[:at] + piece + data[at + len(piece) :]
        elif kind == "word":
            data = data[:at] + draw(st.sampled_from(_WORDS)) + data[at + length :]
        elif kind == "bytes":
            data = data[:at] + draw(st.binary(max_size=16)) + data[at + length :]
        elif kind == "cut":
            data = data[:at]
        else:
            times = draw(st.sampled_from((2, 10, 200)))
            data = data[:at] + data[at : at + 64] * times + data[at + 64 :]
    return data
