"""One whole set of each kind, and which of its members are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile

from tests import ended, indexes, samples


@dataclass(frozen=True)
class SetKind:
    """A set in a directory of its own."""

    name: str
    make: Callable[[Path], None]  # into an empty directory
    # Its index: without it, nobody can know that the others are a set.  Empty: each member says so.
    index: str = ""
    # Members that a set may lack, or that may be anything: logs, maps.
    spare: frozenset[str] = frozenset()
    # Whether Bio-Formats makes one fileset of it.  Of the others, its readers say what they lack:
    # these indexes are written by hand, and have no more than what we read of them.
    read: bool = field(default=False)
    # Whether the index is known by its name alone; else nobody can know what an empty one becomes.
    named: bool = True
    # Whether nothing in its index shows that this was cut short: no reader of it is at hand.
    mute: bool = False
    # Whether nobody can know how much is to come: then the tree must be at rest.
    endless: bool = False
    # Whether the directory of its other members tells the name of the index.
    folder: bool = False

    def members(self, at: Path) -> list[str]:
        """The names of its files below `at`, in their order."""
        return sorted(str(p.relative_to(at)) for p in at.rglob("*") if p.is_file())


def plane(path: Path, number: int = 0) -> None:
    """A TIFF that is large enough for a hole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (128, 128), dtype=np.uint8)
    tifffile.imwrite(path, pixels, metadata=None)


def _of(
    index: str, *names: str, more: Callable[[Path], None] | None = None, at: str = ""
) -> Callable[[Path], None]:
    """Makes an index, as `tests.indexes` has it, and files around it by their suffixes."""

    def make(to: Path) -> None:
        place = to / at
        place.mkdir(parents=True, exist_ok=True)
        (place / index).write_bytes(indexes.WHOLE[index])
        for number, name in enumerate(names):
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            suffix = name.rpartition(".")[2].lower()
            if path.name in indexes.WHOLE:
                path.write_bytes(indexes.WHOLE[path.name])
            elif index in indexes.LENGTHS:
                path.write_bytes(np.random.default_rng(number).bytes(indexes.LENGTHS[index]))
            elif suffix in ("jpg", "jpeg"):
                path.write_bytes(ended.picture("JPEG"))
            elif suffix == "ets":
                path.write_bytes(ended.ets())
            elif suffix == "h5":
                path.write_bytes(ended.hdf5(size=9000))
            elif suffix in ("tif", "tiff", "svs", "ndpi", "flex"):
                plane(path, number)
            else:
                path.write_bytes(np.random.default_rng(number).bytes(9000))
        if more is not None:
            more(to)

    return make


def _czi(to: Path) -> None:
    (to / "x.czi").write_bytes(ended.czi(3))
    for part in (1, 2):
        (to / f"x({part}).czi").write_bytes(ended.czi(3, part))


def _oir(to: Path) -> None:
    (to / "x.oir").write_bytes(b"OLYMPUSRAWFORMAT".ljust(9000, b"\1"))
    for part in (1, 2, 3):
        (to / f"x_{part:05}").write_bytes(bytes([part]) * 9000)


def _harmony_7(to: Path) -> None:
    """The index stands above the directory of the images, and names them by their base names."""
    names = [f"r01c0{n}f01p01-ch1sk1fk1fl1.tiff" for n in (1, 2)]
    (to / "Index.idx.xml").write_bytes(indexes.harmony(*names))
    for number, name in enumerate(names):
        plane(to / "Images" / name, number)


def _harmony_deep(to: Path) -> None:
    names = [f"r01c0{n}f01p01-ch1sk1fk1fl1.tiff" for n in (1, 2)]
    (to / "Index.idx.xml").write_bytes(indexes.harmony(*names))
    for number, name in enumerate(names):
        plane(to / "Images" / f"{number}" / "planes" / name, number)


def _micromanager_2(to: Path) -> None:
    (to / "x_metadata.txt").write_bytes(indexes.micromanager_2())
    for t in range(3):
        plane(to / f"img_{t}.tif", t)


def _sample(name: str) -> Callable[[Path], None]:
    return next(sample.make for sample in samples.SAMPLES if sample.name == name)


KINDS: Sequence[SetKind] = (
    SetKind("OME-TIFF set", _sample("OME-TIFF set"), read=True),
    SetKind("OME-TIFF of two images", _sample("OME-TIFF set of two images"), read=True),
    SetKind("OME-TIFF companion", _sample("OME-TIFF companion"), read=True),
    SetKind(
        "companion of plain TIFF", _sample("companion of plain TIFF"), "a.companion.ome", read=True
    ),
    SetKind("companion above its files", _sample("companion above its files"), read=True),
    SetKind("OME-TIFF master", _sample("OME-TIFF with the metadata of others"), read=True),
    SetKind("OME-TIFF plate", _sample("OME-TIFF plate"), read=True),
    SetKind("file pattern", _sample("file pattern"), "all.pattern", read=True),
    SetKind("MetaMorph", _sample("MetaMorph"), "exp.nd", read=True),
    SetKind("Operetta", _sample("Operetta plate"), "Index.idx.xml", read=True),
    SetKind("Harmony 7, images below", _harmony_7, "Index.idx.xml"),
    SetKind("Harmony, images far below", _harmony_deep, "Index.idx.xml"),
    SetKind("Micro-Manager", _sample("Micro-Manager"), "metadata.txt", read=True),
    SetKind("Micro-Manager 2", _micromanager_2, "x_metadata.txt"),
    SetKind("ICS 1", _sample("ICS 1"), read=True),
    SetKind("NRRD, detached", _sample("NRRD with detached data"), "two.nhdr", read=True),
    SetKind("NRRD, list", _of("list.nhdr", "z0.raw", "z1.raw"), "list.nhdr"),
    SetKind("NIfTI in two files", _of("x.hdr", "x.img"), "x.hdr"),
    SetKind("Analyze 7.5", _of("analyze.hdr", "analyze.img"), "analyze.hdr"),
    SetKind(
        "XLEF of collections",
        _of("all.xlef", "Sets/x.xlcf", "Meta data/x.xlif", "x.tif"),
        "all.xlef",
    ),
    SetKind(
        "MetaXpress by time points",
        _of("x.htd", *(f"TimePoint_1/{name}" for name in indexes.METAXPRESS)),
        "x.htd",
    ),
    SetKind("Flex", _of("x.mea", "a.flex"), "x.mea", frozenset({"a.flex"})),
    SetKind(
        "BD Pathway",
        _of("experiment.exp", "Well A01/a.tif"),
        "experiment.exp",
        frozenset({"Well A01/a.tif"}),
        mute=True,
    ),
    SetKind("UltraVIEW", _of("x.tim", "a.tif"), "x.tim", frozenset({"a.tif"}), mute=True),
    SetKind("Trestle", _of("x.sldx", "a.tif"), "x.sldx", frozenset({"a.tif"}), mute=True),
    SetKind("LSM with its database", _of("x.mdb", "a.lsm"), "x.mdb", frozenset({"a.lsm"})),
    SetKind(
        "VSI",
        _of("x.vsi", "_x_/stack1/frame_t.ets", "_x_/stack2/frame_t.ets"),
        "x.vsi",
        folder=True,
    ),
    SetKind("OIR in parts", _oir, "x.oir", frozenset({"x_00003"}), endless=True),
    SetKind(
        "OIF",
        _of("x.oif", *(f"x.oif.files/s_C00{n}.{end}" for n in (1, 2) for end in ("tif", "pty"))),
        "x.oif",
        frozenset({"x.oif.files/s_C002.tif"}),  # of which no .pty says anything here
        folder=True,
    ),
    SetKind(
        "Olympus tiles",
        _of("x.omp2info", "a.oir", "b.oir"),
        "x.omp2info",
        frozenset({"a.oir", "b.oir"}),
    ),
    SetKind("LEI", _of("x.lei", "x_Series001_z000_ch00.tif", "x_Series001_z001_ch00.tif"), "x.lei"),
    SetKind("XLEF", _of("x.xlef", "Meta data/x.xlif", "x.tif"), "x.xlef"),
    SetKind("Leica TCS", _of("tcs.xml", "a.tif"), "tcs.xml", frozenset({"a.tif"})),
    SetKind(
        "MIRAX",
        _of(
            "x.mrxs",
            *(f"x/{n}" for n in ("Index.dat", "Data0000.dat", "Data0001.dat")),
            more=lambda to: (
                (to / "x/Slidedat.ini").write_bytes(indexes.WHOLE["Slidedat.ini"]) and None
            ),
        ),
        "x.mrxs",
        folder=True,
    ),
    SetKind("NDPIS", _of("x.ndpis", "x-a.ndpi", "x-b.ndpi"), "x.ndpis"),
    SetKind("VMS", _of("x.vms", "x.jpg", "x(1,0).jpg", "x_map2.jpg", "x_macro.jpg"), "x.vms"),
    SetKind("AFI", _of("x.afi", "x-a.svs", "x-b.svs"), "x.afi"),
    SetKind("MetaXpress", _of("x.htd", *indexes.METAXPRESS), "x.htd"),
    SetKind("InCell", _of("x.xdce", "A - 1(fld 1).tif", "A - 2(fld 1).tif"), "x.xdce"),
    SetKind(
        "CV7000",
        _of("x.wpi", "MeasurementData.mlf", "MeasurementDetail.mrf", "a.tif", "b.tif"),
        "x.wpi",
    ),
    SetKind(
        "Columbus",
        _of("MeasurementIndex.ColumbusIDX.xml", "images/a.tif"),
        "MeasurementIndex.ColumbusIDX.xml",
        frozenset({"images/a.tif"}),
    ),
    SetKind(
        "CellVoyager",
        _of("MeasurementResult.xml", "Image/a.tif"),
        "MeasurementResult.xml",
        frozenset({"Image/a.tif"}),
    ),
    SetKind(
        "ScanR",
        _of("experiment_descriptor.xml", "data/a.tif"),
        "experiment_descriptor.xml",
        frozenset({"data/a.tif"}),
    ),
    SetKind("Prairie", _of("prairie.xml", "p_1.ome.tif"), "prairie.xml"),
    SetKind("BigDataViewer", _of("bdv.xml", "x.h5"), "bdv.xml"),
    SetKind("Hitachi", _of("hitachi.txt", "h.tif"), "hitachi.txt", named=False),
    SetKind("CZI in parts", _czi),
    SetKind(
        "DeltaVision",
        _sample("DeltaVision with its logs"),
        spare=frozenset({"a.dv.log", "a_log.txt"}),
        read=True,
    ),
    SetKind(
        "DICOM series",
        _sample("DICOM series"),
        spare=frozenset({"s1.dcm", "s2.dcm", "s3.dcm"}),
        read=True,
    ),
)
