"""omero.fs.pathMap: the paths of DropBox's directories on other machines."""

from __future__ import annotations

import pytest

from omero_fs_plugin.config.path_map import PATH_MAP, for_machine, translated


@pytest.mark.parametrize(
    ("machine", "path", "here"),
    [
        ("node2", "/data/DropBox/amy/a.tif", "/mnt/x/DropBox/amy/a.tif"),
        ("node2", "/data", "/mnt/x"),
        ("node2", "/database/a.tif", "/database/a.tif"),
        ("node2", "/data/nas/a.tif", "/nas/a.tif"),
        ("node3", "/data/DropBox/a.tif", "/srv/DropBox/a.tif"),
        ("node3", "/data/nas/a.tif", "/nas/a.tif"),
        ("host3", "/data/DropBox/a.tif", "/mnt/x/DropBox/a.tif"),
        ("node2", "/elsewhere", "/elsewhere"),
    ],
)
def test_a_path_on_another_machine(machine: str, path: str, here: str) -> None:
    paths = PATH_MAP.read("/data=/mnt/x/, node3:/data/=/srv, /data/nas=/nas")
    assert translated(path, for_machine(paths, ("host", machine))) == here


@pytest.mark.parametrize(
    ("entry", "path", "here"),
    [
        ("/data/run=1=/mnt/x", "/data/run=1/a.tif", "/mnt/x/a.tif"),
        ("/data==/mnt", "/data=/a.tif", "/mnt/a.tif"),
        ("/data=/mnt/x=y", "/data/a.tif", "/mnt/x=y/a.tif"),
        ("/data/a = b = /mnt/x y", "/data/a = b/a.tif", "/mnt/x y/a.tif"),
        ("/data/ä=/mnt/ö", "/data/ä/a.tif", "/mnt/ö/a.tif"),
        # Letters that look alike are others: a file system takes them for two names.
        ("/data/a\u0308=/mnt/ö", "/data/ä/a.tif", "/data/ä/a.tif"),
        ("//data//x/./=/mnt", "/data/x/a.tif", "/mnt/a.tif"),
        ("/data=/m,/data/x=/n,/data/x/y=/o", "/data/x/yy/a.tif", "/n/yy/a.tif"),
    ],
)
def test_names_that_are_hard_to_tell_apart(entry: str, path: str, here: str) -> None:
    assert translated(path, PATH_MAP.read(entry)) == here
    assert PATH_MAP.read(PATH_MAP.write(PATH_MAP.read(entry))) == PATH_MAP.read(entry)


def test_without_one_every_path_stays() -> None:
    assert PATH_MAP.read("") == ()
    assert translated("/data", ()) == "/data"


@pytest.mark.parametrize(
    "entry", ["/data=/mnt/x", "node2:/data=/mnt/x,/b=/c", '"/a,b=/mnt/x",n2:/c=/d e', ""]
)
def test_it_is_written_as_it_is_read(entry: str) -> None:
    assert PATH_MAP.write(PATH_MAP.read(entry)) == entry


@pytest.mark.parametrize(
    "entry",
    [
        *("/data", "data=/x", "/data=x", "/=/x", "/data=/", "n2/data=/x", ":/data=/x", "/a=/../b"),
        # The directory of all: no path begins with two slashes, so it would be for none.
        *("/.=/x", "//./=/x", "/data=/./"),
        # Two readings: nobody guesses which one is meant.
        *("/data/a=/b=/x", "n2:/data=/x=/y"),
    ],
)
def test_what_is_no_pair_of_paths_is_told(entry: str) -> None:
    with pytest.raises(ValueError, match="/DROPBOX/PATH=/PATH/THERE"):
        PATH_MAP.read(entry)


def test_one_directory_has_one_path_on_a_machine() -> None:
    with pytest.raises(ValueError, match="/data has two"):
        PATH_MAP.read("/data=/x,/data/=/y")
    assert len(PATH_MAP.read("/data=/x,n2:/data=/y")) == 2
