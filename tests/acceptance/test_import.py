"""A file in a user's DropBox becomes an image of that user."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from . import images
from .api import Fileset, Omero, client_path
from .dropping import DropBox, sha1
from .server import Server


@dataclass(frozen=True)
class Dropped:
    """A file that was dropped, and what OMERO made of it."""

    path: Path
    user: str
    fileset: Fileset


@pytest.fixture(scope="module")
def both(
    new_dropbox: Callable[..., DropBox], run_name: str, watch_dir: Path
) -> Iterator[dict[str, Dropped]]:
    """An OME-TIFF of amy's and a DICOM of zak's, imported: format -> what it became.

    They lie in the users' directories themselves, as users put them.
    """
    amys, zaks = (new_dropbox(user, "first") for user in ("amy", "zak"))
    tiff = watch_dir / "amy" / f"{run_name}.ome.tiff"
    dicom = watch_dir / "zak" / f"{run_name}.dcm"
    try:
        tiff.write_bytes(images.ome_tiff(c=2, z=3, y=48, x=64))
        dicom.write_bytes(images.dicom("CT_small.dcm"))
        (amys_fileset,) = amys.until_imported(tiff)
        (zaks_fileset,) = zaks.until_imported(dicom)
        yield {
            "OME-TIFF": Dropped(tiff, "amy", amys_fileset),
            "DICOM": Dropped(dicom, "zak", zaks_fileset),
        }
    finally:
        tiff.unlink(missing_ok=True)
        dicom.unlink(missing_ok=True)


FORMATS = pytest.mark.parametrize("kind", ["OME-TIFF", "DICOM"])


@FORMATS
def test_imported_as_the_user_into_the_users_default_group(
    both: dict[str, Dropped], omero_api: Omero, kind: str
) -> None:
    one = both[kind]
    group = omero_api.default_group(one.user)
    assert (one.fileset.owner, one.fileset.group) == (one.user, group)
    assert [(image.owner, image.group) for image in one.fileset.images] == [(one.user, group)]


@pytest.mark.parametrize(
    ("kind", "size", "pixel_type"),
    [
        ("OME-TIFF", (64, 48, 3, 2, 1), "uint16"),
        ("DICOM", (128, 128, 1, 1, 1), "int16"),
    ],
    ids=["OME-TIFF", "DICOM"],
)
def test_image_has_the_files_size_planes_and_pixel_type(
    both: dict[str, Dropped], kind: str, size: tuple[int, ...], pixel_type: str
) -> None:
    assert [(image.size, image.kind) for image in both[kind].fileset.images] == [(size, pixel_type)]


@FORMATS
def test_downloaded_from_omero_the_file_is_the_source(
    both: dict[str, Dropped], omero_api: Omero, kind: str
) -> None:
    (stored,) = both[kind].fileset.files
    assert stored.size == both[kind].path.stat().st_size
    assert stored.sha1 == sha1(both[kind].path)
    assert omero_api.sha1_read_back(stored) == sha1(both[kind].path)


@FORMATS
def test_file_in_the_managed_repository_is_the_source(
    both: dict[str, Dropped], omero_api: Omero, kind: str
) -> None:
    repository = omero_api.managed_repository()
    if not repository.is_dir():
        pytest.skip(f"the managed repository, {repository}, is not on this machine")
    (stored,) = both[kind].fileset.files
    assert sha1(repository / stored.path) == sha1(both[kind].path)


@FORMATS
def test_one_fileset_and_no_more(
    both: dict[str, Dropped], new_dropbox: Callable[..., DropBox], kind: str
) -> None:
    new_dropbox("amy").assert_once(both[kind].path)


@FORMATS
def test_source_stays_where_it_was_dropped(both: dict[str, Dropped], kind: str) -> None:
    assert both[kind].path.is_file()


def test_status_shows_users_files_and_image_ids(both: dict[str, Dropped], grid: Server) -> None:
    status = grid.status()
    assert set(status) >= {"servers", "monitors", "counts", "filesets"}
    assert status["servers"] == {"FSServer": "active", "DropBox": "active"}
    assert status["monitors"]
    assert status["counts"]["imported"] >= len(both)
    told = grid.run("fs", "status", "--limit", "0", "--fail-on", "down").stdout
    for one in both.values():
        (listed,) = [f for f in status["filesets"] if f["files"] == [str(one.path)]]
        assert (listed["user"], listed["state"]) == (one.user, "imported")
        assert listed["images"] == [image.id for image in one.fileset.images]
        assert str(one.path) in told


NAMES = {
    "spaces": " two  words .tif",
    "unicode": "größe-µm-細胞-🔬.tif",
    "decomposed": "Mu\u0308ller.tif",
    "newline": "first\nsecond.tif",
    "tab": "a\tb.tif",
    "leading dash": "-rf.tif",
    "shell": "$(touch x) `id` 'a' \"b\" & ; | > * ?.tif",
    "brackets": "[bold red]x[/] {0} %s %n.tif",
    "255 bytes": "n" * 251 + ".tif",
    "255 bytes of umlauts": "ü" * 125 + "n.tif",
    "device": "con.tif",
    "dollar first": "$a.tif",
    "backslash": "a\\b.tif",
    "dots last": "dots../a.tif",
    "deep": "a/b/c/d/e/f/deep.tif",
    "directory with spaces and newline": "day 1\n/-x/a b.tif",
}


@pytest.fixture(scope="module")
def awkward(new_dropbox: Callable[..., DropBox]) -> tuple[DropBox, dict[str, Path]]:
    """A file under each of NAMES, dropped."""
    place = new_dropbox("amy", "names")
    return place, {label: place.drop(name) for label, name in NAMES.items()}


@pytest.mark.parametrize("label", NAMES)
def test_name_is_no_obstacle(awkward: tuple[DropBox, dict[str, Path]], label: str) -> None:
    place, paths = awkward
    path = paths[label]
    (fileset,) = place.until_imported(path)
    assert fileset.owner == "amy"
    assert [stored.sha1 for stored in fileset.files] == [sha1(path)]
    assert client_path(path).endswith(Path(client_path(NAMES[label])).name)
    place.assert_once(path)


def test_many_small_files_at_once_are_imported_once_each(dropbox: DropBox) -> None:
    paths = dropbox.drop_many(30)
    filesets = dropbox.until_imported(*paths)
    assert [f.files[0].sha1 for f in filesets] == [sha1(path) for path in paths]
    dropbox.assert_once(*paths)


def test_directory_moved_in_with_its_files(dropbox: DropBox, tmp_path: Path) -> None:
    outside = dropbox.directory.parent / f".{dropbox.directory.name}"  # same file system
    (outside / "inner").mkdir(parents=True)
    for name in ("one.tif", "inner/two.tif"):
        (outside / name).write_bytes(images.tiff())
    moved = dropbox.directory / "moved"
    outside.rename(moved)
    paths = [moved / "one.tif", moved / "inner/two.tif"]
    dropbox.until_imported(*paths)
    dropbox.assert_once(*paths)


@dataclass(frozen=True)
class Unwanted:
    """Files that must not be imported, after all the files dropped with them are in OMERO."""

    place: DropBox
    secret: Path  # a file outside of every DropBox
    led_to: list[Path]  # links to it, and the file itself
    pipe: Path
    nobodys: Path  # in a directory that bears no user's name


@pytest.fixture(scope="module")
def unwanted(
    new_dropbox: Callable[..., DropBox],
    run_name: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Unwanted:
    place = new_dropbox("amy", "unwanted")
    secret = tmp_path_factory.mktemp("outside") / "secret.tif"
    secret.write_bytes(images.tiff())
    link, directory, pipe, dangling = (
        place.directory / name for name in ("link.tif", "directory", "pipe.tif", "dangling.tif")
    )
    os.mkfifo(pipe)
    link.symlink_to(secret)
    directory.symlink_to(secret.parent)
    dangling.symlink_to(secret.with_name("nothing.tif"))
    nobodys = new_dropbox(f"nobody-{run_name}").drop("image.tif")
    place.until_settled()
    return Unwanted(place, secret, [link, directory / secret.name, secret], pipe, nobodys)


def test_link_to_a_file_outside_is_not_imported(unwanted: Unwanted) -> None:
    omero = unwanted.place.omero
    assert not any(omero.fileset_ids(*unwanted.led_to).values())
    digest = sha1(unwanted.secret)
    assert not omero.rows("select o.id from OriginalFile o where o.hash = :sha1", sha1=digest)


def test_pipe_is_not_imported_and_blocks_nothing(unwanted: Unwanted) -> None:
    assert unwanted.place.omero.fileset_ids(unwanted.pipe) == {unwanted.pipe: []}


def test_directory_of_no_user_is_reported_and_left_alone(
    unwanted: Unwanted, grid: Server, run_name: str
) -> None:
    status = grid.run("fs", "status", check=False)
    assert f"nobody-{run_name}" in status.stdout + status.stderr
    assert unwanted.nobodys.is_file()
    assert unwanted.place.omero.fileset_ids(unwanted.nobodys) == {unwanted.nobodys: []}
    assert not grid.of_file(unwanted.nobodys)
