"""The process that becomes the Java importer, by way of omero-py's own `omero import`.

It reads everything from its input, so that a session key is never among the arguments
of a process.  `omero import` gives the key to Java as an argument, so Java (9 or later)
gets its arguments in a file.  That file has no name, and ends with Java.

Java would write its arguments into files as well: statistics that everybody may read
while it runs, the report of a crash, and the memory of a process that crashed.
It is told to write none of these, but for the report, which goes where only we may read.

Java takes this process' place, and ends when whoever started it does: a Java
left behind would import what a restarted DropBox imports again.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from omero_fs_plugin.dropbox.processes.program import STARTED_BY, end_with


class _Session:
    """What `omero import` asks of a client; it connects nowhere."""

    def __init__(self, host: str, port: int, key: str) -> None:
        self._properties = {"omero.host": host, "omero.port": str(port)}
        self._key = key

    def getProperty(self, name: str) -> str:
        return self._properties.get(name, "")

    def getSessionId(self) -> str:
        return self._key

    def getSession(self) -> _Session:
        return self

    def keepAlive(self, _: Any) -> None:
        """Whoever started this process keeps the session alive."""

    def closeSession(self) -> None:
        """Whoever started this process closes the session too."""

    def __del__(self) -> None:
        """The command calls this if it ends before Java has started."""


def private_options(directory: str) -> list[str]:
    """What keeps the command line, and with it the session key, out of files of Java's own.

    `directory`: ours alone; the report of a crash goes there.
    """
    return [
        "-XX:-UsePerfData",  # /tmp/hsperfdata_USER/PID
        f"-XX:ErrorFile={directory}/hs_err",
        "-XX:-CreateCoredumpOnCrash",
        "-XX:-HeapDumpOnOutOfMemoryError",
    ]


def main() -> None:
    """Reads {host, port, key, arguments, private} from the input and becomes `java`."""
    told = json.load(sys.stdin)
    end_with(int(os.environ[STARTED_BY]))

    import omero.java
    from omero.cli import CLI

    plugin = importlib.import_module("omero.plugins.import")
    omero.java.popen = partial(_become, private=told["private"])
    cli = CLI()
    cli.register("import", plugin.ImportControl, plugin.HELP)
    cli.set_client(_Session(told["host"], told["port"], told["key"]))
    cli.invoke(["import", *told["arguments"]])
    sys.exit(cli.rv or 1)  # reached only if Java was not started


def _become(
    args: Sequence[str],
    xargs: Sequence[str],
    stdout: Any,
    stderr: Any,
    debug: bool = False,
    *,
    private: str,
) -> NoReturn:
    """Replaces omero.java.popen: executes Java, with its arguments in a file."""
    import omero.java

    # Last of the options: those of JAVA_OPTS and of an admin come before.
    ours = private_options(private)
    program, *arguments = omero.java.cmd([*ours, *args], xargs=list(xargs), debug=debug)
    java = shutil.which(program)
    if java is None:
        sys.exit(f"there is no {program} on PATH")
    with tempfile.TemporaryFile() as file:
        file.write(b"\n".join(map(_quoted, arguments)))
        file.flush()
        os.set_inheritable(file.fileno(), True)
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for opened, standard in ((nothing, 0), (stdout.fileno(), 1), (stderr.fileno(), 2)):
            os.dup2(opened, standard)
        os.execv(java, [program, f"@/dev/fd/{file.fileno()}"])


def _quoted(argument: str) -> bytes:
    """As a Java argument file has it: in quotes, with quotes and ends of lines escaped."""
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"')
    for character, letter in (("\n", "n"), ("\r", "r"), ("\t", "t"), ("\f", "f")):
        escaped = escaped.replace(character, f"\\{letter}")
    return os.fsencode(f'"{escaped}"')


if __name__ == "__main__":
    main()
