"""A sandbox server, a user's directory and both importers, for tests of importing."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
import tifffile
from omero.rtypes import unwrap

from omero_fs_plugin.dropbox.importing.importers import client_path
from omero_fs_plugin.dropbox.importing.importers.java import JavaImporter, JavaOptions
from omero_fs_plugin.dropbox.importing.importers.native import NativeImporter, NativeOptions
from omero_fs_plugin.dropbox.importing.importers.protocol import Importer, Outcome, Task, Wishes
from omero_fs_plugin.dropbox.importing.importers.transfer import Transfer
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.sandbox.store import FILE
from tests.integration.blitz import Serving, client_communicator, enter

from . import standin_java


class Importing:
    """amy and her directory; `importer` makes either kind."""

    def __init__(
        self, place: Path, seeded: Path, monkeypatch: pytest.MonkeyPatch, **server: str
    ) -> None:
        """`server`: properties of OMERO's, with `__` for dots, after `omero.`."""
        data = place / "OMERO"
        data.mkdir()
        shutil.copy(seeded, data / FILE)
        self.properties = {f"omero.{n.replace('__', '.')}": value for n, value in server.items()}
        self._serving = Serving(data, properties=self.properties)
        self.sandbox = self._serving.sandbox
        self._client = client_communicator()
        self.omero = enter(self._serving, self._client)
        self.session = self.omero.session_for(self.omero.user("amy"))
        self.repository = data / "ManagedRepository"
        self.root = place / "DropBox" / "amy"
        self.root.mkdir(parents=True)
        self._place, self._monkeypatch = place, monkeypatch
        self._number = 0
        self.serving = True
        self.sets: dict[str, list[str]] = {}  # key -> files that Java would find to belong to it
        self.java_does()

    @property
    def key(self) -> str:
        """Of the session."""
        return str(self.session.services.ice_getIdentity().name)

    def stop_server(self) -> None:
        if self.serving:
            self.serving = False
            self._serving.stop()

    def close(self) -> None:
        self._client.destroy()
        self.stop_server()

    # -- importers ----------------------------------------------------------

    def java_does(self, mode: str = "import", **more: Any) -> None:
        """What the `java` on PATH does."""
        self.record = self._place / "java.json"
        bin_dir = self._place / "bin"
        bin_dir.mkdir(exist_ok=True)
        java = bin_dir / "java"
        java.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{standin_java.__file__}" "$@"\n')
        java.chmod(0o755)
        jars = self._place / "lib" / "client"
        jars.mkdir(parents=True, exist_ok=True)
        (jars / "omero-blitz.jar").touch()
        told = {"manager": self._serving.address, "mode": mode, "sets": self.sets, **more}
        told["record"] = str(self.record)
        self._monkeypatch.setenv(standin_java.TOLD, json.dumps(told))
        self._monkeypatch.setenv("PATH", str(bin_dir), prepend=":")

    def importer(self, kind: str, transfer: Transfer = Transfer.UPLOAD, **more: Any) -> Importer:
        if kind == "native":
            rules = self.omero.path_rules
            options = NativeOptions(transfer, path_rules=rules, **more)
            return NativeImporter(self.session, options)
        client_dir = self._place / "lib" / "client"
        java = JavaOptions(client_dir, "omero.example.org", 4064, transfer, **more)
        return JavaImporter(self.session, self.omero, java)

    # -- files --------------------------------------------------------------

    def drop(self, name: str, seed: int = 0) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = numpy.random.default_rng(seed).integers(0, 255, (2, 16, 16), dtype="uint8")
        tifffile.imwrite(path, pixels)
        return path

    def fileset(self, *paths: Path) -> Fileset:
        """As the journal would have it, with the files as they are now."""
        self._number += 1
        files = tuple(Found(str(path), FileStat.of(path.lstat())) for path in paths)
        self.sets[str(paths[0])] = [str(path) for path in paths]
        self.java_does()
        return Fileset(
            self._number, "amy", str(self.root), str(paths[0]), State.IMPORTING, "", "", 1, 0,
            False, None, (), 0, 0, files, (None,) * len(files),
        )  # fmt: skip

    # -- OMERO --------------------------------------------------------------

    def in_omero(self, path: Path) -> list[tuple[int, ...]]:
        """The images of each fileset OMERO has for amy's `path`."""
        there = self.omero.filesets(
            self.session.user, client_path(str(path), self.omero.path_rules)
        )
        return [fileset.images for fileset in there]

    def ask(self, text: str) -> list[list[Any]]:
        rows = self.session.services.getQueryService().projection(text, None)
        return [[unwrap(value) for value in row] for row in rows]

    def stored(self) -> list[Path]:
        """What lies in the repository, but the imports' own logs."""
        return [
            path
            for path in sorted(self.repository.rglob("*"))
            if (path.is_symlink() or path.is_file()) and path.suffix != ".log"
        ]


class Notes:
    """The tasks' `verified`, and what was in OMERO when it was called."""

    def __init__(self, world: Importing) -> None:
        self._world = world
        self.sha1s: dict[str, tuple[str, ...]] = {}
        self.images_then: dict[str, list[tuple[int, ...]]] = {}

    def task(self, fileset: Fileset, wishes: Wishes | None = None) -> Task:
        def verified(sha1s: Sequence[str]) -> None:
            self.sha1s[fileset.path] = tuple(sha1s)
            then = [images for images in self._world.in_omero(Path(fileset.path)) if images]
            self.images_then[fileset.path] = then

        return Task(fileset, verified, wishes or Wishes())


def run(importer: Importer, *tasks: Task) -> list[Outcome]:
    """The outcomes in the order of the tasks."""
    outcomes = {task.fileset.id: outcome for task, outcome in importer.run(tasks, lambda: False)}
    assert outcomes.keys() == {task.fileset.id for task in tasks}
    return [outcomes[task.fileset.id] for task in tasks]
