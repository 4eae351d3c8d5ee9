"""Java and Bio-Formats, which group files into filesets, and OMERO's Java importer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from .. import lists
from ..errors import ConfigurationError
from . import Line, Subject, ok, warning

JARS = "omero.fs.bioformatsJars"


def bioformats(subject: Subject) -> Iterator[Line]:
    """The jars, the Java and JPype that DropBox would use."""
    from ..dropbox import jars

    configured = lists.items(subject.sources.properties.get(JARS, ""))
    try:
        found = jars.find(configured, str(subject.omerodir))
    except ConfigurationError as lacking:
        what, _, remedy = str(lacking).partition(": ")
        if what == JARS:
            what, remedy = str(lacking), f"omero config set {JARS}, to the jar or its directory"
        less = "files are grouped by signatures alone, and what these cannot group is held"
        yield warning("Bio-Formats", f"{what}: {less}", remedy)
    else:
        yield ok("Bio-Formats", f"from {found.source}, with {found.jvm}")


def importer(subject: Subject) -> Iterator[Line]:
    """What OMERO's Java importer needs; the native one needs nothing."""
    from ..dropbox.importers.choice import CLIENT_DIR

    directory = subject.omerodir / CLIENT_DIR
    lacking = []
    if not any(directory.glob("*.jar")):
        lacking.append(f"no jars in {directory}")
    if shutil.which("java") is None:
        lacking.append("no java on PATH")
    if lacking:
        yield ok("Java importer", f"{', '.join(lacking)}: the native importer imports")
    else:
        yield ok("Java importer", f"jars in {directory}, and java is on PATH")
