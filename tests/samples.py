"""Files of the formats of microscopy, and how Bio-Formats groups them.

The table at the end is the truth: tests compare both groupers with it.  Bio-Formats 7.3.1
gave its order of files, its readers and its plates.  It was given the directory's files one by
one, in the order of their names (ImageReader without ZipReader; files that were used already
were left out).  tests/integration/dropbox/grouping/test_groupers.py asks it again if there is
Java.

Files are made by tifffile, pydicom (which ships real scans) and pillow, or by
hand from the public description of a format, if no good library writes it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import numpy as np
import pydicom
import pydicom.data
import tifffile
from PIL import Image

PLANE = np.arange(256, dtype=np.uint8).reshape(16, 16)
OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


@dataclass(frozen=True)
class Expected:
    """A fileset: names below the sample's directory.  The file to open is the first."""

    files: tuple[str, ...]
    reader: str  # simple name of its class, which is in the package loci.formats.in
    plate: bool = False


@dataclass(frozen=True)
class Sample:
    """A directory of files, and what becomes of it."""

    name: str
    make: Callable[[Path], None]  # into an empty directory
    expected: tuple[Expected, ...]
    # Words of the reason why only Bio-Formats may group it; empty: we can group it without Java too
    held: str = ""
    # A file -> what is reported as missing if only this file is absent (without Java)
    needs: Mapping[str, str] = field(default_factory=dict)


def uuid(number: int) -> str:
    return f"urn:uuid:{UUID(int=number + 1, version=4)}"


def pixels(size_t: int, *tiffdata: str, number: int = 0) -> str:
    return (
        f'<Image ID="Image:{number}" Name="image {number}">'
        f'<Pixels ID="Pixels:{number}" DimensionOrder="XYZCT" Type="uint8" SizeX="16" SizeY="16" '
        f'SizeZ="1" SizeC="1" SizeT="{size_t}">'
        f'<Channel ID="Channel:{number}:0" SamplesPerPixel="1"/>{"".join(tiffdata)}'
        "</Pixels></Image>"
    )


def part(t: int, name: str, number: int) -> str:
    return (
        f'<TiffData FirstT="{t}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">{uuid(number)}</UUID></TiffData>'
    )


def ome(inner: str, number: int | None = None) -> str:
    own = "" if number is None else f' UUID="{uuid(number)}"'
    return f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{OME}"{own}>{inner}</OME>'


def binary_only(metadata: str, number: int, metadata_number: int) -> str:
    return ome(f'<BinaryOnly MetadataFile="{metadata}" UUID="{uuid(metadata_number)}"/>', number)


def tiff(path: Path, description: str | None = None, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = None if description is None else description.encode()
    tifffile.imwrite(path, PLANE, description=data, metadata=None, **options)


def plain_tiff(to: Path) -> None:
    tiff(to / "a.tif")
    tiff(to / "b.tiff", "ImageJ=1.53\nimages=1\n")


def big_tiff(to: Path) -> None:
    tiff(to / "big.tif", bigtiff=True)
    tiff(to / "motorola.tif", byteorder=">")


def ome_tiff(to: Path) -> None:
    tifffile.imwrite(to / "stack.ome.tif", np.stack([PLANE] * 3), metadata={"axes": "ZYX"})


def ome_tiff_other_name(to: Path) -> None:
    tifffile.imwrite(to / "stack.tif", np.stack([PLANE] * 3), metadata={"axes": "TYX"}, ome=True)


def ome_tiff_set(to: Path) -> None:
    """Each file has all of the metadata.  The planes are not in the order of the names."""
    names = ["c.ome.tif", "a.ome.tif", "b.ome.tif"]
    inner = pixels(3, *(part(t, name, t) for t, name in enumerate(names)))
    for t, name in enumerate(names):
        tiff(to / name, ome(inner, t))


def ome_tiff_two_images(to: Path) -> None:
    """Two images over three files."""
    inner = pixels(2, part(0, "x1.ome.tif", 1), part(1, "x0.ome.tif", 0)) + pixels(
        1, part(0, "x2.ome.tif", 2), number=1
    )
    for number in range(3):
        tiff(to / f"x{number}.ome.tif", ome(inner, number))


def ome_companion(to: Path) -> None:
    names = ["t1.ome.tif", "t0.ome.tif", "t2.ome.tif"]
    inner = pixels(3, *(part(t, name, t) for t, name in enumerate(names)))
    (to / "set.companion.ome").write_text(ome(inner, 9))
    for t, name in enumerate(names):
        tiff(to / name, binary_only("set.companion.ome", t, 9))


def ome_companion_plain(to: Path) -> None:
    """The TIFF files of a companion that have no metadata of their own."""
    inner = pixels(2, part(0, "z0.tif", 0), part(1, "z1.tif", 1))
    (to / "a.companion.ome").write_text(ome(inner, 9))
    for t in range(2):
        tiff(to / f"z{t}.tif")


def ome_companion_above(to: Path) -> None:
    """A companion: its files lie a directory below, and their names come before its own."""
    inner = pixels(2, part(0, "planes/b.ome.tif", 0), part(1, "planes/a.ome.tif", 1))
    (to / "z.companion.ome").write_text(ome(inner, 9))
    for t, name in enumerate("ba"):
        tiff(to / f"planes/{name}.ome.tif", binary_only("../z.companion.ome", t, 9))


def ome_master(to: Path) -> None:
    """One of the files has the metadata of all."""
    inner = pixels(2, part(0, "m.ome.tif", 0), part(1, "part.ome.tif", 1))
    tiff(to / "m.ome.tif", ome(inner, 0))
    tiff(to / "part.ome.tif", binary_only("m.ome.tif", 1, 0))


def ome_plate(to: Path) -> None:
    """A plate of two wells, each with an image of its own file."""
    wells = "".join(
        f'<Well ID="Well:0:{n}" Row="0" Column="{n}"><WellSample ID="WellSample:0:{n}:0" '
        f'Index="{n}"><ImageRef ID="Image:{n}"/></WellSample></Well>'
        for n in range(2)
    )
    inner = f'<Plate ID="Plate:0" Name="p">{wells}</Plate>' + "".join(
        pixels(1, part(0, f"well{n}.ome.tif", n), number=n) for n in range(2)
    )
    (to / "plate.companion.ome").write_text(ome(inner, 9))
    for n in range(2):
        tiff(to / f"well{n}.ome.tif", binary_only("plate.companion.ome", n, 9))


def pictures(to: Path) -> None:
    for name in ("a.jpg", "b.png", "c.gif", "d.bmp", "e.pgm", "f.pcx"):
        Image.fromarray(PLANE).save(to / name)


def jpeg_2000(to: Path) -> None:
    Image.fromarray(PLANE).save(to / "a.jp2")


def aperio(to: Path) -> None:
    with tifffile.TiffWriter(to / "slide.svs") as file:
        for _ in range(3):
            file.write(
                PLANE,
                description="Aperio Image Library v11.2.1 \r\n16x16 |AppMag = 20|MPP = 0.5",
                metadata=None,
                tile=(16, 16),
            )


def dicom(to: Path) -> None:
    (to / "ct.dcm").write_bytes(real_dicom("CT_small.dcm"))


def real_dicom(name: str) -> bytes:
    return Path(str(pydicom.data.get_testdata_file(name, download=False))).read_bytes()


def dicom_series(to: Path) -> None:
    """A series of three slices, in another order than their names."""
    for number, name in ((1, "s2.dcm"), (2, "s1.dcm"), (3, "s3.dcm")):
        scan = pydicom.dcmread(str(pydicom.data.get_testdata_file("CT_small.dcm", download=False)))
        scan.InstanceNumber = number
        scan.SOPInstanceUID = f"1.2.3.4.5.{number}"
        scan.file_meta.MediaStorageSOPInstanceUID = scan.SOPInstanceUID
        scan.save_as(to / name)


def ics(version: str, **more: str) -> bytes:
    lines = [
        "\t",
        f"ics_version\t{version}",
        "filename\tset",
        *(f"{key}\t{value}" for key, value in more.items()),
        "layout\tparameters\t3",
        "layout\torder\tbits\tx\ty",
        "layout\tsizes\t8\t16\t16",
        "layout\tcoordinates\tvideo",
        "layout\tsignificant_bits\t8",
        "representation\tformat\tinteger",
        "representation\tsign\tunsigned",
        "representation\tcompression\tuncompressed",
        "representation\tbyte_order\t1",
    ]
    return ("\n".join(lines) + "\n").encode()


def ics_pair(to: Path) -> None:
    (to / "set.ics").write_bytes(ics("1.0"))
    (to / "set.ids").write_bytes(PLANE.tobytes())


def ics_single(to: Path) -> None:
    (to / "one.ics").write_bytes(ics("2.0") + b"end\n" + PLANE.tobytes())


def nrrd(data_file: str = "") -> bytes:
    lines = ["NRRD0004", "type: uint8", "dimension: 2", "sizes: 16 16", "encoding: raw"]
    if data_file:
        lines.append(f"data file: {data_file}")
    return ("\n".join(lines) + "\n\n").encode()


def nrrd_single(to: Path) -> None:
    (to / "one.nrrd").write_bytes(nrrd() + PLANE.tobytes())


def nrrd_detached(to: Path) -> None:
    (to / "two.nhdr").write_bytes(nrrd("two.raw"))
    (to / "two.raw").write_bytes(PLANE.tobytes())


def mrc(to: Path) -> None:
    head = struct.pack("<10i", 16, 16, 1, 0, 0, 0, 0, 16, 16, 1) + struct.pack("<3f", 16, 16, 1)
    head = head.ljust(208, b"\0") + b"MAP " + b"\x44\x44\0\0"
    (to / "a.mrc").write_bytes(head.ljust(1024, b"\0") + PLANE.tobytes())


def deltavision(to: Path) -> None:
    head = bytearray(1024)
    struct.pack_into("<4i", head, 0, 16, 16, 1, 0)  # size in x and y, planes, unsigned bytes
    struct.pack_into("<h", head, 96, -16224)  # what makes it a DeltaVision file
    struct.pack_into("<6h", head, 180, 1, 0, 1, 0, 0, 0)  # time points, sequence, wavelengths
    struct.pack_into("<h", head, 196, 1)
    (to / "a.dv").write_bytes(bytes(head) + PLANE.tobytes())
    (to / "a.dv.log").write_text("of the acquisition")
    (to / "a_log.txt").write_text("of the deconvolution")


def fits(to: Path) -> None:
    cards = ["SIMPLE  =                    T", "BITPIX  =                    8"]
    cards += ["NAXIS   =                    2", "NAXIS1  =                   16"]
    cards += ["NAXIS2  =                   16", "END"]
    head = "".join(card.ljust(80) for card in cards).ljust(2880)
    (to / "a.fits").write_bytes(head.encode() + PLANE.tobytes().ljust(2880, b"\0"))


def avi(to: Path) -> None:
    """One uncompressed frame of 16 x 16 grey pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data

    def several(kind: bytes, *chunks: bytes) -> bytes:
        return chunk(b"LIST", kind + b"".join(chunks))

    main = struct.pack("<14I", 40000, 0, 0, 0x10, 1, 0, 1, 256, 16, 16, 0, 0, 0, 0)
    stream = struct.pack("<4s4sIHHIIIIIIIIhhhh", b"vids", b"DIB ", *([0] * 10), 0, 0, 0, 16, 16)
    bitmap = struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, 8, 0, 256, 0, 0, 256, 0)
    palette = b"".join(bytes((n, n, n, 0)) for n in range(256))
    header = several(
        b"hdrl",
        chunk(b"avih", main),
        several(b"strl", chunk(b"strh", stream), chunk(b"strf", bitmap + palette)),
    )
    frames = several(b"movi", chunk(b"00db", PLANE.tobytes()))
    index = chunk(b"idx1", struct.pack("<4sIII", b"00db", 0x10, 4, 256))
    (to / "a.avi").write_bytes(chunk(b"RIFF", b"AVI " + header + frames + index))


def nifti(to: Path) -> None:
    head = bytearray(348)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, 16, 16, 1, 1, 1, 1, 1)
    struct.pack_into("<hh", head, 70, 2, 8)  # unsigned bytes
    struct.pack_into("<f", head, 108, 352.0)  # where the pixels begin
    head[344:348] = b"n+1\0"
    (to / "a.nii").write_bytes(bytes(head) + b"\0" * 4 + PLANE.tobytes())
    struct.pack_into("<f", head, 108, 0.0)
    head[344:348] = b"ni1\0"
    (to / "b.hdr").write_bytes(head)
    (to / "b.img").write_bytes(PLANE.tobytes())


def file_pattern(to: Path) -> None:
    for t in range(3):
        tiff(to / f"t{t}.tif")
    (to / "all.pattern").write_text("t<0-2>.tif")


def metamorph(to: Path) -> None:
    lines = [
        '"NDInfoFile", Version 1.0',
        '"Description", ',
        '"StartTime1", 20060101 12:00:00.000',
        '"DoTimelapse", TRUE',
        '"NTimePoints", 2',
        '"DoStage", FALSE',
        '"DoWave", TRUE',
        '"NWavelengths", 1',
        '"WaveName1", "GFP"',
        '"WaveDoZ1", FALSE',
        '"DoZSeries", FALSE',
        '"WaveInFileName", TRUE',
        '"EndFile"',
    ]
    (to / "exp.nd").write_text("\r\n".join(lines) + "\r\n")
    for t in (1, 2):
        tiff(to / f"exp_w1GFP_t{t}.TIF")


def operetta(to: Path) -> None:
    """Two wells of one field, as Harmony exports them."""
    names = [f"r01c0{n}f01p01-ch1sk1fk1fl1.tiff" for n in (1, 2)]
    wells = "".join(
        f"<Well><id>010{n}</id><Row>1</Row><Col>{n}</Col><Image id='010{n}K1F1P1R1'/></Well>"
        for n in (1, 2)
    )
    images = "".join(
        f"<Image Version='1'><id>010{n}K1F1P1R1</id><State>Ok</State><URL>{name}</URL>"
        f"<Row>1</Row><Col>{n}</Col><FieldID>1</FieldID><PlaneID>1</PlaneID>"
        f"<TimepointID>0</TimepointID><ChannelID>1</ChannelID><ChannelName>A</ChannelName>"
        f"<ImageSizeX>16</ImageSizeX><ImageSizeY>16</ImageSizeY></Image>"
        for n, name in zip((1, 2), names, strict=True)
    )
    (to / "Index.idx.xml").write_text(
        "<?xml version='1.0' encoding='UTF-8'?>"
        "<EvaluationInputData xmlns='http://www.perkinelmer.com/PEHH/HarmonyV5' Version='1'>"
        "<User>u</User><InstrumentType>Phenix</InstrumentType>"
        "<Plates><Plate><PlateID>p</PlateID><PlateRows>1</PlateRows>"
        "<PlateColumns>2</PlateColumns><Well id='0101'/><Well id='0102'/></Plate></Plates>"
        f"<Wells>{wells}</Wells><Images>{images}</Images></EvaluationInputData>"
    )
    for name in names:
        tiff(to / name, software="x")


def micromanager(to: Path) -> None:
    """An acquisition as Micro-Manager 1.4 writes it: planes as files, and metadata.txt."""
    names = [f"img_00000000{t}_GFP_000.tif" for t in range(2)]
    summary = {
        "Width": 16, "Height": 16, "Channels": 1, "Slices": 1, "Frames": 2, "Positions": 1,
        "PixelType": "GRAY8", "ChNames": ["GFP"], "PixelSize_um": 1, "z-step_um": 1,
        "Interval_ms": 1, "BitDepth": 8, "MicroManagerVersion": "1.4.22",
        "SlicesFirst": True, "TimeFirst": False,
    }  # fmt: skip
    text = {"Summary": summary}
    for t, name in enumerate(names):
        text[f"FrameKey-{t}-0-0"] = {
            "FileName": name, "Frame": t, "FrameIndex": t, "Slice": 0, "ChannelIndex": 0,
            "PixelSizeUm": 1, "Exposure-ms": 1, "Channel": "GFP",
        }  # fmt: skip
    (to / "metadata.txt").write_text(json.dumps(text, indent=1))
    for t, name in enumerate(names):
        tiff(to / name, extratags=[(51123, 2, 0, f'{{"FrameIndex": {t}}}', True)])


def flat(reader: str, *names: str) -> tuple[Expected, ...]:
    """Each file alone."""
    return tuple(Expected((name,), reader) for name in names)


TIFF = "TiffDelegateReader"
OME_TIFF = "OMETiffReader"

SAMPLES = (
    Sample("TIFF", plain_tiff, flat(TIFF, "a.tif", "b.tiff")),
    Sample("BigTIFF", big_tiff, flat(TIFF, "big.tif", "motorola.tif")),
    Sample("OME-TIFF", ome_tiff, flat(OME_TIFF, "stack.ome.tif")),
    Sample("OME-TIFF by content", ome_tiff_other_name, flat(OME_TIFF, "stack.tif")),
    Sample(
        "OME-TIFF set",
        ome_tiff_set,
        (Expected(("a.ome.tif", "c.ome.tif", "b.ome.tif"), OME_TIFF),),
        needs={name: name for name in ("a.ome.tif", "b.ome.tif", "c.ome.tif")},
    ),
    Sample(
        "OME-TIFF set of two images",
        ome_tiff_two_images,
        (Expected(("x0.ome.tif", "x1.ome.tif", "x2.ome.tif"), OME_TIFF),),
        needs={"x2.ome.tif": "x2.ome.tif"},
    ),
    Sample(
        "OME-TIFF companion",
        ome_companion,
        (Expected(("set.companion.ome", "t1.ome.tif", "t0.ome.tif", "t2.ome.tif"), OME_TIFF),),
        needs={name: name for name in ("set.companion.ome", "t0.ome.tif", "t2.ome.tif")},
    ),
    Sample(
        "companion of plain TIFF",
        ome_companion_plain,
        (Expected(("a.companion.ome", "z0.tif", "z1.tif"), OME_TIFF),),
        needs={"z0.tif": "z0.tif", "z1.tif": "z1.tif"},
    ),
    Sample(
        "companion above its files",
        ome_companion_above,
        (Expected(("z.companion.ome", "planes/b.ome.tif", "planes/a.ome.tif"), OME_TIFF),),
        needs={name: name for name in ("z.companion.ome", "planes/a.ome.tif")},
    ),
    Sample(
        "OME-TIFF with the metadata of others",
        ome_master,
        (Expected(("m.ome.tif", "part.ome.tif"), OME_TIFF),),
        needs={"m.ome.tif": "m.ome.tif", "part.ome.tif": "part.ome.tif"},
    ),
    Sample(
        "OME-TIFF plate",
        ome_plate,
        (Expected(("plate.companion.ome", "well0.ome.tif", "well1.ome.tif"), OME_TIFF, True),),
        needs={"well1.ome.tif": "well1.ome.tif"},
    ),
    Sample(
        "JPEG, PNG, GIF, BMP, PGM, PCX",
        pictures,
        (
            Expected(("a.jpg",), "JPEGReader"),
            Expected(("b.png",), "APNGReader"),
            Expected(("c.gif",), "GIFReader"),
            Expected(("d.bmp",), "BMPReader"),
            Expected(("e.pgm",), "PGMReader"),
            Expected(("f.pcx",), "PCXReader"),
        ),
    ),
    Sample("JPEG 2000", jpeg_2000, flat("JPEG2000Reader", "a.jp2")),
    Sample("Aperio SVS", aperio, flat("SVSReader", "slide.svs")),
    Sample("DICOM", dicom, flat("DicomReader", "ct.dcm")),
    Sample(
        "DICOM series",
        dicom_series,
        (Expected(("s1.dcm", "s2.dcm", "s3.dcm"), "DicomReader"),),
        held="one of several DICOM files",
    ),
    Sample(
        "ICS 1",
        ics_pair,
        (Expected(("set.ics", "set.ids"), "ICSReader"),),
        needs={"set.ics": "set.ics", "set.ids": "set.ids"},
    ),
    Sample("ICS 2", ics_single, flat("ICSReader", "one.ics")),
    Sample("NRRD", nrrd_single, flat("NRRDReader", "one.nrrd")),
    Sample(
        "NRRD with detached data",
        nrrd_detached,
        (Expected(("two.nhdr", "two.raw"), "NRRDReader"),),
        needs={"two.raw": "two.raw"},
    ),
    Sample("MRC", mrc, flat("MRCReader", "a.mrc")),
    Sample(
        "DeltaVision with its logs",
        deltavision,
        (Expected(("a.dv", "a.dv.log", "a_log.txt"), "DeltavisionReader"),),
    ),
    Sample("FITS", fits, flat("FitsReader", "a.fits")),
    Sample("AVI", avi, flat("AVIReader", "a.avi")),
    Sample(
        "NIfTI",
        nifti,
        (Expected(("a.nii",), "NiftiReader"), Expected(("b.hdr", "b.img"), "NiftiReader")),
        needs={"b.img": "b.img"},
    ),
    Sample(
        "file pattern",
        file_pattern,
        (Expected(("all.pattern", "t0.tif", "t1.tif", "t2.tif"), "FilePatternReader"),),
        held="makes the files around it a set of a file pattern",
    ),
    Sample(
        "MetaMorph",
        metamorph,
        (Expected(("exp_w1GFP_t1.TIF", "exp.nd", "exp_w1GFP_t2.TIF"), "MetamorphReader"),),
        held="exp.nd makes the files around it a set of MetaMorph",
    ),
    Sample(
        "Operetta plate",
        operetta,
        (
            Expected(
                (
                    "Index.idx.xml",
                    "r01c01f01p01-ch1sk1fk1fl1.tiff",
                    "r01c02f01p01-ch1sk1fk1fl1.tiff",
                ),
                "OperettaReader",
                True,
            ),
        ),
        held="a set of Operetta",
    ),
    Sample(
        "Micro-Manager",
        micromanager,
        (
            Expected(
                ("img_000000000_GFP_000.tif", "metadata.txt", "img_000000001_GFP_000.tif"),
                "MicromanagerReader",
            ),
        ),
        held="a set of Micro-Manager",
    ),
)
