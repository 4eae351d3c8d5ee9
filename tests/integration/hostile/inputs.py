"""Files that a hostile user drops: one table.

Each function makes one input in a directory of its own, below the directory of amy; `zak`, beside
hers, is another user's, and `secret` lies outside both.  `became` is what DropBox makes of its
files, by their names: a state, and a part of the reason.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests import samples

FAILED, SKIPPED, WAITING, IMPORTED = "failed", "skipped", "waiting", "imported"
ALONE = "left alone"  # it is in no journal, and status names it
HIDDEN = "nowhere"  # as all files whose names begin with a dot
OUT = "not below"
NOT_TIFF = "cut short"

Make = Callable[["Place"], None]
Became = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Place:
    """Where an input is made."""

    here: Path  # below amy's directory
    amy: Path
    zak: Path  # has a.tif and t0.tif
    secret: Path  # a file outside, such as OMERO's config.xml

    def write(self, name: str, content: bytes | str) -> Path:
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


@dataclass(frozen=True)
class Input:
    """One of the table."""

    name: str
    make: Make
    became: Became
    # It is imported as it is, or is an archive of zeros: grouped, and not dropped into a DropBox.
    whole: bool = True
    seconds: float = field(default=30.0)  # that grouping it may take


INPUTS: list[Input] = []


def hostile(name: str, *, whole: bool = True, **became: tuple[str, str]) -> Callable[[Make], Make]:
    """Puts what it decorates into the table; names are written with `__` for a dot."""

    def put(make: Make) -> Make:
        told = {key.replace("__", "."): value for key, value in became.items()}
        INPUTS.append(Input(name, make, told, whole))
        return make

    return put


def many(cases: Mapping[str, tuple[Make, Became]]) -> None:
    """Puts several into the table."""
    for name, (make, became) in cases.items():
        INPUTS.append(Input(name, make, became))


# -- references out of the user's directory ---------------------------------------


def _companion(name: str) -> str:
    return samples.ome(samples.pixels(1, samples.part(0, name, 1)), 9)


def references() -> None:
    targets = {
        "the password file": "/../../../../../../../../../../etc/passwd",
        "another user's image": "../../zak/a.tif",
        "the configuration": "{secret}",
    }
    for what, target in targets.items():

        def at(place: Place, target: str = target) -> str:
            return target.format(secret=os.path.relpath(place.secret, place.here))

        def companion(place: Place, at: Callable[[Place], str] = at) -> None:
            place.write("x.companion.ome", _companion(at(place)))

        def ome_tiff(place: Place, at: Callable[[Place], str] = at) -> None:
            samples.tiff(place.here / "x.ome.tif", _companion(at(place)))

        def binary_only(place: Place, at: Callable[[Place], str] = at) -> None:
            samples.tiff(place.here / "x.ome.tif", samples.binary_only(at(place), 1, 9))

        def nrrd(place: Place, at: Callable[[Place], str] = at) -> None:
            place.write("x.nhdr", samples.nrrd(at(place)))

        def pattern(place: Place, at: Callable[[Place], str] = at) -> None:
            place.write("x.pattern", at(place) + "<0-1>")

        def micromanager(place: Place, at: Callable[[Place], str] = at) -> None:
            place.write("metadata.txt", _micromanager(at(place)))

        def harmony(place: Place, at: Callable[[Place], str] = at) -> None:
            place.write("Index.xml", _harmony(at(place)))

        many(
            {
                f"a companion that names {what}": (
                    companion,
                    {"x.companion.ome": (FAILED, OUT)},
                ),
                f"an OME-TIFF that names {what}": (ome_tiff, {"x.ome.tif": (FAILED, OUT)}),
                f"an OME-TIFF whose metadata is {what}": (
                    binary_only,
                    {"x.ome.tif": (FAILED, OUT)},
                ),
                f"a NRRD header that names {what}": (nrrd, {"x.nhdr": (FAILED, OUT)}),
                f"a file pattern of {what}": (pattern, {"x.pattern": (WAITING, "Bio-Formats")}),
                f"a metadata.txt that names {what}": (
                    micromanager,
                    {"metadata.txt": (WAITING, "Bio-Formats")},
                ),
                f"an index of a plate that names {what}": (
                    harmony,
                    {"Index.xml": (WAITING, "Bio-Formats")},
                ),
            }
        )


def _micromanager(*names: str) -> str:
    frames = (
        f', "F-{number}": {{"FileName": {json.dumps(name)}}}' for number, name in enumerate(names)
    )
    return '{"Summary": {}' + "".join(frames) + "}"


def _harmony(*names: str) -> str:
    images = "".join(f"<Image><URL>{name}</URL></Image>" for name in names)
    return f"<EvaluationInputData xmlns='Harmony'>{images}</EvaluationInputData>"


references()


# -- links, FIFOs and what else is no file ----------------------------------------


@hostile("a link to another user's image", x__tif=(ALONE, "symbolic link"))
def link(place: Place) -> None:
    (place.here / "x.tif").symlink_to(place.zak / "a.tif")


@hostile("a link to itself", x__tif=(ALONE, "symbolic link"))
def loop(place: Place) -> None:
    (place.here / "x.tif").symlink_to("x.tif")


@hostile("a directory that is a link to the one above")
def directory_link(place: Place) -> None:
    (place.here / "again").symlink_to("..")


@hostile("a companion that names a link beside it", x__companion__ome=(FAILED, "symbolic link"))
def companion_link(place: Place) -> None:
    (place.here / "t.tif").symlink_to(place.zak / "a.tif")
    place.write("x.companion.ome", _companion("t.tif"))


@hostile("a NRRD header that names a link beside it", x__nhdr=(FAILED, "symbolic link"))
def nrrd_link(place: Place) -> None:
    (place.here / "x.raw").symlink_to(place.secret)
    place.write("x.nhdr", samples.nrrd("x.raw"))


@hostile("a companion that names a file below a link", x__companion__ome=(FAILED, "symbolic link"))
def below_link(place: Place) -> None:
    (place.here / "zak").symlink_to(place.zak)
    place.write("x.companion.ome", _companion("zak/a.tif"))


@hostile("a FIFO that is called as an image", x__tif=(ALONE, "not a file, but a FIFO"))
def fifo(place: Place) -> None:
    os.mkfifo(place.here / "x.tif")


@hostile("a FIFO that a NRRD header names", x__nhdr=(FAILED, "not a regular file"))
def nrrd_fifo(place: Place) -> None:
    os.mkfifo(place.here / "x.raw")
    place.write("x.nhdr", samples.nrrd("x.raw"))


@hostile("a FIFO that a companion names", x__companion__ome=(FAILED, "not a regular file"))
def companion_fifo(place: Place) -> None:
    os.mkfifo(place.here / "t.tif")
    place.write("x.companion.ome", _companion("t.tif"))


@hostile("a FIFO that is called as an index", x__tif=(IMPORTED, ""))
def index_fifo(place: Place) -> None:
    os.mkfifo(place.here / "Index.xml")
    samples.tiff(place.here / "x.tif")


@hostile("a FIFO that is called as a log", x__dv=(FAILED, "not a regular file"))
def log_fifo(place: Place) -> None:
    samples.deltavision(place.here)
    for path in list(place.here.iterdir()):
        path.rename(place.here / "x.dv") if path.suffix == ".dv" else path.unlink()
    os.mkfifo(place.here / "x.dv.log")


@hostile("a FIFO that is called as a sidecar", x__tif=(WAITING, "not a regular file"))
def sidecar_fifo(place: Place) -> None:
    os.mkfifo(place.here / "omero-fs.toml")
    samples.tiff(place.here / "x.tif")


@hostile("a sidecar that is a link", x__tif=(WAITING, "symbolic link"))
def sidecar_link(place: Place) -> None:
    (place.here / "omero-fs.toml").symlink_to(place.secret)
    samples.tiff(place.here / "x.tif")


@hostile("a socket that is called as an image", x__tif=(ALONE, "not a file, but a FIFO"))
def a_socket(place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        before = Path.cwd()
        os.chdir(place.here)  # a socket's path has at most 107 bytes
        try:
            one.bind("x.tif")
        finally:
            os.chdir(before)


@hostile("a directory that is called as an image")
def directory(place: Place) -> None:
    (place.here / "x.tif").mkdir()


# -- what is multiplied out --------------------------------------------------------

# Each text is made when it is written: the largest are megabytes, which every process that collects
# the tests would make.
_FORMS: dict[str, tuple[str, Callable[[], str]]] = {
    "an .nd of 20 million time points": ("x.nd", lambda: '"NTimePoints", 20000000\r\n'),
    "an .nd of 5,000 digits": ("x.nd", lambda: f'"NTimePoints", {"9" * 5000}\r\n'),
    "an .nd of waves, stages and times": (
        "x.nd",
        lambda: '"NWavelengths", 1000\r\n"NStagePositions", 1000\r\n"NTimePoints", 1000\r\n',
    ),
    "a file pattern of a million": ("x.pattern", lambda: "t<001-999999>.tif"),
    "a file pattern of nine digits": ("x.pattern", lambda: "t<0-999999999>.tif"),
    "a file pattern of two ranges": ("x.pattern", lambda: "<1-9999>_<1-9999>.tif"),
    "a file pattern of many ranges": ("x.pattern", lambda: "<1-100000>" * 5000),
    "a file pattern of 2 to the power of 10,000": ("x.pattern", lambda: "<a,b>" * 10_000),
    "a file pattern of a megabyte": ("x.pattern", lambda: "<1>" * (1 << 18)),
    "a file pattern of open brackets": ("x.pattern", lambda: "<" * 60_000),
    "a metadata.txt of 300,000 names": (
        "metadata.txt",
        lambda: _micromanager(*(f"{n}.tif" for n in range(300_000))),
    ),
    "a metadata.txt with a name of 8 MB": ("metadata.txt", lambda: _micromanager("x" * (8 << 20))),
    "a metadata.txt of 100,000 brackets": (
        "metadata.txt",
        lambda: '{"Summary": ' + "[" * 100_000,
    ),
    "a metadata.txt with half of a pair": ("metadata.txt", lambda: _micromanager("\ud800.tif")),
    "a metadata.txt with a NUL": ("metadata.txt", lambda: _micromanager("a\0b.tif")),
    "a metadata.txt of backslashes": (
        "metadata.txt",
        lambda: '{"Summary": {}, "FileName": "' + "\\" * (4 << 20),
    ),
    "an index of 300,000 images": ("Index.xml", lambda: _harmony(*["a.tif"] * 300_000)),
    "an index of a million elements in elements": (
        "Index.xml",
        lambda: "<EvaluationInputData xmlns='Harmony'>" + "<a>" * (1 << 20),
    ),
    "an index with a text of 20 MB": ("Index.xml", lambda: _harmony("x" * (20 << 20))),
    "an index of entities that grow": (
        "Index.xml",
        lambda: (
            "<!DOCTYPE x [<!ENTITY a 'Harmony'>"
            + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 20))
            + "]><EvaluationInputData>&a19;</EvaluationInputData>"
        ),
    ),
}


def _as_held(name: str, content: Callable[[], str]) -> tuple[Make, Became]:
    """Beside a TIFF: without Bio-Formats both are held, whatever is in it."""

    def make(place: Place) -> None:
        place.write(name, content().encode("utf-8", "surrogatepass"))
        samples.tiff(place.here / "x_t1.tif")

    return make, {name: (WAITING, "Bio-Formats"), "x_t1.tif": (WAITING, "Bio-Formats")}


many({what: _as_held(*form) for what, form in _FORMS.items()})


# -- OME-XML -----------------------------------------------------------------------


def _tiffdata(number: int, name: str = "{n}.tif") -> str:
    return "".join(
        f'<TiffData FirstT="{n}"><UUID FileName="{name.format(n=n)}">urn:{n}</UUID></TiffData>'
        for n in range(number)
    )


_LAUGHS = (
    "<!DOCTYPE OME [<!ENTITY a 'ha'>"
    + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 20))
    + "]>"
)
_OME = f'<OME xmlns="{samples.OME}">'
_XML = {
    "a companion of 300,000 names": (
        lambda: samples.ome(samples.pixels(1, _tiffdata(300_000)), 9),
        "names more than",
    ),
    "a companion of elements in elements": (lambda: _OME + "<a>" * (1 << 20), "elements deep"),
    "a companion with an order of a megabyte": (
        lambda: samples.ome(samples.pixels(1, _tiffdata(5)), 9).replace("XYZCT", "T" * (1 << 20)),
        "waits for",
    ),
    "a companion with a number of 5,000 digits": (
        lambda: samples.ome(
            samples.pixels(1, _tiffdata(2)).replace('FirstT="1"', f'FirstT="{"1" * 5000}"'), 9
        ),
        "cannot be read",
    ),
    "a companion with a name of 8 MB": (
        lambda: _companion("x" * (8 << 20)),
        "a name of more than",
    ),
    "a companion with a UUID of 8 MB": (
        lambda: _companion("a.tif").replace("urn:uuid", "u" * (8 << 20)),
        "more than 4096 characters",
    ),
    "a companion of entities that grow": (
        lambda: _LAUGHS + _OME + "&a19;</OME>",
        "document type or entities",
    ),
    "a companion that fetches": (
        lambda: "<!DOCTYPE OME SYSTEM 'file:///etc/passwd'>" + _OME + "</OME>",
        "document type or entities",
    ),
    "a companion in an encoding that nobody has": (
        lambda: '<?xml version="1.0" encoding="no-such"?>' + _OME + "</OME>",
        "cannot be read",
    ),
    "a companion in UTF-7": (
        lambda: '<?xml version="1.0" encoding="utf-7"?>' + _OME + "</OME>",
        "cannot be read",
    ),
    "a companion that is cut": (lambda: _companion("a.tif")[:-20], "cannot be read"),
    "a companion of nothing": (lambda: "", "cannot be read"),
    "a companion of 80 MB": (lambda: _OME + " " * (80 << 20), "are not read"),
    "a companion with a name that no file has": (lambda: _companion("a/" * 2040 + "x"), ""),
    "a companion with a name of 300 bytes": (lambda: _companion("x" * 300), "no file"),
}


def _as_companion(text: Callable[[], str], says: str) -> tuple[Make, Became]:
    state = FAILED if says == "no file" else WAITING
    return (
        lambda place: place.write("x.companion.ome", text()) and None,
        {"x.companion.ome": (state, says)},
    )


many({what: _as_companion(*xml) for what, xml in _XML.items()})


@hostile("an OME-TIFF of entities that grow", x__ome__tif=(FAILED, "document type or entities"))
def laughing_tiff(place: Place) -> None:
    samples.tiff(place.here / "x.ome.tif", _LAUGHS + _OME + "&a19;</OME>")


@hostile("two companions that name each other", a__companion__ome=(SKIPPED, "has none"))
def circle(place: Place) -> None:
    for one, other in ("ab", "ba"):
        text = samples.binary_only(f"{other}.companion.ome", 1, 9)
        place.write(f"{one}.companion.ome", text)


@hostile("an OME-TIFF that is its own metadata", x__ome__tif=(FAILED, ""))
def own_metadata(place: Place) -> None:
    samples.tiff(place.here / "x.ome.tif", samples.binary_only("x.ome.tif", 1, 1))


# -- TIFF --------------------------------------------------------------------------


def _ifd(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + body + struct.pack("<I", following)


def _little(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    return b"II*\0" + struct.pack("<I", 8) + _ifd(*entries, following=following)


_PLAIN = [(256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (262, 3, 1, 1)]
_TIFFS = {
    "a TIFF of nothing": (b"", "an empty file"),
    "a TIFF that is its header": (b"II*\0\x08\0\0\0", NOT_TIFF),
    "a TIFF without a directory": (b"II*\0\0\0\0\0", "no directory"),
    "a TIFF of 65,535 fields": (b"II*\0\x08\0\0\0\xff\xff", "would have"),
    "a TIFF whose directory is its header": (b"II*\0\0\0\0\0" + b"\0" * 64, "no directory"),
    "a TIFF with a description of 4 GB": (
        _little(*_PLAIN, (270, 2, 0xFFFFFFFF, 8)) + b"<OME" * 1024,
        "",
    ),
    "a TIFF with strips without number": (
        _little(*_PLAIN, (273, 4, 0xFFFFFFFF, 8), (279, 4, 0xFFFFFFFF, 8)),
        "would end at byte",
    ),
    "a BigTIFF that begins beyond the end": (
        b"II+\0\x08\0\0\0" + struct.pack("<Q", 1 << 63),
        "no directory can lie",
    ),
    "a BigTIFF of 2^63 fields": (
        b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1 << 63),
        "would have",
    ),
    "a TIFF of ImageJ's with a billion planes": (
        _little(*_PLAIN, (270, 2, 29, 200), (273, 4, 1, 8), (279, 4, 1, 256))
        + b"\0" * 110
        + b"ImageJ=1.5\nimages=999999999\n\0",
        "",
    ),
    "a TIFF of types that nobody knows": (
        _little((256, 99, 1, 16), (257, 0, 0xFFFFFFFF, 0), (65535, 65535, 0xFFFFFFFF, 0)),
        "",
    ),
}


def _as_tiff(content: bytes) -> Make:
    return lambda place: place.write("x.tif", content) and None


many({what: (_as_tiff(data), {"x.tif": ("any", says)}) for what, (data, says) in _TIFFS.items()})


@hostile("a TIFF whose directories go in a circle", x__tif=("any", ""))
def circling(place: Place) -> None:
    place.write("x.tif", _little(*_PLAIN, (273, 4, 1, 8), (279, 4, 1, 8), following=8))


@hostile("a TIFF of directories in directories, without end", whole=False)
def exploding(place: Place) -> None:
    """Each of 100,000 directories names 4,096 more, which all lie in one array."""
    step, number = 20, 100_000
    start = 64
    array = start + number * step
    directories = bytearray(b"II*\0" + struct.pack("<I", start) + b"\0" * (start - 8))
    for _ in range(number):
        directories += _ifd((330, 4, 4096, array))[:18].ljust(step, b"\0")
    offsets = struct.pack("<4096I", *(start + step * (n % number) for n in range(0, 409_600, 100)))
    place.write("x.tif", bytes(directories) + offsets)


@hostile("a TIFF of a million directories of 4,096 fields that overlap", whole=False)
def overlapping(place: Place) -> None:
    """Each field of a directory is the begin of another one."""
    row = struct.pack("<HHII", 4096, 1, 1, 0)
    place.write("x.tif", b"II*\0\x08\0\0\0" + b"\0\x10" + row * (1 << 17))


@hostile("a sparse TIFF of a terabyte", whole=False)
def sparse(place: Place) -> None:
    path = place.write("x.tif", _little(*_PLAIN, (273, 4, 1, 300), (279, 4, 1, 256)))
    os.truncate(path, 1 << 40)


@hostile("a TIFF whose strip is a zip bomb", whole=False)
def bomb(place: Place) -> None:
    packed = zlib.compress(b"\0" * (64 << 20), 9)
    entries = [(256, 4, 1, 65535), (257, 4, 1, 65535), (258, 3, 1, 8), (259, 3, 1, 8)]
    entries += [(262, 3, 1, 1), (273, 4, 1, 200), (278, 4, 1, 65535), (279, 4, 1, len(packed))]
    place.write("x.tif", _little(*entries).ljust(200, b"\0") + packed)


@hostile("a TIFF with a description that is a zip bomb of XML", whole=False)
def xml_bomb(place: Place) -> None:
    text = _OME + "<a b='" + " " * (60 << 20)
    samples.tiff(place.here / "x.tif", text)


# -- headers of text, and the rest --------------------------------------------------


@hostile("a NRRD header with a name that is not UTF-8", x__nhdr=(FAILED, "not UTF-8"))
def nrrd_bytes(place: Place) -> None:
    place.write("x.nhdr", samples.nrrd("NAME").replace(b"NAME", b"\xff\xfe.raw"))


@hostile("a NRRD header that names nothing", x__nhdr=(FAILED, ""))
def nrrd_empty(place: Place) -> None:
    place.write("x.nhdr", samples.nrrd("NAME").replace(b"NAME", b""))


@hostile("a NRRD header without end", x__nhdr=(FAILED, "does not end"))
def nrrd_endless(place: Place) -> None:
    place.write("x.nhdr", b"NRRD0004\n" + b"# x\n" * (1 << 18))


@hostile("a NRRD header that names itself", x__nhdr=(FAILED, "names itself"))
def nrrd_itself(place: Place) -> None:
    place.write("x.nhdr", samples.nrrd("x.nhdr"))


@hostile("an ICS of a million lines", x__ics=(WAITING, "waits for"))
def ics_endless(place: Place) -> None:
    place.write("x.ics", b"\t\nics_version\t1.0\n" + b"\n" * (1 << 20))


@hostile("pixels of an ICS that another header names", x__ids=("any", ""))
def ids(place: Place) -> None:
    place.write("x.ics", samples.ics("1.0"))
    place.write("y.ics", samples.ics("1.0"))
    place.write("x.ids", bytes(256))


@hostile("DICOM that is TIFF as well", x__dcm=("any", ""))
def dicom(place: Place) -> None:
    place.write("x.dcm", _little((256, 4, 1, 16), following=0xFFFFFF).ljust(128, b"\0") + b"DICM")


@hostile("noise that is called as images", x__tif=(FAILED, ""), y__czi=(FAILED, ""))
def noise(place: Place) -> None:
    for name in ("x.tif", "y.czi"):
        place.write(name, os.urandom(1 << 16))


@hostile("an image that is dated in the year 2300", x__tif=(IMPORTED, ""))
def far_ahead(place: Place) -> None:
    """Its ns since 1970 have more than 63 bits."""
    samples.tiff(place.here / "x.tif")
    os.utime(place.here / "x.tif", (10_413_792_000, 10_413_792_000))


@hostile("an image that is dated in the year 1901", x__tif=(IMPORTED, ""))
def long_ago(place: Place) -> None:
    samples.tiff(place.here / "x.tif")
    os.utime(place.here / "x.tif", (-(2**31), -(2**31)))


# -- sidecars ----------------------------------------------------------------------

_SIDECARS = {
    "a sidecar whose key has 20,000 parts": ("a." * 20_000 + "a = 1", "a key of more than"),
    "a sidecar of brackets in brackets": ("tags = " + "[" * 60_000, "nested more than"),
    "a sidecar of 7,000 tags": (f"tags = {[str(n) for n in range(7_000)]}", "values"),
    "a sidecar of 101 tags": (f"tags = {[str(n) for n in range(101)]}", "at most 100"),
    "a sidecar of 80 KB": ("#" * 80_000, "larger than 64 KiB"),
    "a sidecar with a number of 60,000 digits": ("[key_value]\na = " + "9" * 60_000, "not TOML"),
    "a sidecar with a NUL": ('name = "a\\u0000"', "NUL"),
    "a sidecar with an expression that takes for ever": (
        "target = 'regex:(?<Container1>(a+)+)b'",
        "regex: is for",
    ),
    "a sidecar that is not UTF-8": ("\udcff\udcfe", "not UTF-8"),
}


def _as_sidecar(text: str, says: str) -> tuple[Make, Became]:
    def make(place: Place) -> None:
        place.write("omero-fs.toml", text.encode("utf-8", "surrogateescape"))
        samples.tiff(place.here / "x.tif")

    return make, {"x.tif": (WAITING, says)}


many({what: _as_sidecar(*sidecar) for what, sidecar in _SIDECARS.items()})


# -- names -------------------------------------------------------------------------

_NAMES = {
    "a name with a line that is forged": "x\n2026-01-01 00:00:00,000 INFO  fileset 7: imported.tif",
    "a name that clears the terminal": "\x1b[2J\x1b]0;owned\x07x.tif",
    "a name that turns the direction": "x\u202efit.exe.tif",
    "a name that is an option": "--delete.tif",
    "a name that is a command": "$(touch owned);`touch owned`|x.tif",
    "a name of backslashes": "..\\..\\x.tif",
    "a name of 255 bytes": "x" * 251 + ".tif",
    "a name with blanks around it": " x .tif",
    "a name of dots": "....tif",
    "a name with a percent sign": "%s%n%(message)s{0}.tif",
    "a name that is no character": "\ufffe\uffff.tif",
    "a name of quotes": "'\"; drop table fileset; --.tif",
}


def _as_name(name: str) -> tuple[Make, Became]:
    return (
        lambda place: samples.tiff(place.here / name),
        {name: (HIDDEN if name.startswith(".") else IMPORTED, "")},
    )


many({what: _as_name(name) for what, name in _NAMES.items()})


@hostile("a name that is not UTF-8", **{"x\\xff__tif": (ALONE, "not valid UTF-8")})
def not_utf8(place: Place) -> None:
    samples.tiff(place.here / "x.tif")
    (place.here / "x.tif").rename(place.here / os.fsdecode(b"x\xff.tif"))
