"""OMERO's image for Docker, laid out as directories: what its entry point does at each start.

No Docker engine is needed.  The image has an OMERODIR with stock templates, a virtual environment,
and directories `startup` and `config`.  The entry point runs each executable of `startup` in the
order of the names, and ends when one fails; the last of them becomes OMERO.  A new image has stock
templates again.  Our image has an entry point of our own, for the sake of the stop.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import EXTERNAL

from . import images
from .server import Server, search_path
from .waiting import until

TOP = Path(__file__).parents[2]
OURS = TOP / "docker" / "startup" / "55-omero-fs.sh"
STOP_S = 60.0  # Docker's patience in docker/compose.yaml
DOCKERS_S = 10.0  # ... and where nothing else is said
OUR_ENTRY = TOP / "docker" / "entrypoint.sh"
_TEMPLATES = ("templates.xml", "default.xml")

# As the image has it: the files of config/ first, then the environment.
_CONFIG = """#!{python}
import os, re, subprocess
subprocess.run(["omero", "load", "--glob", "{config}/*.omero"], check=True)
for key, value in os.environ.items():
    if key.startswith("CONFIG_"):
        name = re.sub("([^_])_([^_])", r"\\1.\\2", key[7:]).replace("__", "_")
        subprocess.run(["omero", "config", "set", "--", name, value], check=True)
"""
_RUN = """#!/bin/bash
set -eu
exec omero admin start --foreground
"""
# OMERO's own, which our startup script has to do with as well.
_ENTRY = """set -e
for f in {startup}/*; do
    if [ -f "$f" -a -x "$f" ]; then "$f"; fi
done
"""

pytestmark = pytest.mark.skipif(EXTERNAL in os.environ, reason="it has a server of its own")


class Image:
    """The directories of the image, and a container while one runs."""

    def __init__(self, top: Path) -> None:
        self.omerodir = top / "OMERO.server"
        self.startup, self.config = top / "startup", top / "config"
        for directory in (self.startup, self.config):
            directory.mkdir()
        self._omero("fs", "sandbox", "create", "--no-install", str(self.omerodir))
        self.stock = {name: self._template(name).read_bytes() for name in _TEMPLATES}
        self.put("50-config.py", _CONFIG.format(python=sys.executable, config=self.config))
        shutil.copy2(OURS, self.startup)
        self.put("99-run.sh", _RUN)
        self.environment = {
            **{key: value for key, value in os.environ.items() if key != "OMERO_CONFIG"},
            "PATH": f"{self.omerodir / 'bin'}:{search_path()}",
            "OMERODIR": str(self.omerodir),
            "OMERO_VENV": str(Path(sys.executable).parents[1]),
            "OMERO_STARTUP": str(self.startup),
            "CONFIG_omero_fs_dirImportWait": "1",
        }
        self.server = Server(
            self.omerodir,
            omero=str(self.omerodir / "bin" / "omero"),
            path=search_path(),
            userdir=top,
            root_password="omero",
            sandbox=True,
        )
        self._container: subprocess.Popen[str] | None = None
        self._printed = top / "printed"

    def put(self, name: str, script: str) -> None:
        path = self.startup / name
        path.write_text(script, encoding="utf-8")
        path.chmod(0o755)

    def _template(self, name: str) -> Path:
        return self.omerodir / "etc" / "templates" / "grid" / name

    def templates(self) -> dict[str, bytes]:
        return {name: self._template(name).read_bytes() for name in _TEMPLATES}

    def upgrade(self) -> None:
        """The templates are those of OMERO again."""
        for name, content in self.stock.items():
            self._template(name).write_bytes(content)

    @staticmethod
    def _omero(*words: str) -> None:
        omero = shutil.which("omero", path=search_path())
        assert omero
        subprocess.run([omero, *words], check=True, capture_output=True, timeout=120)

    def start(self, *, ours: bool = True, inside: Sequence[str] = (), **environment: str) -> None:
        """The container, with our entry point or OMERO's: it prints to a file.

        What is `inside` goes before the command.
        """
        entry = [str(OUR_ENTRY)] if ours else ["-c", _ENTRY.format(startup=self.startup)]
        with self._printed.open("w", encoding="utf-8") as printed:
            self._container = subprocess.Popen(
                [*inside, "/bin/bash", *entry],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env={**self.environment, **environment},
                start_new_session=True,
                text=True,
            )

    def ended(self) -> int | None:
        assert self._container is not None
        return self._container.poll()

    def printed(self) -> str:
        return self._printed.read_text(encoding="utf-8")

    def until_up(self) -> None:
        def up() -> bool:
            assert self.ended() is None, self.printed()
            return bool(self.server.status(healthy=True))

        until("FSServer and DropBox are active", up, evidence=self.printed)

    def stop(self, patience: float = STOP_S) -> None:
        """`docker stop` of our image."""
        assert self._container is not None
        self._container.terminate()
        assert self._container.wait(timeout=patience) == 0, self.printed()
        assert not self.server.processes()

    def stop_omeros(self) -> None:
        """`docker stop` of OMERO's: all get SIGTERM, the script ends, and so the rest is killed."""
        assert self._container is not None
        os.killpg(self._container.pid, signal.SIGTERM)
        self._container.wait(timeout=STOP_S)
        self.kill()

    def kill(self) -> None:
        """Everything in the container."""
        while left := self.server.processes():
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        if self._container is not None:
            self._container.wait(timeout=STOP_S)

    def close(self) -> None:
        self.kill()
        self.server.close()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if os.geteuid() == 0:
        pytest.skip("`omero` refuses to run as root")
    made = Image(tmp_path_factory.mktemp("image"))
    yield made
    made.close()


def drop(image: Image, name: str) -> Path:
    path = image.omerodir / "data" / "DropBox" / "amy" / name
    path.write_bytes(images.tiff())
    return path


def installs(image: Image, *, inside: Sequence[str] = (), **environment: str) -> str:
    """What the startup script prints."""
    done = subprocess.run(
        [*inside, "/bin/bash", str(OURS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**image.environment, **environment},
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


# As the image has it: nobody may change the virtual environment and the program; uid 1000.
_AS_IN_THE_IMAGE = """
set -e
for place in "$@"; do
    [ "$place" != -- ] || break
    mount --bind "$place" "$place"
    mount -o remount,bind,ro "$place"
    shift
done
shift
exec unshare --user --map-user 1000 --map-group 1000 -- "$@"
"""


def as_in_the_image() -> tuple[str, ...]:
    """What to put before a command.  Skips the test where no namespace can be had."""
    places = (str(Path(sys.executable).parents[1]), str(TOP))
    found = (
        *("unshare", "--user", "--map-root-user", "--mount"),
        *("/bin/bash", "-c", _AS_IN_THE_IMAGE, "bash", *places, "--"),
    )
    looks = f"id -u; touch '{places[0]}/x' '{places[1]}/x'"
    tried = subprocess.run(
        [*found, "/bin/sh", "-c", looks], capture_output=True, text=True, timeout=60, check=False
    )
    if tried.stdout.strip() != "1000":
        pytest.skip(f"no namespace of our own: {tried.stderr.strip()}")
    assert tried.returncode and tried.stderr.count("Read-only file system") == 2, tried.stderr
    return found


def test_a_second_start_changes_nothing_and_an_upgrade_is_mended(image: Image) -> None:
    assert "put in" in installs(image)
    first = image.templates()
    assert first != image.stock
    assert "already" in installs(image)
    assert image.templates() == first
    image.upgrade()
    assert "put in" in installs(image)
    assert image.templates() == first
    image.upgrade()


def test_a_venv_that_nobody_may_change_and_uid_1000(image: Image) -> None:
    inside = as_in_the_image()
    assert "put in" in installs(image)
    first = image.templates()
    image.upgrade()
    assert "put in" in installs(image, inside=inside)
    assert image.templates() == first
    assert "already" in installs(image, inside=inside)
    image.upgrade()


@pytest.mark.long
def test_a_container_of_uid_1000_with_such_a_venv(image: Image) -> None:
    inside = as_in_the_image()
    image.start(inside=inside)
    image.until_up()
    image.server.until_told(drop(image, "read only.tif"), states=("imported",))
    image.stop()
    image.upgrade()


def test_three_at_once_do_as_one_does(image: Image) -> None:
    """As when several containers share a volume, or a service is started twice."""
    directory = image.omerodir / "etc" / "templates" / "grid"
    installs(image)
    first, there = image.templates(), sorted(path.name for path in directory.iterdir())
    for before in (image.stock, first):
        for name, content in before.items():
            (directory / name).write_bytes(content)
        at_once = [
            subprocess.Popen(
                ["/bin/bash", str(OURS)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=image.environment,
            )
            for _ in range(3)
        ]
        for one in at_once:
            printed, _ = one.communicate(timeout=120)
            assert one.returncode == 0 and "omero-fs:" not in printed, printed
        assert image.templates() == first
        assert sorted(path.name for path in directory.iterdir()) == there, "a part is left"
        for name, content in image.stock.items():
            assert (directory / f"{name}.omero-fs-orig").read_bytes() == content
    image.upgrade()


# What an admin may write there by mistake, or somebody who means harm.
_HOSTILE = {
    "shell": ("CONFIG_omero_fs_target", "Dataset:name:$(touch {made});`touch {made}`"),
    "quotes": ("CONFIG_omero_fs_target", 'Dataset:name:"\'"; touch {made} #'),
    "lines": ("CONFIG_omero_fs_importers", "many\nomero-fs: all is well\nerror  it is not"),
    "option": ("CONFIG_omero_fs_importers", "--help"),
    "terminal": ("CONFIG_omero_fs_importers", "\x1b]0;title\x07\x1b[2J"),
    "long": ("CONFIG_omero_fs_importers", "9" * 50_000),
    "name": ("CONFIG_omero_fs_no\nerror  such", "1"),
    "empty name": ("CONFIG_", "1"),
    "not UTF-8": ("CONFIG_omero_fs_importers", "\udcff"),
}


@pytest.mark.parametrize(
    "kind",
    [
        kind if kind in ("lines", "terminal") else pytest.param(kind, marks=pytest.mark.long)
        for kind in _HOSTILE
    ],
)
def test_a_hostile_variable_is_one_line_at_most(image: Image, tmp_path: Path, kind: str) -> None:
    """It is in omero config, as the image puts it there, and in the environment."""
    made = tmp_path / "made"
    name, value = (text.replace("{made}", str(made)) for text in _HOSTILE[kind])
    config = image.omerodir / "etc" / "grid" / "config.xml"
    before = config.read_bytes() if config.exists() else None
    try:
        subprocess.run(
            [sys.executable, str(image.startup / "50-config.py")],
            capture_output=True,
            env={**image.environment, name: value},
            timeout=120,
            check=False,  # it is OMERO's script: where it fails, the container ends
        )
        printed = installs(image, **{name: value})
    finally:
        if before is None:
            config.unlink(missing_ok=True)
        else:
            config.write_bytes(before)
        image.upgrade()
    told = [line for line in printed.splitlines() if line.startswith("omero-fs:")]
    assert not made.exists()
    assert len(told) <= 1 and "all is well" not in "".join(told[1:]), printed
    assert all(len(line) < 2000 and line.isprintable() for line in told), printed
    assert "Traceback" not in printed
    if kind in ("lines", "option", "long"):
        assert told and "omero.fs.importers" in told[0], printed
    if kind == "terminal":  # no XML may have these, and `omero config` writes them all the same
        assert told and "config.xml is not well-formed XML" in told[0], printed


@pytest.mark.long
def test_two_upgrades_with_the_configuration_dropped_between(image: Image) -> None:
    """As the role does it, which starts from no configuration each time."""
    config = image.omerodir / "etc" / "grid" / "config.xml"
    kept = config.read_bytes()
    installs(image)
    first = image.templates()
    try:
        for _ in range(2):
            image.upgrade()
            image.server.run("config", "drop", "default")
            assert "put in" in installs(image)
            assert image.templates() == first
            assert "already" in installs(image)
    finally:
        config.write_bytes(kept)
        image.upgrade()


def test_an_omerodir_that_may_not_be_written_is_one_line_and_stays(image: Image) -> None:
    directory = image.omerodir / "etc" / "templates" / "grid"
    mode = directory.stat().st_mode
    files = [directory / "templates.xml", directory / "default.xml"]
    there = sorted(path.name for path in directory.iterdir())
    for path in files:
        path.chmod(0o444)
    directory.chmod(0o555)
    try:
        done = subprocess.run(
            ["/bin/bash", str(OURS)],
            capture_output=True,
            text=True,
            env=image.environment,
            timeout=120,
            check=False,
        )
    finally:
        directory.chmod(mode)
        for path in files:
            path.chmod(0o644)
    told = [line for line in (done.stdout + done.stderr).splitlines() if line]
    assert len(told) == 1 and "Permission denied" in told[0], told
    assert image.templates() == image.stock
    assert sorted(path.name for path in directory.iterdir()) == there, "a part is left"


@pytest.mark.long
def test_a_container_starts_again_and_again(image: Image) -> None:
    """Then another one, and one of a newer image: the second start changes nothing."""
    image.start()
    image.until_up()
    first = image.templates()
    assert first != image.stock
    assert image.server.config("omero.fs.dirImportWait") == "1"
    image.server.until_told(drop(image, "first.tif"), states=("imported",))
    image.stop()
    log = (image.omerodir / "var" / "log" / "DropBox.log").read_text()
    assert "DropBox has stopped" in log.splitlines()[-1], log[-2000:]

    image.start()
    image.until_up()
    assert image.templates() == first
    assert "already" in image.printed()
    image.stop()

    image.upgrade()
    image.start()
    image.until_up()
    assert image.templates() == first
    image.server.until_told(drop(image, "upgraded.tif"), states=("imported",))
    image.stop()


@pytest.mark.long
def test_a_stop_in_the_middle_of_imports_ends_in_docker_s_own_patience(image: Image) -> None:
    """Ten seconds, after which Docker kills: nothing is left to be killed, and nothing is half."""
    image.start()
    image.until_up()
    files = [drop(image, f"stopped {number}.tif") for number in range(30)]
    image.server.until_told(files[0], states=("imported",))
    began = time.monotonic()
    image.stop(DOCKERS_S)
    sys.stdout.write(f"measured: stopped after {time.monotonic() - began:.1f} s\n")
    log = (image.omerodir / "var" / "log" / "DropBox.log").read_text()
    assert "DropBox has stopped" in log.splitlines()[-1], log[-2000:]
    image.start()
    image.until_up()
    told = image.server.until_told(*files, states=("imported",))
    assert len({fileset["fileset"] for fileset in told}) == len(files)
    image.stop()


@pytest.mark.long
def test_omeros_own_entry_point_kills_everything_at_a_stop(image: Image) -> None:
    """The startup script alone, mounted into OMERO's image: nothing is lost, and nothing twice."""
    image.start(ours=False)
    image.until_up()
    files = [drop(image, f"killed {number}.tif") for number in range(5)]
    image.stop_omeros()
    image.upgrade()  # the next container is of a newer image
    image.start(ours=False)
    image.until_up()
    told = image.server.until_told(*files, states=("imported",))
    assert len({fileset["fileset"] for fileset in told}) == len(files)
    image.kill()


@pytest.mark.long
def test_what_is_wrong_is_one_line_and_omero_starts_all_the_same(image: Image) -> None:
    image.start(CONFIG_omero_fs_importers="many")
    until(
        "OMERO starts",
        lambda: "No descriptor given" in image.printed(),
        evidence=image.printed,
    )
    told = [line for line in image.printed().splitlines() if line.startswith("omero-fs:")]
    assert len(told) == 1, image.printed()
    assert "omero.fs.importers" in told[0]
    until("the grid runs", image.server.is_running, evidence=image.printed)
    image.stop()


@pytest.mark.long
def test_or_the_container_ends(image: Image) -> None:
    image.start(CONFIG_omero_fs_importers="many", OMERO_FS_REQUIRED="true")
    until("the container ends", lambda: image.ended() is not None, evidence=image.printed)
    assert image.ended() == 1
    assert not image.server.processes()
    image.server.configure("omero.fs.importers", "")


def test_templates_that_nobody_understands_are_left_alone(image: Image) -> None:
    broken = image.omerodir / "etc" / "templates" / "grid" / "templates.xml"
    content = broken.read_bytes()
    broken.write_bytes(content[:-20])
    try:
        done = subprocess.run(
            ["/bin/bash", str(OURS)], capture_output=True, text=True, env=image.environment
        )
        assert done.returncode == 0
        assert done.stderr.startswith("omero-fs: FSServer and DropBox are not in the grid: ")
        assert len(done.stderr.splitlines()) == 1
        assert broken.read_bytes() == content[:-20]
    finally:
        broken.write_bytes(content)
