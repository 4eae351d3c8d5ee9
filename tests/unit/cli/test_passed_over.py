"""Why a file is passed over: the same answer as DropBox's own filter, with its reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omero_fs_plugin.cli.passed_over import rule_around, user_of, why_passed_over
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.confine import DEEPEST
from omero_fs_plugin.dropbox.places import Places

NAMES = (
    *("a.tif", "b.czi", ".hidden.tif", "Thumbs.db", "a.tif.tmp", "a.tif~", "sub/a.tif"),
    *(".git/a.tif", "@eaDir/a.tif", "secret/a.tif", "secret.tif", "sub/deep/b.czi"),
)


def settings(data: Path, **properties: str) -> Settings:
    given = {f"omero.fs.{name}": value for name, value in properties.items()}
    return read({"omero.data.dir": str(data), **given})


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"whitelist": ".czi"},
        {"blacklist": "secret,.czi"},
        {"ignoreSysFiles": "False"},
        {"pathMode": "Flat"},
        {"importUsers": "amy;default", "whitelist": ".tif;"},
    ],
    ids=lambda properties: ",".join(properties) or "defaults",
)
def test_it_is_what_dropbox_passes_over(tmp_path: Path, properties: dict[str, str]) -> None:
    of = settings(tmp_path, **properties)
    places = Places(of.rules)
    for user in ("amy", "zak"):
        for name in NAMES:
            path = tmp_path / "DropBox" / user / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            hidden = any(part.startswith(".") for part in Path(name).parts)  # no rescan meets it
            passes = places.passes(str(path)) and not hidden
            assert (why_passed_over(str(path), of) == "") == passes, name


@pytest.mark.parametrize(
    ("name", "properties", "why"),
    [
        ("Thumbs.db", {}, "a system file (omero.fs.ignoreSysFiles): what Windows Explorer"),
        ("a.tif.6EcE1dBa", {}, "files of a copy under way: the AWS command line and boto3"),
        ("a.tif.part.minio", {}, "files of a copy under way: MinIO's mc and"),
        (".zgroup", {}, ""),
        ("@eaDir/a.tif", {}, "lies in @eaDir: a system file"),
        ("a.tif", {"blacklist": ".tif"}, "on omero.fs.blacklist"),
        ("a.tif", {"whitelist": ".czi"}, "not on omero.fs.whitelist"),
        ("sub/a.tif", {"pathMode": "Flat"}, "omero.fs.pathMode is Flat"),
        ("x/" * (DEEPEST + 1) + "a.tif", {}, "lies more than 100 directories deep"),
        ("omero-fs.toml", {}, "a sidecar"),
        ("../stray.tif", {}, "lies in no user's directory"),
    ],
)
def test_the_reason(tmp_path: Path, name: str, properties: dict[str, str], why: str) -> None:
    of = settings(tmp_path, **properties)
    path = os.path.normpath(tmp_path / "DropBox/amy" / name)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).touch()
    assert why in why_passed_over(path, of)


def test_a_link_and_a_file_elsewhere(tmp_path: Path) -> None:
    of = settings(tmp_path)
    (tmp_path / "DropBox/amy").mkdir(parents=True)
    link = tmp_path / "DropBox/amy/link.tif"
    link.symlink_to(tmp_path)
    assert why_passed_over(str(link), of).startswith("a symbolic link")
    assert f"watched is {tmp_path}/DropBox" in why_passed_over("/elsewhere.tif", of)


def test_whose_file_it_is(tmp_path: Path) -> None:
    of = settings(tmp_path, importUsers="amy;default", watchDir=f"{tmp_path}/own;")
    for path, user in ((f"{tmp_path}/own/a.tif", "amy"), (f"{tmp_path}/DropBox/zak/a", "zak")):
        rule = rule_around(path, of)
        assert rule is not None and user_of(path, rule) == user
    assert rule_around("/elsewhere", of) is None
