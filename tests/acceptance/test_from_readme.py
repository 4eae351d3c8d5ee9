"""Three newcomers with the README and its pages alone: from the clone to "where is my image".

They type on a terminal of 80x24.  The commands are those of the pages: the test takes them from
there, in their order, and only replaces what stands for the reader's own, such as paths.  The
screens are here as text, with numbers and times as ``N`` and ``TIME``.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import CHECKOUT
from tests.conftest import EXTERNAL
from tests.terminals import Terminal, as_text

from . import images

PATIENCE_S = 900.0  # a virtual environment is made
IMPORTED_S = 300.0  # a quiet period, and an import
_PROMPT = re.compile(r"<(\d+)>\$ *$", re.MULTILINE)
_COMMENT = re.compile(r"\s{2,}#.*|\s#\s.*")

SANDBOX_IS_MADE = """\
<omero-sandbox>: a sandbox, not an OMERO.server; start it with
  <omero-sandbox>/bin/omero admin start
and use it as amy, for example, with
  <omero-sandbox>/bin/omero -s localhost:N -u amy -w amy ..."""
JUST_DROPPED = """\
N on their way, N imported

On their way
     N  amy/image.tif  settling for N s (until it has been quiet for N s)"""
IMPORTED = """\
N on their way, N imported; last import N s ago

Newest
     N  amy/image.tif  Image:N N s ago"""
EXPLAINED = """\
<image.tif>
  whose:  of amy, by the rule for default in <DropBox>
  journal:  id N, a fileset of N file
  TIME  met
  TIME  at rest and whole: queued
  TIME  attempt N begins
  TIME  imported
  now:  imported for N s
  OMERO:  Fileset:N
  image:  Image:N"""
FROM_AFAR = """\
N need attention, N under way, N imported, N skipped
told N s ago, by OMERO

N  imported  image.tif
    since TIME
    Image:N"""
ONE_FROM_AFAR = """\
N  imported  image.tif
    since TIME
    Image:N"""


def literal_blocks(page: str, section: str) -> list[list[str]]:
    """The literal blocks of a section of a page, without comments."""
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    _, found, text = text.partition(f"\n{section}\n{'-' * len(section)}\n")
    assert found, f"{page} has no section {section}"
    text = re.split(r"\n\n\n[^\n]+\n-{3,}\n", text)[0]
    blocks = re.findall(r"(?:::|code-block:: \w+)\n\n((?:    [^\n]*\n|\n)+)", text)
    return [[line[4:] for line in block.rstrip().splitlines()] for block in blocks]


def commands(page: str, section: str) -> list[str]:
    """The commands of a section of a page, in their order."""
    lines = [line for block in literal_blocks(page, section) for line in block]
    return [_COMMENT.sub("", line).strip() for line in lines if line.strip()]


def the(begin: str, among: list[str]) -> str:
    """The one command that begins so."""
    (found,) = [command for command in among if command.startswith(begin)]
    return found


class Shell:
    """Bash on a terminal, as a person uses it."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._environment = {**environment, "PS1": "<$?>$ ", "HISTFILE": ""}
        self.terminal = Terminal(
            ["/bin/bash", "--norc", "--noprofile", "--noediting", "-i"],
            self._environment,
            patience=PATIENCE_S,
            where=str(directory),
        )
        self.terminal.until(lambda text: bool(_PROMPT.search(text)))

    def run(self, command: str, *known: Path) -> tuple[int, str]:
        """Types it, and waits for the next prompt: the exit code, and what stands between."""
        self.terminal.clear()
        begin = len(self.terminal.bytes)
        self.terminal.type(f"{command}\n")
        text = self.terminal.until(lambda text: bool(_PROMPT.search(text)))
        code = int(_PROMPT.findall(text)[-1])
        # As it was written: the terminal breaks a line that is too long for it, such as a command.
        written = self.terminal.lines(begin)
        assert _PROMPT.sub("", written[-1]) == "" or "admin" in command, written
        told = "\n".join(as_text(written[1:-1], *known))
        return code, re.sub(r"(?<=\S) {2,}", "  ", told)  # columns move with the numbers

    def until(self, command: str, shows: Callable[[str], bool], *known: Path) -> tuple[int, str]:
        """Types it again and again, until it shows that."""
        deadline = time.monotonic() + IMPORTED_S
        while True:
            code, text = self.run(command, *known)
            if shows(text):
                return code, text
            assert time.monotonic() < deadline, text
            time.sleep(2)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short name, as people have: it is on the screens."""
    made = Path(tempfile.mkdtemp(prefix="new-"))
    yield made
    omero = made / "omero-sandbox/bin/omero"
    if omero.exists():  # the test has failed before its end
        subprocess.run([omero, "admin", "stop"], check=False, capture_output=True, timeout=120)
    shutil.rmtree(made)


@pytest.fixture
def clone(place: Path) -> Path:
    """The checkout, as `git clone` gives it."""
    if not shutil.which("git") or not shutil.which("make"):
        pytest.skip("no git or no make, which the README asks for")
    origin, made = place / "origin", place / "omero-fs-plugin"
    left_out = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "*.egg-info")
    shutil.copytree(CHECKOUT, origin, symlinks=True, ignore=left_out)
    who = ["-c", "user.name=newcomer", "-c", "user.email=newcomer@example.org"]
    for command in (
        ["git", "-C", str(origin), "init", "-q"],
        ["git", "-C", str(origin), "add", "-A"],
        ["git", "-C", str(origin), *who, "commit", "-q", "-m", "as it is"],
        ["git", "clone", "-q", str(origin), str(made)],
    ):
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    return made


@pytest.fixture
def shell(clone: Path, place: Path) -> Iterator[Shell]:
    """In the clone, with a home of its own; pip may have what it has downloaded before."""
    home = place / "home"
    home.mkdir()
    links = (os.environ.get("PIP_FIND_LINKS"), os.environ.get("OMERO_FS_WHEELS"))
    environment = {
        "HOME": str(home),
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR") or str(Path.home() / ".cache" / "pip"),
        "PIP_FIND_LINKS": " ".join(filter(None, links)),
    }
    for name in ("PYTHON", "JAVA_HOME", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE"):
        if name in os.environ:
            environment[name] = os.environ[name]
    shell = Shell(clone, environment)
    yield shell
    shell.terminal.close()


@pytest.mark.skipif(EXTERNAL in os.environ, reason="it is about a sandbox of its own")
@pytest.mark.long  # a virtual environment, a quiet period of a minute, and three grids' starts
def test_from_the_clone_to_the_image(shell: Shell, clone: Path, place: Path) -> None:
    readme = commands("README.rst", "Try it")
    sandbox, image = place / "omero-sandbox", place / "image.tif"
    dropped = sandbox / "data/DropBox/amy/image.tif"
    image.write_bytes(images.tiff())

    def own(command: str, **values: str) -> str:
        """The command, with what is the reader's own."""
        mine = {"/srv/omero-sandbox": str(sandbox), "/some/image.tif": str(image), **values}
        for theirs, value in mine.items():
            command = command.replace(theirs, value)
        return command

    def done(begin: str, *, shows: str = "", **values: str) -> str:
        code, text = shell.run(own(the(begin, readme), **values), sandbox, dropped)
        assert (code, shows in text) == (0, True), text
        return text

    # An admin: what it is, then something to try things on.
    assert done("make demo").endswith("demo: N of N filesets imported")
    assert done("make sandbox") == SANDBOX_IS_MADE
    done("cd ")
    done("bin/omero admin start")
    done("cp ")
    status = the("bin/omero fs status", readme)
    done(status)  # nothing is wrong, whatever has come up by now
    code, told = shell.until(status, lambda text: "On their way" in text)
    assert (code, re.sub(r"(?m)^\w+ is starting, for N s\n", "", told)) == (0, JUST_DROPPED)
    assert shell.until(status, lambda text: "Image:" in text) == (0, IMPORTED)
    port = re.search(r"omero\.port=(\d+)", (sandbox / "etc/ice.config").read_text())
    assert port is not None, "where the README says that it is"
    done("bin/omero -s localhost:PORT", shows="name=image.tif", PORT=port[1])
    explain = f"bin/omero fs explain {dropped.relative_to(sandbox)}"
    code, told = shell.run(explain, dropped, dropped.parents[1])
    # Which reader has grouped it depends on whether Bio-Formats is there.
    assert (code, re.sub(r", grouped by \w+", "", told)) == (0, EXPLAINED)

    # Somebody with a login alone.
    using = commands("docs/using.rst", "How to see where your images are")
    login = {
        "omero -s omero.example.org -u amy": f"bin/omero -q -s localhost:{port[1]} -u amy -w amy",
        "day1/cells.tif": "image.tif",
    }
    asked = [own(one, **login) for one in using if one.startswith("omero -s")]
    assert shell.until(asked[0], lambda text: "Image:" in text) == (0, FROM_AFAR)
    assert shell.run(asked[1]) == (0, ONE_FROM_AFAR)

    # A programmer of another client.
    (run,), client = literal_blocks("docs/fsserver.rst", "An example")
    (place / "client.py").write_text("\n".join(client), encoding="utf-8")
    watched = place / "watched"
    watched.mkdir()
    words = own(
        run,
        **{
            "python client.py": f"{clone}/.venv/bin/python {place}/client.py",
            "$OMERODIR": str(sandbox),
            "/data/microscope": str(watched),
        },
    )
    with Terminal(shlex.split(words), dict(os.environ), patience=IMPORTED_S) as running:
        running.until(lambda text: "watching" in text)
        shutil.copy(image, watched / "cells.tif")
        running.until(lambda text: "Create" in text)
        assert as_text(running.written, watched) == [
            "watching <watched>",
            "Create <watched>/cells.tif",
        ]
        running.type("\x04")  # the end of its input
        assert running.wait() == 0

    done("bin/omero admin stop")
    done("rm -r ")
    assert not sandbox.exists()
