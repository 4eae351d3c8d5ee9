"""A whole index of each kind, as small as it can be: the name of the file -> its content.

They are written by hand, after public descriptions of the formats.  ``PROMISED`` has the names
that each one promises, from its own directory.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

from tests import ended

_HARMONY = "http://www.perkinelmer.com/PEHH/HarmonyV5"
_BTS = "http://www.yokogawa.co.jp/BTS/BTSSchema/1.0"


def micromanager(frames: int = 3, promised: int = 3, *, end: str = "}") -> bytes:
    """Micro-Manager 1.4 appends a frame at a time."""
    text = json.dumps({"Summary": {"Frames": promised, "Slices": 1, "Channels": 1}})[:-1]
    for t in range(frames):
        frame = {"FileName": f"img_{t}.tif", "Frame": t, "Note": 'a "}" in text'}
        text += f', "FrameKey-{t}-0-0": {json.dumps(frame)}'
    return (text + end).encode()


def micromanager_2(frames: int = 3, promised: int = 3) -> bytes:
    """Micro-Manager 2 names the intended dimensions."""
    intended = {"time": promised, "z": 1, "channel": 1, "position": 4}
    text: dict[str, object] = {"Summary": {"IntendedDimensions": intended}}
    for t in range(frames):
        text[f"Metadata-Default/img_{t}.tif"] = {"FileName": f"img_{t}.tif"}
    return json.dumps(text).encode()


def harmony(*names: str) -> bytes:
    """An image that was not taken has no file."""
    images = "".join(f"<Image><State>Ok</State><URL>{name}</URL></Image>" for name in names)
    images += "<Image><State>Failed</State><URL>none.tiff</URL></Image>"
    return (
        f'<?xml version="1.0"?><EvaluationInputData xmlns="{_HARMONY}">'
        f"<Images>{images}</Images></EvaluationInputData>"
    ).encode()


def metamorph() -> bytes:
    lines = ['"NDInfoFile", Version 1.0', '"NTimePoints", 2', '"NWavelengths", 1', '"EndFile"']
    return "\r\n".join(lines).encode()


def metaxpress() -> bytes:
    """Two wells, two sites, two waves."""
    lines = [
        '"HTSInfoFile", Version 1.0',
        '"TimePoints", 1',
        '"XWells", 2',
        '"YWells", 2',
        '"WellsSelection1", TRUE, FALSE',
        '"WellsSelection2", FALSE, TRUE',
        '"Sites", TRUE',
        '"XSites", 2',
        '"YSites", 1',
        '"SiteSelection1", TRUE, TRUE',
        '"Waves", TRUE',
        '"NWavelengths", 2',
        '"EndFile"',
    ]
    return "\r\n".join(lines).encode()


METAXPRESS = tuple(
    f"x_{well}_s{site}_w{wave}{well}9E-4F.TIF"
    for well in ("A01", "B02")
    for site in (1, 2)
    for wave in (1, 2)
)


def lei(*names: str) -> bytes:
    """The names stand in it in UTF-16, each in a field of fixed length."""
    fields = b"".join(name.encode("utf-16-le").ljust(128, b"\0") for name in names)
    return struct.pack("<4sII", b"IIII", 0x00000003, 1) + b"\0" * 50 + fields


def oif() -> bytes:
    lines = [
        "[Version Info]",
        'SystemName="FLUOVIEW FV1000"',
        "[ProfileSaveInfo]",
        'IniFileName0="x.oif.files\\s_C001.pty"',
        'IniFileName1="x.oif.files\\s_Thumb.pty"',
        'PtyFileNameS="x.oif.files\\s_C001.pty"',
        'PtyFileNameE="x.oif.files\\s_C002.pty"',
    ]
    return "\r\n".join(lines).encode("utf-16")


def vsi(external: bool | None = None) -> bytes:
    """The start of a TIFF, then tags of cellSens; `external`: the tag for further files."""
    tag = b""
    if external is not None:
        tag = struct.pack("<IIII", 0x4000000A, 20005, 0, int(external))
    return b"II*\0" + struct.pack("<I", 8) + b"\0" * 200 + tag + b"\0" * 100


def mlf(*names: str) -> bytes:
    records = "".join(
        f'<bts:MeasurementRecord bts:Type="IMG">{name}</bts:MeasurementRecord>' for name in names
    )
    records += '<bts:MeasurementRecord bts:Type="ERR">none.tif</bts:MeasurementRecord>'
    return f'<bts:MeasurementData xmlns:bts="{_BTS}">{records}</bts:MeasurementData>'.encode()


WHOLE: Mapping[str, bytes] = {
    "metadata.txt": micromanager(),
    "x_metadata.txt": micromanager_2(),
    "Index.idx.xml": harmony("r01.tiff", "r02.tiff"),
    "MeasurementIndex.ColumbusIDX.xml": b'<Measurement Program="Columbus"><Plates/></Measurement>',
    "x.nd": metamorph(),
    "x.htd": metaxpress(),
    "x.pattern": b"t<0-1>.tif",
    "x.lei": lei("x_Series001_z000_ch00.tif", "x_Series001_z001_ch00.tif"),
    "x.oif": oif(),
    "s_C001.pty": '[File Info]\r\nDataName="s_C001.tif"\r\n'.encode("utf-16"),
    "x.omp2info": b"<matl:properties xmlns:matl='m'><a/></matl:properties>",
    "x.xlef": b'<LMSDataContainerHeader><Element><Children><Reference File="Meta%20data\\x.xlif"/>'
    b"</Children></Element></LMSDataContainerHeader>",
    "x.xlif": b'<LMSDataContainerHeader><Memory><Frame File="..\\x.tif" UUID="u"/></Memory>'
    b"</LMSDataContainerHeader>",
    "tcs.xml": b'<LEICA_XML Version="1"><a>TCSNTV</a></LEICA_XML>',
    "x.mrxs": ended.picture("JPEG"),
    "Slidedat.ini": b"\xef\xbb\xbf[GENERAL]\r\n[HIERARCHICAL]\r\nINDEXFILE = Index.dat\r\n"
    b"[DATAFILE]\r\nFILE_COUNT = 2\r\nFILE_0 = Data0000.dat\r\nFILE_1 = Data0001.dat\r\n",
    "x.ndpis": b"[NanoZoomer Digital Pathology Image Set]\r\nNoImages=2\r\n"
    b"Image0=x-a.ndpi\r\nImage1=x-b.ndpi\r\n",
    "x.vms": b"[Virtual Microscope Specimen]\r\nNoLayers=1\r\nNoJpegColumns=2\r\nNoJpegRows=1\r\n"
    b"ImageFile=x.jpg\r\nImageFile(1,0)=x(1,0).jpg\r\nMapFile=x_map2.jpg\r\n"
    b"OptimisationFile=x.opt\r\nMacroImage=x_macro.jpg\r\n",
    "x.afi": b"<ImageList><Image><Path>x-a.svs</Path><ID>1</ID></Image>"
    b"<Image><Path>x-b.svs</Path><ID>2</ID></Image></ImageList>",
    "x.xdce": b'<?xml version="1.0" encoding="ISO-8859-1"?><ImageStack><Images>'
    b'<Image filename="A - 1(fld 1).tif"/><Image filename="A - 2(fld 1).tif"/>'
    b"</Images></ImageStack>",
    "x.wpi": f'<bts:WellPlate xmlns:bts="{_BTS}" bts:Name="p"/>'.encode(),
    "MeasurementData.mlf": mlf("a.tif", "b.tif"),
    "MeasurementDetail.mrf": f'<bts:MeasurementDetail xmlns:bts="{_BTS}"/>'.encode(),
    "MeasurementResult.xml": b"<MeasurementResult><a/></MeasurementResult>",
    "experiment_descriptor.xml": b"<main><a/></main>",
    "x.mea": b"<Root><a/></Root>",
    "prairie.xml": b'<PVScan version="5"><Sequence><Frame><File channel="1" '
    b'filename="p_1.ome.tif"/></Frame></Sequence></PVScan>',
    "bdv.xml": b'<SpimData><ImageLoader><hdf5 type="relative">x.h5</hdf5></ImageLoader></SpimData>',
    "hitachi.txt": b"[SemImageFile]\r\nInstructName=SU1510\r\nImageName=h.tif\r\n",
    "x.vsi": vsi(),
    "x.oir": b"OLYMPUSRAWFORMAT".ljust(600, b"\1"),
    "x.czi": ended.czi(3),
    "x.ics": b"\t\nics_version\t1.0\nfilename\tx\nlayout\tparameters\t3\n"
    b"layout\torder\tbits\tx\ty\nlayout\tsizes\t8\t16\t16\n"
    b"representation\tcompression\tuncompressed\n",
    "x.nhdr": b"NRRD0004\ntype: ushort\ndimension: 2\nsizes: 16 16\nencoding: raw\n"
    b"data file: x.raw\n\n",
    "list.nhdr": b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 16 16 2\nencoding: raw\n"
    b"data file: LIST\nz0.raw\nz1.raw\n",
    "x.hdr": struct.pack("<i", 348).ljust(40, b"\0")
    + struct.pack("<8h", 2, 16, 16, 1, 1, 1, 1, 1).ljust(30, b"\0")
    + struct.pack("<hh", 2, 8)
    + b"\0" * 34
    + struct.pack("<f", 0.0)
    + b"\0" * 232
    + b"ni1\0",
    "analyze.hdr": struct.pack(">i", 348).ljust(38, b"\0")
    + b"r\0"
    + struct.pack(">8h", 4, 16, 16, 1, 1, 1, 1, 1).ljust(30, b"\0")
    + struct.pack(">hh", 2, 8).ljust(278, b"\0"),
    "experiment.exp": b"[General]\r\nName=x\r\n",
    "x.tim": b"x\r\n2 planes\r\n",
    "x.sldx": b"<slide/>",
    "x.mdb": b"\0\1\0\0Standard Jet DB\0".ljust(4096, b"\1"),
    "x.xlcf": b"<LMSDataContainerHeader><Element><Children>"
    b'<Reference File="../Meta%20data/x.xlif"/></Children></Element></LMSDataContainerHeader>',
    "all.xlef": b'<LMSDataContainerHeader><Element><Children><Reference File="Sets\\x.xlcf"/>'
    b"</Children></Element></LMSDataContainerHeader>",
    "x.vmu": b"[Uncompressed Virtual Microscope Specimen]\r\nNoLayers=1\r\nImageFile=x.ngr\r\n"
    b"MapFile=x_map.ngr\r\nMacroImage=x_macro.jpg\r\n",
}

# What lies around an index, by directory, and what it then promises.
AROUND: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "x.nd": {"": ("x_t1.TIF",)},
    "x.htd": {"": METAXPRESS},
    "x.oif": {"x.oif.files": ("s_C001.pty", "s_C002.pty", "s_C001.tif", "s_C002.tif")},
    "x.vsi": {"_x_": ("stack1",), "_x_/stack1": ("frame_t.ets",)},
    "x.oir": {"": ("x.oir", "x_00001", "x_00003")},
}
PROMISED: Mapping[str, tuple[str, ...]] = {
    "metadata.txt": ("img_0.tif", "img_1.tif", "img_2.tif"),
    "x_metadata.txt": ("img_0.tif", "img_1.tif", "img_2.tif"),
    "Index.idx.xml": ("r01.tiff", "r02.tiff"),
    "x.nd": ("x_t1.TIF", "x_t2.TIF"),
    "x.htd": METAXPRESS,
    "x.pattern": ("t0.tif", "t1.tif"),
    "x.lei": ("x_Series001_z000_ch00.tif", "x_Series001_z001_ch00.tif"),
    "x.oif": ("x.oif.files/s_C001.pty", "x.oif.files/s_C002.pty"),
    "s_C001.pty": ("s_C001.tif",),
    "x.xlef": ("Meta data/x.xlif",),
    "x.xlif": ("../x.tif",),
    "x.mrxs": ("x/Slidedat.ini",),
    "Slidedat.ini": ("Index.dat", "Data0000.dat", "Data0001.dat"),
    "x.ndpis": ("x-a.ndpi", "x-b.ndpi"),
    "x.vms": ("x.jpg", "x(1,0).jpg", "x_map2.jpg", "x_macro.jpg"),
    "x.afi": ("x-a.svs", "x-b.svs"),
    "x.xdce": ("A - 1(fld 1).tif", "A - 2(fld 1).tif"),
    "x.wpi": ("MeasurementData.mlf", "MeasurementDetail.mrf"),
    "MeasurementData.mlf": ("a.tif", "b.tif"),
    "prairie.xml": ("p_1.ome.tif",),
    "bdv.xml": ("x.h5",),
    "hitachi.txt": ("h.tif",),
    "x.vsi": ("_x_/stack1/frame_t.ets",),
    "x.oir": ("x_00001", "x_00002"),
    "x.czi": ("x(1).czi", "x(2).czi"),
    "x.ics": ("x.ids",),
    "x.nhdr": ("x.raw",),
    "list.nhdr": ("z0.raw", "z1.raw"),
    "x.hdr": ("x.img",),
    "analyze.hdr": ("analyze.img",),
    "x.xlcf": ("../Meta data/x.xlif",),
    "all.xlef": ("Sets/x.xlcf",),
    "x.vmu": ("x.ngr", "x_map.ngr", "x_macro.jpg"),
}
# Bytes that the file of the pixels has at least.
LENGTHS: Mapping[str, int] = {
    "x.ics": 256,
    "x.nhdr": 512,
    "list.nhdr": 256,
    "x.hdr": 256,
    "analyze.hdr": 256,
}
