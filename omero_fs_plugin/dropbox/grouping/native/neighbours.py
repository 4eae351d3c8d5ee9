"""Files which show that those around them belong to a set that only Bio-Formats can group.

For example, an index file of a plate beside a thousand TIFF files.  Each TIFF
could be imported alone, and that would break the set into pieces.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePath

from omero_fs_plugin.config.readers import PACKAGE, takes
from omero_fs_plugin.dropbox.grouping.formats.omexml import is_companion
from omero_fs_plugin.dropbox.grouping.userfiles import UserFiles, is_hidden
from omero_fs_plugin.errors import ImportRefused

from .headers import SUFFIXES
from .signatures import JAVA, suffix_of

_TIFF = frozenset({"tif", "tiff"})
_SNIFFED = 4096  # bytes


@dataclass(frozen=True)
class Marker:
    """One such kind of file."""

    name: str  # regular expression of its name, in lower case
    format: str
    reader: str  # simple name of the class
    claims: frozenset[str]  # suffixes of files that belong to it; empty: any suffix
    levels: int = 0  # how many levels of directories below its own may have parts
    words: tuple[bytes, ...] = ()  # it begins with one of them; empty: the name is enough
    ome: bool = False  # its parts may be OME-TIFF, which would be sets of their own

    @property
    def early(self) -> bool:
        """Whether it claims its parts before anything else is known of them."""
        return self.ome or not self.claims

    @property
    def canonical(self) -> str:
        return PACKAGE + self.reader

    def why(self, path: str) -> str:
        return (
            f"{PurePath(path).name} makes the files around it a set of {self.format}, which "
            f"cannot be made without Bio-Formats: {JAVA}"
        )


_CELLVOYAGER = (b"MeasurementDetail", b"MeasurementResult", b"MeasurementSamplePlate")
MARKERS = (
    Marker(r".*\.pattern", "a file pattern", "FilePatternReader", frozenset()),
    Marker(r".*\.(nd|scan)", "MetaMorph", "MetamorphReader", _TIFF | {"stk"}),
    Marker(r".*\.xdce", "InCell", "InCellReader", _TIFF | {"im"}),
    Marker(r".*\.htd", "CellWorx or MetaXpress", "CellWorxReader", _TIFF | {"pnl"}, 2),
    Marker(r".*\.lei", "Leica LEI", "LeicaReader", _TIFF),
    Marker(r".*\.(vms|vmu)", "Hamamatsu VMS", "HamamatsuVMSReader", frozenset({"jpg", "jpeg"})),
    Marker(r".*\.ndpis", "Hamamatsu NDPIS", "NDPISReader", frozenset({"ndpi"})),
    Marker(r".*\.afi", "Aperio AFI", "AFIReader", frozenset({"svs"})),
    Marker(r".*\.xlef", "Leica XLEF", "XLEFReader", _TIFF | {"jpg", "png", "bmp", "lof"}, 2),
    Marker(r".*\.(wpi|mlf|mrf)", "Yokogawa CV7000", "CV7000Reader", _TIFF, 1),
    Marker(r".*\.mdb", "LSM", "ZeissLSMReader", frozenset({"lsm"})),
    Marker(r".*\.omp2info", "Olympus tiles", "OlympusTileReader", frozenset({"oir", "vsi"}), 1),
    Marker(r".*\.(tim|zpo|ano)", "PerkinElmer", "PerkinElmerReader", _TIFF),
    Marker(r"experiment\.exp", "BD Pathway", "BDReader", _TIFF | {"bmp"}, 1),
    Marker(r".*\.(slx|sldx)", "Trestle", "TrestleReader", _TIFF | {"jpg"}),
    Marker(r"(.*_)?metadata\.txt", "Micro-Manager", "MicromanagerReader", _TIFF),
    Marker(r"experiment_descriptor\.(xml|dat)", "ScanR", "ScanrReader", _TIFF, 2),
    Marker(r"(data\.raw|lse\.xml)", "Bio-Rad PIC", "BioRadReader", frozenset({"pic"})),
    Marker(r".*\.txt", "Hitachi", "HitachiReader", _TIFF | {"jpg", "bmp"}, 0, (b"[SemImageFile]",)),
    Marker(
        r".*\.xml", "Operetta", "OperettaReader", _TIFF, 1, (b"EvaluationInputData", b"Harmony")
    ),
    Marker(r".*\.xml", "Columbus", "ColumbusReader", _TIFF, 2, (b"Columbus",)),
    Marker(
        r".*\.(xml|cfg)", "Prairie", "PrairieReader", _TIFF, 0, (b"PVScan", b"Prairie"), ome=True
    ),
    Marker(r".*\.xml", "CellVoyager", "CellVoyagerReader", _TIFF, 1, _CELLVOYAGER),
    Marker(r".*\.xml", "Leica TCS", "TCSReader", _TIFF, 0, (b"<LEICA", b"TCSNTV")),
    Marker(r".*\.xml", "BigDataViewer", "BDVReader", frozenset({"h5"}), 0, (b"SpimData",)),
)
_LEVELS = max(marker.levels for marker in MARKERS)
_NAMES = [re.compile(marker.name, re.DOTALL) for marker in MARKERS]
# A folder of parts; the index lies beside it.
_PARTS_FOLDER = re.compile(r"(?is)(.+\.oif)\.files")


def may_be_index(name: str) -> bool:
    """Whether a file of that name may say that files around it are its own."""
    lowered = name.lower()
    if is_hidden(lowered):
        return False
    return (
        is_companion(lowered)
        or suffix_of(lowered) in SUFFIXES
        or any(expression.fullmatch(lowered) for expression in _NAMES)
    )


class Neighbours:
    """The markers around files.  Each is read once."""

    def __init__(self, around: UserFiles, readers: Collection[str] | None) -> None:
        self._around = around
        self._readers = readers
        self._of: dict[str, Marker | None] = {}
        self._claims: dict[tuple[str, str, bool], tuple[str, Marker] | None] = {}
        self._in: dict[str, tuple[tuple[str, Marker], ...]] = {}

    def marker(self, path: str) -> Marker | None:
        """The marker that the file at `path` is, if it is one and its reader is wanted."""
        if path not in self._of:
            self._of[path] = self._look(path)
        return self._of[path]

    def claim(self, path: str, *, early: bool = False) -> tuple[str, Marker] | None:
        """The path and the kind of the marker that `path` belongs to, if there is one.

        `path` itself is not a marker.  `early`: ask only markers that claim their parts early.
         Raises OSError if a file that may be a marker cannot be read now.
        """
        asked = str(PurePath(path).parent), suffix_of(path), early
        if asked not in self._claims:
            self._claims[asked] = self._claim(*asked)
        return self._claims[asked]

    def _claim(self, directory: str, suffix: str, early: bool) -> tuple[str, Marker] | None:
        above = self._around.above(f"{directory}/any", _LEVELS)
        for level, directory in enumerate(above):
            for where, marker in self._markers(directory):
                of_its_kind = suffix in marker.claims or (early and not marker.claims)
                of_its_kind = of_its_kind and (marker.early or not early)
                if of_its_kind and level <= marker.levels:
                    return where, marker
        return None

    def folder(self, path: str) -> str:
        """The index of the parts folder that `path` lies in, empty if it lies in none."""
        directory = PurePath(path).parent
        found = _PARTS_FOLDER.fullmatch(directory.name)
        return str(directory.with_name(found[1])) if found else ""

    def _markers(self, directory: str) -> tuple[tuple[str, Marker], ...]:
        if directory not in self._in:
            paths = [str(PurePath(directory, name)) for name in self._around.names(directory)]
            self._in[directory] = tuple(
                (path, marker) for path in paths if (marker := self.marker(path)) is not None
            )
        return self._in[directory]

    def _look(self, path: str) -> Marker | None:
        name = PurePath(path).name.lower()
        if is_hidden(name):
            return None
        start: bytes | None = None
        for expression, marker in zip(_NAMES, MARKERS, strict=True):
            if not expression.fullmatch(name) or not takes(self._readers, marker.canonical):
                continue
            if marker.words and start is None:
                start = self._start(path)
            if not marker.words or any(word in (start or b"") for word in marker.words):
                return marker
        return None

    def _start(self, path: str) -> bytes:
        """The start of a file, without NUL, so that words in UTF-16 are found too.

        Raises OSError if it cannot be read now: nobody knows then to which set the files
        around it belong.
        """
        try:
            with self._around.open(path) as file:
                return file.read(_SNIFFED).replace(b"\0", b"")
        except (ImportRefused, FileNotFoundError):
            return b""  # no reader can use it as an index either
