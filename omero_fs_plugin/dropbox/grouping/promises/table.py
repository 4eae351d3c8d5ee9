"""What each format promises, where it lies, and how that is known.

One table.  `completeness` goes by it; ``docs/sets.rst`` and the tests of sets are made from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from . import binaries, inis, jsons, text, xmls
from .said import Index, Said

SNIFFED = 4096  # bytes of an index that show its format
_TIFF = ("tif", "tiff")
_BIOFORMATS = "Bio-Formats' list of dataset structures"
_OPENSLIDE = "OpenSlide's description of the format"


@dataclass(frozen=True)
class Kind:
    """One kind of index."""

    format: str  # for people
    pattern: str  # of its name, in lower case
    promises: str  # what it promises, and where; for the docs
    source: str  # of this rule; for the docs
    says: Callable[[Index], Said]
    # Suffixes of the files that an index without its end may yet name: they are kept back.
    # "*": any.
    keeps: tuple[str, ...] = ()
    # Whether these are kept back too while a file is missing that it promises: that file names
    # others, or the end of the index cannot be seen.
    nested: bool = False
    # Whether its reader may take it alone, for an overview; then it is no image of its set.
    overview: bool = False
    depth: int = 0  # how many directories below its own these may lie
    # The directory whose whole tree must be quiet: nobody can know whether more is to come.
    # "{name}" and "{stem}" are those of the index; "." is its own directory, for files of
    # `keeps`, or else for its numbered parts.  Empty: none.
    tree: str = ""
    words: tuple[bytes, ...] = ()  # it begins with one of them; empty: the name is enough

    @cached_property
    def name(self) -> re.Pattern[str]:
        """Its names, in lower case.  A name may have lines."""
        return re.compile(self.pattern, re.DOTALL)

    @property
    def named(self) -> tuple[str, ...]:
        """Its names, for people: ``*.vms`` and ``*.vmu`` for ``.*\\.(vms|vmu)``."""
        names = [self.pattern]
        while any("(" in name for name in names):
            names = [one for name in names for one in _alternatives(name)]
        shown = (name.replace(".*", "*").replace("\\.", ".") for name in names)
        return tuple(dict.fromkeys(shown))


def _alternatives(pattern: str) -> list[str]:
    found = re.search(r"\(([^()]*)\)(\??)", pattern)
    if found is None:
        return [pattern]
    chosen = [*([""] if found[2] else []), *found[1].split("|")]
    return [pattern[: found.start()] + one + pattern[found.end() :] for one in chosen]


_XML = "no names; its XML must have its end"
_NONE = "no names that can be read here"
ANY_DEPTH = 64
_VOYAGER = (b"MeasurementDetail", b"MeasurementResult", b"MeasurementSamplePlate")
_HARMONY = r"index(\.(idx|ref|flex))?\.xml"

KINDS = (
    Kind(
        "file pattern", r".*\.pattern", "each name that the pattern stands for, beside it",
        "Bio-Formats' documentation of pattern files", text.pattern, keeps=("*",),
    ),
    Kind(
        "MetaMorph", r".*\.nd",
        "each wave, stage and time point, beside it; its last line is EndFile",
        _BIOFORMATS, text.metamorph, keeps=("stk", *_TIFF),
    ),
    Kind(
        "Micro-Manager", r"(.*_)?metadata\.txt",
        "each FileName, beside it; as many frames as Summary says; all braces closed",
        "Micro-Manager's user guide", jsons.micromanager, keeps=_TIFF,
    ),
    Kind(
        "Operetta, Opera Phenix (Harmony)", _HARMONY,
        "the URL of each Image whose State is Ok, beside it or in a directory below it",
        _BIOFORMATS, xmls.Harmony.says, keeps=_TIFF, depth=ANY_DEPTH, tree=".",
    ),
    Kind(
        "Columbus", r"(measurementindex|imageindex)\.columbusidx\.xml", _XML, _BIOFORMATS,
        xmls.XmlIndex.says, keeps=_TIFF, depth=2, tree=".",
    ),
    Kind(
        "cellSens VSI", r".*\.vsi",
        "``_NAME_/stack*/*.ets``, unless its own tag says that there is none",
        _BIOFORMATS, binaries.vsi, depth=2, tree="_{stem}_", overview=True,
    ),
    Kind(
        "Olympus OIR", r".*\.oir", "``NAME_00001`` and so on, without a gap, beside it",
        _BIOFORMATS, binaries.oir, tree=".",
    ),
    Kind(
        "Olympus OIF", r".*\.oif",
        "the files that it names, and images, in ``NAME.oif.files/``",
        _BIOFORMATS, inis.oif, depth=1, tree="{name}.files",
    ),
    Kind(
        "Olympus OIF, one plane", r".*\.pty", "the image that DataName names, beside it",
        _BIOFORMATS, inis.pty,
    ),
    Kind(
        "Olympus tiles", r".*\.omp2info", _XML, _BIOFORMATS,
        xmls.XmlIndex.says, keeps=("oir", "vsi"), depth=1, tree=".",
    ),
    Kind(
        "Leica LEI", r".*\.lei", "each TIFF that it names, beside it", _BIOFORMATS,
        binaries.leica, keeps=_TIFF,
    ),
    Kind(
        "Leica XLEF", r".*\.(xlef|xlcf|xlif)", "the File of each Reference, Frame and Block",
        _BIOFORMATS, xmls.Leica.says, keeps=(*_TIFF, "lof", "jpg", "png", "bmp"), depth=2,
        nested=True,
    ),
    Kind(
        "Leica TCS", r".*\.xml", _XML, _BIOFORMATS, xmls.XmlIndex.says,
        keeps=_TIFF, words=(b"<LEICA", b"TCSNTV"),
    ),
    Kind(
        "MIRAX", r".*\.mrxs", "``NAME/Slidedat.ini``", _OPENSLIDE, binaries.mirax,
        depth=1, tree="{stem}", overview=True,
    ),
    Kind(
        "MIRAX, Slidedat.ini", r"slidedat\.ini",
        "INDEXFILE, and FILE_COUNT data files, beside it", _OPENSLIDE, inis.mirax,
    ),
    Kind(
        "Hamamatsu NDPIS", r".*\.ndpis", "NoImages files, Image0 and so on, beside it",
        _BIOFORMATS, inis.ndpis, keeps=("ndpi",), nested=True,
    ),
    Kind(
        "Hamamatsu VMS, VMU", r".*\.(vms|vmu)",
        "NoJpegColumns times NoJpegRows times NoLayers images, MapFile and MacroImage, beside it",
        _OPENSLIDE, inis.vms, keeps=("jpg", "jpeg", "ngr"), nested=True,
    ),
    Kind(
        "Aperio AFI", r".*\.afi", "the Path of each Image, beside it", _BIOFORMATS,
        xmls.Aperio.says, keeps=("svs",),
    ),
    Kind(
        "CellWorx, MetaXpress", r".*\.htd",
        "each well, site and wave that is chosen, beside it or in ``TimePoint_1`` and so on; "
        "its last line is EndFile",
        _BIOFORMATS, text.metaxpress, keeps=(*_TIFF, "pnl"), depth=2, tree=".",
    ),
    Kind(
        "InCell", r".*\.xdce", "the filename of each Image, beside it", _BIOFORMATS,
        xmls.InCell.says, keeps=(*_TIFF, "im"), tree=".",
    ),
    Kind(
        "Yokogawa CV7000, plate", r".*\.wpi",
        "MeasurementData.mlf and MeasurementDetail.mrf, beside it", _BIOFORMATS,
        xmls.YokogawaPlate.says, keeps=_TIFF, nested=True,
    ),
    Kind(
        "Yokogawa CV7000, images", r".*\.mlf", "the file of each record of the type IMG, beside it",
        _BIOFORMATS, xmls.Yokogawa.says, keeps=_TIFF,
    ),
    Kind(
        "Yokogawa CV7000, details", r".*\.(mrf|mes)", _XML, _BIOFORMATS,
        xmls.XmlIndex.says, keeps=_TIFF,
    ),
    Kind(
        "CellVoyager", r".*\.xml", _XML, _BIOFORMATS,
        xmls.XmlIndex.says, keeps=_TIFF, depth=1, tree=".", words=_VOYAGER,
    ),
    Kind(
        "ScanR", r"experiment_descriptor\.xml", _XML,
        _BIOFORMATS, xmls.XmlIndex.says, keeps=_TIFF, depth=2, tree=".",
    ),
    Kind(
        "Flex", r".*\.(mea|res)", _XML, _BIOFORMATS, xmls.XmlIndex.says,
        keeps=("flex",), tree=".",
    ),
    Kind(
        "Prairie", r".*\.xml", "the filename of each File, beside it", _BIOFORMATS,
        xmls.Prairie.says, keeps=_TIFF, words=(b"PVScan",),
    ),
    Kind(
        "BigDataViewer", r".*\.xml", "the file of hdf5, beside it",
        "BigDataViewer's documentation", xmls.BigDataViewer.says, keeps=("h5",),
        words=(b"SpimData",),
    ),
    Kind(
        "Hitachi", r".*\.txt", "ImageName, beside it", _BIOFORMATS, inis.hitachi,
        words=(b"[SemImageFile]",),
    ),
    Kind(
        "CZI in parts", r".*\.czi", "``NAME(1).czi`` up to the last part that it lists, beside it",
        "ZEISS' description of the CZI format", binaries.czi,
    ),
    Kind(
        "ICS 1", r".*\.ics", "``NAME.ids`` beside it, with as many bytes as it says",
        "the description of ICS", binaries.ics,
    ),
    Kind(
        "NRRD with detached data", r".*\.(nhdr|nrrd)",
        "the file, or the list of files, of the pixels, with as many bytes as it says",
        "teem's definition of NRRD", binaries.nrrd, keeps=("raw",),
    ),
    Kind(
        "NIfTI in two files, Analyze 7.5", r".*\.hdr",
        "``NAME.img`` beside it, with as many bytes as it says",
        "NIfTI-1's header file nifti1.h", binaries.nifti,
    ),
    Kind(
        "BD Pathway", r"experiment\.exp", _NONE, _BIOFORMATS, text.nothing,
        keeps=(*_TIFF, "bmp"), depth=1, tree=".",
    ),
    Kind(
        "PerkinElmer UltraVIEW", r".*\.(tim|zpo|ano)", _NONE, _BIOFORMATS, text.nothing,
        keeps=_TIFF, tree=".",
    ),
    Kind(
        "Trestle", r".*\.(slx|sldx)", _NONE, _BIOFORMATS, text.nothing, keeps=(*_TIFF, "jpg"),
        tree=".",
    ),
    Kind(
        "LSM with its database", r".*\.mdb", _NONE + "; it ends with a page", _BIOFORMATS,
        binaries.mdb, keeps=("lsm",), tree=".",
    ),
)  # fmt: skip


# An index in XML that nobody has written yet: it may become any of them.
UNWRITTEN = Kind(
    "an index that is not written yet", r".*\.xml", _XML, "", xmls.XmlIndex.says,
    keeps=(*_TIFF, "h5"), depth=2,
)  # fmt: skip


# Any of them at once: it is asked of each file, and nearly none is an index.
_ANY = re.compile("|".join(f"(?:{kind.pattern})" for kind in KINDS), re.DOTALL)


def may_promise(name: str) -> bool:
    """Whether a file of this name may promise others.  A hidden file is no index."""
    return not name.startswith(".") and _ANY.fullmatch(name.lower()) is not None


# Of indexes, those that may have images of their own.
_WITH_IMAGES = ("czi", "hdr", "ics", "mrxs", "nrrd", "vsi", *_TIFF)


def only_promises(name: str) -> bool:
    """Whether a file of this name is an index and has no images of its own."""
    return may_promise(name) and name.lower().rpartition(".")[2] not in _WITH_IMAGES


def depth_below(name: str) -> int:
    """How many directories below an index of this name its files may lie; -1 if it is none."""
    if not may_promise(name):
        return -1
    lowered = name.lower()
    return max((kind.depth for kind in KINDS if kind.name.fullmatch(lowered)), default=-1)


def kind_of(name: str, head: bytes) -> Kind | None:
    """The kind of the index called `name` that begins with `head`; None if it is none."""
    lowered = name.lower()
    if lowered.endswith(".xml") and not head.strip(b"\0") and UNWRITTEN.name.fullmatch(lowered):
        named = (k for k in KINDS if not k.words and k.name.fullmatch(lowered))
        return next(named, UNWRITTEN)
    start = head[:SNIFFED].replace(b"\0", b"")  # UTF-16 too
    for kind in KINDS:
        if kind.name.fullmatch(lowered) and (
            not kind.words or any(word in start for word in kind.words)
        ):
            return kind
    return None
