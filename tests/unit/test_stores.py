from __future__ import annotations

import hashlib
from typing import ClassVar

import pytest

from omero_fs_plugin import stores


@pytest.mark.parametrize(
    ("path", "store"),
    [
        ("/in/amy/a.zarr/0/0.0", "/in/amy/a.zarr/"),
        ("/in/amy/a.zarr/.zattrs", "/in/amy/a.zarr/"),
        ("/in/amy/A.OME.ZARR/c/0/0", "/in/amy/A.OME.ZARR/"),
        ("/in/amy/out.zarr/in.zarr/0", "/in/amy/out.zarr/"),
        ("/in/amy/a.zarr/", "/in/amy/a.zarr/"),
        ("/in/amy/plain/", "/in/amy/plain/"),
        ("/in/amy/a.zarr", ""),  # a file, as far as the path tells
        ("/in/amy/a.zarr.partial/0", ""),
        ("/in/amy/.zarr/0", ""),
        ("/in/amy/azarr/0", ""),
        ("/elsewhere/a.zarr/0", ""),
    ],
)
def test_the_store_of_a_path_follows_from_the_names(path: str, store: str) -> None:
    assert stores.store_by_name("/in/amy", path) == store


def test_the_users_own_directory_is_no_store() -> None:
    assert stores.store_by_name("/in/amy.zarr", "/in/amy.zarr/a.tif") == ""


def test_the_metadata_at_the_top_comes_first_and_the_rest_by_name() -> None:
    names = ["0/0.1", "0/.zarray", ".zgroup", "0/0.0", ".zattrs", ".zmetadata"]
    assert stores.in_order(names) == [
        ".zattrs",
        ".zgroup",
        ".zmetadata",
        "0/.zarray",
        "0/0.0",
        "0/0.1",
    ]


class TestTheDigest:
    SHA1S: ClassVar = {".zattrs": "a" * 40, "0/0.0": "b" * 40}

    def test_it_depends_on_each_name_and_each_content(self) -> None:
        changed = [
            {**self.SHA1S, "0/0.0": "c" * 40},
            {**self.SHA1S, "0/0.1": "b" * 40},
            {".zattrs": "b" * 40, "0/0.0": "a" * 40},
            {".zattrs": "a" * 40},
            {".zattrs": "a" * 40, "0/0.1": "b" * 40},
        ]
        digests = {stores.digest(one) for one in (self.SHA1S, *changed)}
        assert len(digests) == 1 + len(changed)

    def test_it_does_not_depend_on_the_order(self) -> None:
        assert stores.digest(self.SHA1S) == stores.digest(dict(reversed(self.SHA1S.items())))

    def test_it_is_as_long_as_a_sha1_and_not_that_of_its_own_list(self) -> None:
        listed = "".join(f"{sha1} {name}\0" for name, sha1 in sorted(self.SHA1S.items()))
        assert len(stores.digest(self.SHA1S)) == 40
        assert stores.digest(self.SHA1S) != hashlib.sha1(listed.encode()).hexdigest()

    def test_it_follows_from_what_omero_has(self) -> None:
        paths = ["in/amy/a.zarr/.zattrs", "in/amy/a.zarr/0/0.0"]
        assert stores.digest_of_copies(paths, ["a" * 40, "b" * 40]) == stores.digest(self.SHA1S)

    @pytest.mark.parametrize(
        ("paths", "sha1s"),
        [
            (["in/amy/a.tif"], ["a" * 40]),
            (["in/amy/a.zarr/.zattrs", "in/amy/b.tif"], ["a" * 40, "b" * 40]),
            (["in/amy/a.zarr/.zattrs", "in/amy/a.zarr/0"], ["a" * 40, None]),
        ],
        ids=["a file", "a file elsewhere", "a copy without a SHA1"],
    )
    def test_there_is_none_of_what_is_no_whole_store(
        self, paths: list[str], sha1s: list[str | None]
    ) -> None:
        assert stores.digest_of_copies(paths, sha1s) == ""
