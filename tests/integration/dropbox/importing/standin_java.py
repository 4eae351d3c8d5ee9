"""Stands for `java`: takes the Java importer's arguments, prints what it prints, and imports.

The environment says what it must do.  The import is ours, over the
session with the key that it gets.
"""

from __future__ import annotations

import getopt
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

TOLD = "STANDIN_JAVA"
_MAIN = "ome.formats.importer.cli.CommandLineImporter"
_LONG = (
    "debug== report upload logs email= name= description= transfer= exclude= target= output= "
    "no-thumbnails no-stats-info no-upgrade-check annotation-ns= annotation-text= "
    "checksum-algorithm="
)


def arguments_of(argv: list[str]) -> list[str]:
    """With argument files expanded, as Java 9 and later do before the main class."""
    if len(argv) == 1 and argv[0].startswith("@"):
        text = Path(argv[0][1:]).read_text()
        return [json.loads(line) for line in text.splitlines()]
    return argv


def importer_arguments(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The importer's options and files, out of a whole command line of Java's."""
    after = words[words.index(_MAIN) + 1 :]
    long = [name.replace("==", "=") for name in _LONG.split()]
    options, files = getopt.gnu_getopt(after, "cfl:s:u:w:d:r:T:k:x:n:p:h", long)
    return {name.lstrip("-"): value for name, value in options}, files


def main() -> None:
    told = json.loads(os.environ[TOLD])
    words = arguments_of(sys.argv[1:])
    options, files = importer_arguments(words)
    record = {
        "cmdline": Path("/proc/self/cmdline").read_text(),
        "words": words,
        "options": options,
        "files": files,
        "pid": os.getpid(),
        "stdin": sys.stdin.read(),
    }
    done = json.loads(Path(told["record"]).read_text()) if Path(told["record"]).exists() else []
    mode = told["mode"]
    if mode == "hang":
        child = subprocess.Popen(["sleep", "1000"])
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        record["child"] = child.pid
    Path(told["record"] + ".new").write_text(json.dumps([*done, record]))
    Path(told["record"] + ".new").replace(told["record"])
    if mode == "hang":
        time.sleep(1000)
    elif mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "ghost":
        sys.stdout.write("---\n- Fileset: 4711\n  Image: [4712, 4713]\n")
    elif mode == "exit":
        log("ERROR", f"could not open it with the key {options['k']}")
        sys.exit(told["code"])
    elif mode != "nothing":
        import_all(told, options, files)


def log(level: str, text: str) -> None:
    sys.stderr.write(f"2026-01-02 03:04:05,678 1234 [      main] {level} o.f.i.cli - {text}\n")


def import_all(told: dict[str, Any], options: dict[str, str], files: list[str]) -> NoReturn:
    import Glacier2
    import Ice
    import omero.all
    from omero.model import DatasetI, ScreenI

    import omero
    from omero_fs_plugin.blitz.user_session import UserSession
    from omero_fs_plugin.blitz.users import User
    from omero_fs_plugin.dropbox.importing.importers.native import NativeImport, NativeOptions
    from omero_fs_plugin.dropbox.importing.importers.protocol import Task, Wishes
    from omero_fs_plugin.dropbox.importing.importers.transfer import Transfer
    from omero_fs_plugin.dropbox.journal.records import Fileset, Found
    from omero_fs_plugin.dropbox.journal.states import State
    from omero_fs_plugin.errors import FsError
    from omero_fs_plugin.events import FileStat
    from omero_fs_plugin.sandbox.server import register_types

    class JavasImport(NativeImport):
        """By the algorithm that it is told, or else by the one that the server likes best."""

        def _settings(self, repository: Any) -> Any:
            offered = repository.listChecksumAlgorithms()
            wanted = options.get("checksum-algorithm", offered[0].value.val)
            made = super()._settings(repository)
            made.checksumAlgorithm = next(a for a in offered if a.value.val == wanted)
            return made

        def _verify(self, process: Any) -> Any:
            if options.get("checksum-algorithm") is None:
                name = {"SHA1-160": "sha1", "MD5-128": "md5"}[
                    process.getImportSettings().checksumAlgorithm.value.val
                ]
                self.sha1s = [
                    hashlib.new(name, Path(met.path).read_bytes()).hexdigest()
                    for met in self._fileset.files
                ]
            return super()._verify(process)

    class Client:
        def getSession(self) -> Any:
            return services

        def getManagedRepository(self) -> Any:
            proxies = services.sharedResources().repositories().proxies
            casts = (omero.grid.ManagedRepositoryPrx.checkedCast(p) for p in proxies if p)
            return next(cast for cast in casts if cast)

    data = Ice.InitializationData()
    data.properties = Ice.createProperties([])
    data.properties.setProperty("Ice.MessageSizeMax", "65536")
    data.properties.setProperty("Ice.ImplicitContext", "Shared")
    ice = Ice.initialize(data)
    ice.getImplicitContext().put(omero.constants.CLIENTUUID, "standin")
    register_types(ice)
    manager = Glacier2.SessionManagerPrx.uncheckedCast(ice.stringToProxy(told["manager"]))
    services = omero.api.ServiceFactoryPrx.uncheckedCast(manager.create(options["k"], None, {}))
    session: Any = UserSession(Client(), User(0, "", ""), lambda: None)
    target = None
    if "d" in options:
        target = DatasetI(int(options["d"]), False)
    elif "r" in options:
        target = ScreenI(int(options["r"]), False)
    failed = 0
    sys.stdout.write("---\n")
    for path in files:
        members = told.get("takes", {}).get(path) or told["sets"].get(path, [path])
        if path in told.get("rewrites", ()):
            Path(path).write_bytes(Path(path).read_bytes() + b"!")
        found = tuple(Found(member, FileStat.of(Path(member).lstat())) for member in members)
        fileset = Fileset(
            0, "", "/", path, State.IMPORTING, "", "", 1, 0, False, None, (), 0, 0, found, ()
        )
        try:
            images = JavasImport(
                session,
                Task(
                    fileset,
                    lambda sha1s: None,
                    Wishes("", options.get("name", ""), options.get("description", ""), target),
                ),
                stopping=lambda: False,
                options=NativeOptions(
                    Transfer(options.get("transfer", "upload")),
                    "no-thumbnails" not in options,
                    "no-stats-info" not in options,
                ),
            ).run()
        except FsError as error:
            failed += 1
            log("ERROR", f"{path}: {error}")
            continue
        if told["mode"] == "garbage":
            sys.stdout.write(f"\x00\xffImage: many {path}\n")
        else:
            # The fileset's id is not at hand here; DropBox must do with the images'.
            sys.stdout.write(f"- Image: [{', '.join(map(str, images))}]\n")
    sys.stdout.flush()
    ice.destroy()
    sys.exit(2 if failed else 0)


if __name__ == "__main__":
    main()
