"""The parsers: what each is given, and which exceptions it says that it raises."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import omero.all
from hypothesis import strategies as st
from omero.rtypes import unwrap

import omero
from omero_fs_plugin.dropbox.grouping import completeness, zarr
from omero_fs_plugin.dropbox.grouping.child.frames import decode
from omero_fs_plugin.dropbox.grouping.formats import ends, omexml, tiff, tiff_chain
from omero_fs_plugin.dropbox.grouping.native import headers, signatures
from omero_fs_plugin.dropbox.grouping.native.grouper import NativeGrouper
from omero_fs_plugin.dropbox.grouping.promises import table
from omero_fs_plugin.dropbox.grouping.promises.said import Index, TooLarge
from omero_fs_plugin.dropbox.grouping.userfiles import UserFiles
from omero_fs_plugin.dropbox.grouping.wire import findings_of, grouping_of
from omero_fs_plugin.dropbox.importing.importers.protocol import Wishes
from omero_fs_plugin.dropbox.importing.importers.registered import Registered
from omero_fs_plugin.dropbox.importing.importers.store_images import layout
from omero_fs_plugin.dropbox.targets import sidecar, templates
from omero_fs_plugin.errors import ConfigurationError, ImportRefused
from omero_fs_plugin.names import printable
from tests import ended, indexes, stores
from tests.groupings import grouped

from .mutants import mutants

TIFF = (".tif", ".tiff", ".svs", ".stk")
OME = (".ome", ".ome.tif")
SEEDS = {
    "x.nd": b'"NWavelengths", 2\r\n"NStagePositions", 2\r\n"NTimePoints", 3\r\n'
    b'"WaveName1", "a"\r\n',
    "x.pattern": b"t<0-2>_<a,b>_<R-T:1>.tif",
    "metadata.txt": b'{"Summary": {}, "FrameKey-0": {"FileName": "a.tif"}}',
    "Index.xml": b"<EvaluationInputData xmlns='Harmony'><Image><State>Ok</State>"
    b"<URL>a.tif</URL></Image></EvaluationInputData>",
    **{name: data for name, data in indexes.WHOLE.items() if len(data) < 1 << 16},
}
DIRECTORY = (
    *("x.tif", "x_t1.tif", "x.ome.tif", "x.companion.ome", "x.nhdr", "x.ics", "x.ids", "x.nd"),
    *("x.pattern", "metadata.txt", "Index.xml", "x.dcm", "y.dcm", "x.dv"),
)
PRESENT = ("x_w1a_s1_t1.tif", "x_w2_s1_t1.tif", "a.tif")


@dataclass(frozen=True)
class Target:
    """One parser."""

    name: str
    inputs: st.SearchStrategy[Any]
    parse: Callable[[Any], object]
    raises: tuple[type[Exception], ...] = ()


def _tiff(data: bytes) -> None:
    file = io.BytesIO(data)
    layout = tiff.read_layout(file)
    if layout is not None:
        tiff_chain.fault(file, layout, len(data))
        with suppress(tiff.TiffError):
            directory = tiff.read_directory(file, layout, layout.first)
            for entry in directory.entries.values():
                with suppress(tiff.TiffError):
                    tiff.read_value(file, entry, 4096)


def _ended(given: tuple[str, bytes]) -> None:
    name, data = given
    ends.fault(io.BytesIO(data), name, len(data)).encode()


def _promised(given: tuple[str, bytes]) -> None:
    name, data = given
    kind = table.kind_of(name, data)
    if kind is not None:
        said = kind.says(Index(name, io.BytesIO(data), len(data), lambda below: PRESENT))
        assert all(isinstance(one, str) and least >= 0 for one, least in said.files.items())
        said.unfinished.encode()


def _header(given: tuple[str, bytes]) -> None:
    rule, data = given
    around = UserFiles("/nowhere/amy")
    headers.NEEDED[rule](around, "/nowhere/amy/x.nhdr", io.BytesIO(data))


def _directory(given: dict[str, bytes]) -> None:
    """A directory of such files: grouped, and each looked at for whether it is whole."""
    place = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        for name, data in given.items():
            (place / name).write_bytes(data)
        found = grouped(NativeGrouper(), place)
        for candidate in found.candidates:
            assert all(path.startswith(f"{place}/") for path in candidate.files)
            "".join((*candidate.missing, candidate.refused, candidate.incomplete)).encode()
        for name in given:
            told = completeness.check(str(place), [str(place / name)])
            "".join((*told.missing, told.incomplete, told.refused, *told.named)).encode()
    finally:
        shutil.rmtree(place)


def _store(given: dict[str, bytes]) -> None:
    """A store where some of its metadata is replaced by such content."""
    place = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        store = stores.plate(place / "x.zarr", 3 if "zarr.json" in given else 2)
        store.files.update(given)
        store.write()
        found = zarr.look_at(str(place), str(store.path))
        assert found.files == (str(store.path),)
        assert all(path.startswith(str(store.path)) for path in found.missing)
        "".join((*found.missing, found.incomplete, found.refused, found.slow)).encode()
        if found.complete and not found.refused:
            _registered(store)
    finally:
        shutil.rmtree(place)


class _AnyOf:
    """Enumerations that have everything."""

    def of(self, kind: str, value: str) -> Any:
        return getattr(omero.model, f"{kind}I")(1, False)


def _registered(store: stores.Store) -> None:
    """What OMERO would get of it if it were registered."""

    def read(name: str) -> Any:
        try:
            said = json.loads((store.top / name).read_bytes())
        except (OSError, ValueError):
            return None
        return said if isinstance(said, dict) else None

    with suppress(ImportRefused):
        held = layout(str(store.path), read)
        for saved in Registered(str(store.path), 1, Wishes(), _AnyOf()).objects(held):  # type: ignore[arg-type]
            unwrap(saved.name).encode()


def _frame(data: bytes) -> None:
    frame = decode(bytearray(data))
    if frame is not None:
        for understand in (grouping_of, findings_of):
            with suppress(ValueError):
                understand(frame)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                (
                    "candidates",
                    "unreadable",
                    "findings",
                    "files",
                    "plate",
                    "missing",
                    "named",
                    "refused",
                )
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)

_STORED = st.recursive(
    st.none() | st.integers() | st.sampled_from(("0", "1", "..", "/x", "A/1", "")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "attributes",
                    "ome",
                    "plate",
                    "wells",
                    "path",
                    "well",
                    "images",
                    "shape",
                    "multiscales",
                    "datasets",
                    "labels",
                    "series",
                    "metadata",
                    "chunks",
                    "dtype",
                    "bioformats2raw.layout",
                    "consolidated_metadata",
                    "data_type",
                    "chunk_grid",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
STORED = [
    data
    for zarr_format in (2, 3)
    for name, data in stores.labelled(Path("x.zarr"), zarr_format).files.items()
    if data.startswith(b"{")
]

_ANY = (*TIFF, *OME, ".nhdr", ".ics", ".dv", ".dcm", ".xml", ".txt", ".nd", ".pattern")
TARGETS = (
    Target("directories of a TIFF", mutants(TIFF), _tiff),
    Target(
        "the kind of a file",
        st.tuples(
            mutants(_ANY), st.sampled_from(("x.tif", "x.ndpi", "x.svs", "x.dcm", "x", "x.ics"))
        ),
        lambda given: signatures.identify(io.BytesIO(given[0]), given[1]),
        (signatures.UnknownFormat,),
    ),
    *(
        Target(
            f"where {name} ends",
            st.tuples(st.just(name), mutants(("no such",), ended.whole(name))),
            _ended,
        )
        for name in ended.MAKERS
    ),
    Target(
        "OME-XML of a companion",
        mutants((".companion.ome",)),
        lambda data: omexml.of_companion(io.BytesIO(data)),
        (omexml.OmeXmlError,),
    ),
    Target(
        "OME-XML of a TIFF",
        mutants((".ome.tif",)),
        lambda data: omexml.of_tiff(io.BytesIO(data)),
        (omexml.OmeXmlError, tiff.TiffError),
    ),
    *(
        Target(
            f"what a {name} promises",
            st.tuples(st.just(name), mutants((f"/{name}",), SEEDS[name])),
            _promised,
            (ImportRefused, TooLarge),
        )
        for name in SEEDS
    ),
    Target(
        "headers of text",
        st.tuples(st.sampled_from(sorted(headers.NEEDED)), mutants((".nhdr", ".ics", ".hdr"))),
        _header,
        (signatures.UnknownFormat, ImportRefused),
    ),
    Target(
        "a directory of files",
        st.dictionaries(
            st.sampled_from(DIRECTORY),
            mutants(_ANY, *SEEDS.values()),
            max_size=4,
        ),
        _directory,
    ),
    Target(
        "a store",
        st.dictionaries(
            st.sampled_from((".zattrs", ".zmetadata", "A/1/.zattrs", "A/1/0/0/.zarray"))
            | st.sampled_from(("zarr.json", "A/1/zarr.json", "A/1/0/0/zarr.json")),
            mutants(("no such",), *STORED) | _STORED.map(lambda said: json.dumps(said).encode()),
            max_size=4,
        ),
        _store,
    ),
    Target(
        "a sidecar",
        mutants(
            ("no such",),
            b'target = "Project:name:{dir1}/Dataset:name:{dir}"\ngroup = "lab"\nname = "n"\n'
            b'description = "d"\ntags = ["a", "b"]\n[key_value]\nStain = "DAPI"\nN = [1, 2.5]\n',
        ).map(lambda data: data[: sidecar.MAX_BYTES]),
        lambda data: sidecar.understand("omero-fs.toml", data),
        (ConfigurationError,),
    ),
    Target(
        "a target",
        st.text(st.sampled_from("Project:nameDatasetidScreen/{}%+-@dir1 0")) | st.text(),
        templates.parse,
        (ConfigurationError,),
    ),
    Target("a frame", st.binary(max_size=64), _frame, (ValueError,)),
    Target(
        "an answer",
        _JSON,
        lambda value: (grouping_of if isinstance(value, dict) else _frame)(
            value if isinstance(value, dict) else b""  # type: ignore[arg-type]
        ),
        (ValueError,),
    ),
    Target("a name", st.text(st.characters(codec=None)), lambda name: printable(name).encode()),
)
