"""OMERO's own commands, on the server that gets the files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from . import images
from .api import Omero
from .dropping import DropBox
from .server import Server


@pytest.fixture(scope="module")
def logged_in(grid: Server, omero_api: Omero) -> Server:
    """`omero login` as root; its sessions are the tests' own."""
    login = ("login", "-s", "localhost", "-p", str(omero_api.port), "-u", "root")
    done = grid.run(*login, OMERO_PASSWORD=grid.root_password)
    assert "session for root@localhost" in done.stderr
    return grid


@pytest.fixture(scope="module")
def told(logged_in: Server, new_dropbox: Callable[..., DropBox]) -> dict[str, str]:
    """What each command said; `IMAGE` is one that was dropped."""
    place = new_dropbox("amy", "cli")
    (fileset,) = place.until_imported(place.drop("beads.ome.tiff", images.ome_tiff()))
    commands = ["sessions list", "sessions who", "user list", "group list", "fs repos", "fs -h"]
    commands += [f"obj get Image:{fileset.images[0].id}", "admin status --nodeonly"]
    # One by one: each writes anew whose login is the last, and one that reads this
    # meanwhile finds nothing.
    ends = {words: logged_in.ask(*words.split()) for words in commands}
    return {words.split(":")[0]: done.stdout for words, done in ends.items()}


def test_sessions_list_and_who(told: dict[str, str]) -> None:
    assert "root" in told["sessions list"]
    assert "root" in told["sessions who"]


def test_user_list_and_group_list(told: dict[str, str], omero_api: Omero) -> None:
    assert all(name in told["user list"] for name in ("root", "amy", "zak"))
    assert omero_api.default_group("amy") in told["group list"]


def test_fs_repos_names_the_managed_repository(told: dict[str, str], omero_api: Omero) -> None:
    (line,) = [line for line in told["fs repos"].splitlines() if "Managed" in line]
    assert str(omero_api.managed_repository()) in line


def test_obj_get_of_an_imported_image(told: dict[str, str]) -> None:
    assert "beads.ome.tiff" in told["obj get Image"]


def test_fs_lists_omeros_subcommands_and_ours(told: dict[str, str]) -> None:
    omeros = {"images", "importtime", "logfile", "ls", "mkdir", "rename", "repos", "sets", "usage"}
    ours = {"install", "uninstall", "status", "import", "watch"}
    assert omeros | ours <= set(told["fs -h"].split())


def test_diagnostics_names_dropbox(grid: Server) -> None:
    done = grid.run("admin", "diagnostics", check=False)
    assert "Traceback" not in done.stdout + done.stderr
    assert "DropBox" in done.stdout


def test_logout_ends_the_session(logged_in: Server, omero_api: Omero) -> None:
    key = logged_in.ask("sessions", "key").stdout.strip()
    assert key in omero_api.session_keys("root")
    logged_in.run("logout")
    assert key not in omero_api.session_keys("root")
