"""Three newcomers on a terminal of 80x24: an admin, somebody with a login alone, a programmer.

Each asks where the image is, as the README, ``docs/using.rst`` and ``docs/clients.rst`` say it,
on the grid of the other tests.  ``test_from_readme.py`` begins with the clone.  The screens are
here as text, with numbers and times as ``N`` and ``TIME``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.terminals import COLUMNS, ROWS, Terminal, as_text

from .dropping import DropBox
from .server import Server
from .test_reload import Configuration
from .test_reload import configuration as configuration  # a fixture
from .waiting import PATIENCE, until


def terminal(server: Server, *arguments: str | Path, **more: str) -> Terminal:
    """`omero ARGUMENTS` on a terminal; `more` goes into its environment."""
    environment = {**server.environment, "PYTHONUNBUFFERED": "1", **more}
    environment.pop("NO_COLOR", None)
    return Terminal([server.omero, *map(str, arguments)], environment, patience=PATIENCE)


def written(server: Server, *arguments: str | Path, **more: str) -> tuple[int, list[str]]:
    """Its exit code, and the lines that it writes."""
    with terminal(server, *arguments, **more) as command:
        return command.wait(), command.written


def test_an_admin_finds_the_image_of_a_file(dropbox: DropBox) -> None:
    """The README: drop a file, ask `omero fs status`, then `explain`."""
    path = dropbox.drop("cells.tif")
    dropbox.until_imported(path)
    code, lines = written(dropbox.server, "fs", "status", "--fail-on", "none")
    assert code == 0 and len(lines) < ROWS, lines
    assert all(len(line) <= COLUMNS for line in lines), lines
    assert re.search(r"\d+ on their way, [\d,]+ imported", " ".join(lines[:2])), lines
    code, lines = written(dropbox.server, "fs", "explain", path)
    assert all(len(line) <= COLUMNS for line in lines), lines
    watched = dropbox.directory.parents[1]
    lines = as_text(lines, path, watched)
    assert (code, lines) == (
        0,
        [
            "<cells.tif>",
            "  whose:    of amy, by the rule for default in <DropBox>",
            "  journal:  id N, a fileset of N file",
            "  TIME  met",
            lines[4],  # the reader depends on the way of grouping
            "  TIME  attempt N begins",
            "  TIME  imported",
            "  now:      imported for N s",
            "  OMERO:    Fileset:N",
            "  image:    Image:N",
        ],
    )
    assert re.fullmatch(r"  TIME  at rest and whole, grouped .*: queued", lines[4]), lines


@pytest.mark.long  # several commands that log in; test_published.py has it without a terminal
def test_a_user_with_a_login_and_no_shell_finds_it(
    dropbox: DropBox, configuration: Configuration
) -> None:
    """docs/web.rst and `omero fs explain -h`: OMERO itself tells it, from any machine."""
    configuration.set(publishInterval="1")
    dropbox.server.ask("fs", "reload")
    path = dropbox.drop("cells.tif")
    dropbox.until_imported(path)
    server, name = dropbox.server, f"{dropbox.directory.name}/cells.tif"
    login = ["-C", "-q", "--sudo", "root", "-s", "localhost", "-p", str(dropbox.omero.port)]
    asked = [*login, "-u", "amy", "fs", "explain", name]

    def told() -> bool:
        done = server.run(*asked, check=False, OMERO_PASSWORD=server.root_password)
        return "Image:" in done.stdout

    until("amy's document tells of it", told, evidence=server.evidence)
    code, lines = written(server, *asked, OMERO_PASSWORD=server.root_password)
    assert (code, as_text(lines[-3:], Path(name))) == (
        0,
        ["N  imported  <cells.tif>", "    since TIME", "    Image:N"],
    ), lines

    # Somebody else's login.  Whether zak has a document depends on the tests before.
    others = [*login, "-u", "zak", "fs", "explain", name]
    code, lines = written(server, *others, OMERO_PASSWORD=server.root_password)
    assert code in (2, 7), lines
    assert "only they may ask for: `omero -u NAME fs explain`" in " ".join(lines), lines
    configuration.reset()
    server.ask("fs", "reload")


def test_a_programmer_sees_the_event_of_it(grid: Server, tmp_path: Path) -> None:
    """The README on `omero fs watch`: what a client of FSServer is told."""
    with terminal(grid, "fs", "watch", tmp_path, "--count", "1", "--timeout", "60") as watch:
        watch.until(lambda text: "watching " in text)
        (tmp_path / "cells.tif").write_bytes(b"II*\0")
        code = watch.wait()
    assert (code, as_text(watch.written, tmp_path)) == (
        0,
        [f"watching <{tmp_path.name}>", f"TIME Create <{tmp_path.name}>/cells.tif"],
    )
