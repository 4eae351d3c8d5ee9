"""A sandbox of the campaign's own, whose DropBox has fault points."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from omero_fs_plugin.config.settings import JOURNAL_FILE
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.errors import JournalError
from tests.acceptance.api import Omero
from tests.acceptance.server import Server, made_sandbox, search_path
from tests.acceptance.waiting import until
from tests.bioformats import as_property

from . import faults

_DROPBOX = "<option>-m</option>\n        <option>omero_fs_plugin.dropbox.server</option>"
STANDBY = "Standby"  # a second DropBox, which waits for the lease of the first


@dataclass(frozen=True)
class Stored:
    """One file of one fileset in OMERO."""

    fileset: int
    owner: str
    client_path: str
    sha1: str | None  # as OMERO has it; lower-case hex
    place: str  # of its bytes, below the managed repository
    whole: bool  # the fileset has images
    on_disk: str = ""  # sha1 of its bytes in the repository; empty: not looked at


class Grid:
    """The sandbox, and what a campaign does to it and asks of it."""

    def __init__(self, server: Server, journal: str = "") -> None:
        self.server = server
        self._journal = journal
        self.faults = faults.Faults(server.omerodir / "var" / "faults")
        self._data = server.omerodir / "data"

    def directory(self, user: str) -> Path:
        """Where files of `user` are dropped."""
        return self._data / "DropBox" / user

    def journal(self) -> Journal:
        """To look at, never to write."""
        return Journal(self.journal_url, read_only=True)

    @property
    def journal_url(self) -> str:
        """Of the database that the journal is in."""
        return self._journal or f"sqlite:///{self._data / JOURNAL_FILE}"

    def is_held(self) -> bool:
        """Whether a DropBox has the lease."""
        try:
            journal = self.journal()
        except JournalError:  # not yet made
            return False
        try:
            return bool(journal.lease().holder)
        finally:
            journal.close()

    def kill(self, name: str) -> int:
        """kill -9 of a server; the process it was."""
        pid = self.server.pid(name)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return pid

    def children(self, name: str) -> list[int]:
        """Processes that a server started, such as its importers."""
        return _children().get(self.server.pid(name), [])

    def below(self, name: str) -> list[int]:
        """Its children, theirs, and so on."""
        children = _children()
        found, new = [], [self.server.pid(name)]
        while new:
            new = [child for parent in new for child in children.get(parent, ())]
            found += new
        return found

    def stored(self) -> list[Stored]:
        """Every file of every fileset."""
        config = self.server.whole_config()
        port = int(config.get("omero.ports.prefix", "") + config.get("omero.ports.ssl", "4064"))
        omero = Omero("localhost", port, self.server.root_password)
        try:
            with_images = omero.rows("select distinct f.id from Fileset f join f.images i")
            rows = omero.rows(
                "select f.id, u.omeName, e.clientPath, o.hash, o.path, o.name from Fileset f "
                "join f.usedFiles e join e.originalFile o join f.details.owner u"
            )
        finally:
            omero.close()
        whole = {i for (i,) in with_images}
        return [
            Stored(i, owner, path, sha1, directory + name, i in whole)
            for i, owner, path, sha1, directory, name in rows
        ]

    def sha1_on_disk(self, stored: Stored) -> str:
        """Of the bytes in the managed repository."""
        place = self._data / "ManagedRepository" / stored.place.lstrip("/")
        return hashlib.sha1(place.read_bytes()).hexdigest()


def _children() -> dict[int, list[int]]:
    """Process -> those that it started, of all that run."""
    found: dict[int, list[int]] = {}
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdigit():
                stat = (process / "stat").read_text(errors="replace")
                parent = int(stat.rpartition(")")[2].split()[1])
                found.setdefault(parent, []).append(int(process.name))
    return found


@contextmanager
def grid(
    omerodir: Path,
    users: Sequence[str],
    *,
    quiet_period: float,
    keep: bool = False,
    journal: str = "",
    lease: float = 0.0,
    bioformats: bool = True,
    fault_points: bool = True,
    **properties: str,
) -> Iterator[Grid]:
    """A sandbox in `omerodir`, running; removed at the end unless `keep`.

    `quiet_period` is in seconds.  `journal` is omero.fs.journal.  With `lease`
    there are two DropBoxes, of which one takes over from the other that has
    stood still for so many seconds.  Without `bioformats` no Java is started, which
    takes longer than all else that a DropBox does at its start.  Without `fault_points`
    DropBox is started as everywhere.  `properties`: others of omero.fs.*.
    """
    omero = made_sandbox(omerodir, users)
    server = Server(
        omerodir,
        omero=omero,
        path=search_path(),
        userdir=omerodir / "var",
        root_password="omero",
        sandbox=True,
    )
    try:
        made = Grid(server, journal)
        if fault_points:
            _put_in_fault_points(omerodir, lease)
        _put_in_zarr_reader(omerodir)
        properties["dirImportWait"] = str(quiet_period)
        if journal:
            properties["journal"] = journal
        if jars := as_property() if bioformats else "none":
            properties["bioformatsJars"] = jars
        server.configure_all({f"omero.fs.{name}": value for name, value in properties.items()})
        server.run("admin", "start")
        try:
            if lease:  # either may have it, and for `omero fs status` the other is not well
                until("a DropBox has the lease", made.is_held, evidence=server.evidence)
            else:
                server.until_healthy()
            yield made
        finally:
            server.stop()
    finally:
        server.close()
        if not keep:
            shutil.rmtree(omerodir)


def _put_in_zarr_reader(omerodir: Path) -> None:
    """A jar that says that the server reads OME-Zarr, as the sandbox does."""
    directory = omerodir / "lib" / "server"
    directory.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(directory / "OMEZarrReader.jar", "w") as jar:
        jar.writestr("loci/formats/in/ZarrReader.class", b"\xca\xfe\xba\xbe")


def _put_in_fault_points(omerodir: Path, lease: float) -> None:
    directory = omerodir / "etc/templates/grid"
    templates = directory / "templates.xml"
    text = templates.read_text(encoding="utf-8")
    options = (faults.__file__, omerodir / "var" / "faults", lease)
    ours = "\n".join(f"<option>{option}</option>" for option in options)
    assert text.count(_DROPBOX) == 1, "the template of DropBox is another one"
    text = text.replace(_DROPBOX, ours)
    if lease:
        (template,) = re.findall(
            r'<server-template id="DropBoxTemplate">.*?</server-template>', text, re.S
        )
        second = template.replace("DropBoxTemplate", f"{STANDBY}Template")
        second = second.replace('<server id="DropBox"', f'<server id="{STANDBY}"')
        text = text.replace(template, template + second)
        nodes = directory / "default.xml"
        instance = '<server-instance template="DropBoxTemplate"/>'
        both = f'{instance}<server-instance template="{STANDBY}Template"/>'
        described = nodes.read_text(encoding="utf-8")
        assert described.count(instance) == 1, "DropBox is not an instance of its template"
        nodes.write_text(described.replace(instance, both), encoding="utf-8")
    templates.write_text(text, encoding="utf-8")
