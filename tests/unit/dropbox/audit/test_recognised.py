"""Whether a fileset of OMERO is the one that the journal means: OMERO may give an id anew."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.blitz.inventory import Kept
from omero_fs_plugin.dropbox.audit.filesets import _Page, _recognise
from omero_fs_plugin.dropbox.journal.seen import Met


def row(path: str = "/in/amy/a.tif") -> Any:
    return SimpleNamespace(id=1, server_fileset=100, path=path)


def kept(path: str, size: int) -> Kept:
    return Kept(1, 100, 1, path, "amy/x", size, "", "")


def recognised(files: dict[str, int], *of_omero: Kept, path: str = "/in/amy/a.tif") -> bool:
    met = {one: Met(1, 2, size, 3) for one, size in files.items()}
    page = _Page([row(path)], {1: met} if met else {})
    _recognise(page, of_omero)
    return 100 in page.ours


@pytest.mark.parametrize(
    ("files", "of_omero", "ours"),
    [
        ({"/in/amy/a.tif": 5}, [kept("in/amy/a.tif", 5)], True),
        ({"/in/amy/a.tif": 5}, [kept("in/amy/a.tif", 6)], True),  # changed: told elsewhere
        ({"/in/amy/b.tif": 5}, [kept("in/amy/a.tif", 5)], True),  # renamed since
        ({"/in/amy/a.tif": 5}, [kept("in/zak/z.czi", 7)], False),
        ({"/in/amy/a.tif": 5}, [kept("in/zak/z.czi", 7), kept("in/amy/a.tif", 5)], True),
        ({}, [kept("in/zak/z.czi", 7)], True),  # the journal does not know its files
    ],
)
def test_by_a_path_or_a_size(files: dict[str, int], of_omero: list[Kept], ours: bool) -> None:
    assert recognised(files, *of_omero) is ours


def test_a_store_is_known_by_its_row_alone() -> None:
    assert recognised({"/in/amy/a.zarr/x": 5}, kept("elsewhere", 7), path="/in/amy/a.zarr/")


class Sizes(dict[str, Met]):
    """Counts how often all files of a fileset are gone through."""

    times = 0

    def values(self) -> Any:
        Sizes.times += 1
        return super().values()


def test_a_very_large_set_is_gone_through_once() -> None:
    """A plate of 63,001 files would else take 63,001 times as long."""
    for strange in (False, True):
        names = [f"in/amy/plate/{number}.tif" for number in range(2_000)]
        met = Sizes({f"/{name}": Met(1, 2, 9, 3) for name in names})
        page = _Page([row("/in/amy/plate/a.htd")], {1: met})
        Sizes.times = 0
        other = "other/" if strange else ""
        _recognise(page, [kept(f"{other}{name}", 8) for name in names])
        assert (100 in page.ours) is not strange and Sizes.times <= 1
