"""omero.fs.importer: which importer it is, and why.  Pure, except for a look at the disk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from omero_fs_plugin.errors import ConfigurationError

from .arguments import Arguments, parse
from .transfer import Transfer

AUTO, JAVA, NATIVE = "auto", "java", "native"
CLIENT_DIR = Path("lib", "client")  # below the OMERODIR: the importer's jars
_OF_THE_IMPORTER = "*blitz*.jar"  # omero-blitz.jar, or blitz.jar before OMERO 5.5


@dataclass(frozen=True)
class Choice:
    """Which importer it is, and what omero.fs.importArgs means for it."""

    importer: str  # JAVA or NATIVE
    why: str  # a sentence for status
    transfer: Transfer
    arguments: Arguments
    client_dir: Path | None = None  # where the jars are, if it is JAVA

    @property
    def ignored(self) -> tuple[tuple[str, str], ...]:
        """(argument, why it changes nothing) with this importer."""
        if self.importer == JAVA:
            return self.arguments.ignored
        return self.arguments.ignored + self.arguments.needless

    @property
    def unknown(self) -> tuple[str, ...]:
        """Arguments that this importer does not know: people must hear of this mistake."""
        return () if self.importer == JAVA else self.arguments.unknown


def choose(
    wanted: str, import_args: str, *, transfer: str = "upload", omerodir: str | None
) -> Choice:
    """The importer for omero.fs.importer, .importArgs and .transfer.

    `auto` is Java if the arguments need it and it is there.  A transfer in the
    arguments comes before `transfer`.  Raises ConfigurationError for a wrong value,
    and if Java is wanted but not there.
    """
    if wanted not in (AUTO, JAVA, NATIVE):
        raise ConfigurationError(
            f"omero.fs.importer: {wanted}: one of {AUTO}, {JAVA}, {NATIVE} is wanted"
        )
    if transfer not in {known.value for known in Transfer}:
        known = ", ".join(known.value for known in Transfer)
        raise ConfigurationError(f"omero.fs.transfer: {transfer}: one of {known} is wanted")
    arguments = parse(import_args)
    way = arguments.transfer or Transfer(transfer)
    needs = ", ".join(arguments.unknown)
    if wanted == NATIVE:
        return Choice(NATIVE, "omero.fs.importer says so", way, arguments)
    if wanted == AUTO and not needs:
        why = "nothing in omero.fs.importArgs needs Java, and it is the faster"
        return Choice(NATIVE, why, way, arguments)
    client_dir = Path(omerodir or "/") / CLIENT_DIR
    lacking = _lacking(client_dir, omerodir)
    if wanted == JAVA:
        if lacking:
            raise ConfigurationError(
                f"omero.fs.importer: java: {lacking}: mend that, or set it to native"
            )
        return Choice(JAVA, "omero.fs.importer says so", way, arguments, client_dir)
    if lacking:
        why = f"{lacking}, though omero.fs.importArgs has what only the Java importer knows"
        return Choice(NATIVE, f"{why}: {needs}", way, arguments)
    why = f"omero.fs.importArgs has what only it knows: {needs}"
    return Choice(JAVA, why, way, arguments, client_dir)


def _lacking(client_dir: Path, omerodir: str | None) -> str:
    """What the Java importer lacks here; empty if nothing."""
    if not omerodir:
        return "no OMERODIR to take the importer's jars from"
    if not any(client_dir.glob(_OF_THE_IMPORTER)):
        return f"no jars of OMERO's importer in {client_dir}"
    if shutil.which("java") is None:
        return "no java on PATH"
    return ""
