"""How OMERO.server reads an OME-Zarr: found out from its jars."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from omero_fs_plugin.config.readers import PIXEL_BUFFER
from omero_fs_plugin.dropbox.grouping.bioformats.serving import ServerJars
from omero_fs_plugin.dropbox.grouping.filesets import Candidate
from omero_fs_plugin.dropbox.grouping.zarr import OTHER_AXES, READER, ZARR_3, look_at
from omero_fs_plugin.dropbox.situation import remedy_for
from tests.stores import AXES, KINDS, Store

BUFFER = "com/glencoesoftware/omero/zarr/ZarrPixelsService.class"
ANY_AXES = "com/glencoesoftware/omero/zarr/ZarrPixelBuffer$Axes.class"
THREE = "dev/zarr/zarrjava/v3/Group.class"
BIO_FORMATS = "loci/formats/in/ZarrReader.class"


def put(omerodir: Path, *classes: str, jar: str = "one.jar") -> None:
    place = omerodir / "lib" / "server"
    place.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(place / jar, "w") as written:
        for name in classes:
            written.writestr(name, b"\xca\xfe\xba\xbe")


@pytest.mark.parametrize(
    ("classes", "needs", "reader", "held"),
    [
        ([BIO_FORMATS], [ZARR_3, OTHER_AXES], READER, ""),
        ([BIO_FORMATS, BUFFER], [], READER, ""),
        ([BUFFER], [], PIXEL_BUFFER, ""),
        ([BUFFER], [ZARR_3], "", "reads Zarr 2 alone"),
        ([BUFFER], [OTHER_AXES], "", "the axes t, c, z, y and x alone"),
        ([BUFFER, THREE], [ZARR_3], PIXEL_BUFFER, ""),
        ([BUFFER, THREE], [ZARR_3, OTHER_AXES], "", "the axes t, c, z, y and x alone"),
        ([BUFFER, THREE, ANY_AXES], [ZARR_3, OTHER_AXES], PIXEL_BUFFER, ""),
        ([THREE, ANY_AXES], [], "", "has no reader for OME-Zarr"),
        ([], [], "", "has no reader for OME-Zarr"),
    ],
)
def test_the_jars_say_it(
    tmp_path: Path, classes: list[str], needs: list[str], reader: str, held: str
) -> None:
    for number, name in enumerate(classes):  # each in a jar of its own
        put(tmp_path, name, jar=f"{number}.jar")
    store = Candidate(("/in/a.zarr/",), reader=READER, needs=tuple(needs))
    found = ServerJars((), str(tmp_path)).way(store)
    if held:
        assert held in found.held and found.held.startswith("held: ")
        assert "OMEZarrReader" in found.held and "omero-zarr-pixel-buffer" in found.held
        assert str(tmp_path) in found.held
        assert remedy_for(found.held).startswith("an admin adds one that can read it")
    else:
        assert (found.reader, found.held) == (reader, "")


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        ([], "stores would be held: OMERO.server has neither OMEZarrReader nor"),
        ([BIO_FORMATS, BUFFER], "stores are imported as files"),
        ([BUFFER, THREE, ANY_AXES], "has omero-zarr-pixel-buffer"),
        ([BUFFER], "those with Zarr 3 or other axes than t, c, z, y, x would be held"),
        ([BUFFER, THREE], "; those with other axes than t, c, z, y, x would be held"),
    ],
)
def test_an_admin_hears_it_before_the_first_store(
    tmp_path: Path, classes: list[str], told: str
) -> None:
    put(tmp_path, *classes)
    assert told in ServerJars((), str(tmp_path)).told()


def test_a_jar_that_is_added_is_seen(tmp_path: Path) -> None:
    jars = ServerJars((), str(tmp_path))
    store = Candidate(("/in/a.zarr/",), reader=READER)
    assert "OMEZarrReader" in jars.way(store).held
    put(tmp_path, BUFFER)
    assert jars.way(store).reader == PIXEL_BUFFER
    put(tmp_path, BIO_FORMATS, jar="two.jar")
    assert jars.way(store).reader == READER


@pytest.mark.parametrize("zarr", [2, 3])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_each_kind_needs(tmp_path: Path, kind: str, zarr: int) -> None:
    store = KINDS[kind](tmp_path / "a.zarr", zarr)
    store.write()
    wanted = {OTHER_AXES} | ({ZARR_3} if zarr == 3 else set())
    assert set(look_at(str(tmp_path), str(store.path)).needs) == wanted


def test_labels_may_have_any_axes(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.zarr")
    five = [{"name": name} for name in "tczyx"]
    store.group(multiscales=[{"axes": five, "datasets": [{"path": "0"}]}])
    store.array("0")
    store.group("labels", labels=["cells"])
    store.group("labels/cells", multiscales=[{"axes": AXES, "datasets": [{"path": "0"}]}])
    store.array("labels/cells/0")
    store.write()
    assert look_at(str(tmp_path), str(store.path)).needs == ()
