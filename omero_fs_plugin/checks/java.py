"""Java and Bio-Formats, which group files into filesets, and what the kernel keeps them from."""

from __future__ import annotations

from collections.abc import Iterator

from omero_fs_plugin.config.properties import BY_NAME
from omero_fs_plugin.errors import ConfigurationError

from . import Line, Subject, ok, warning

ABOUT = "Bio-Formats"
READING = "reading files"
STORES = "OME-Zarr"
_JARS = BY_NAME["bioformatsJars"].key
_WITHOUT = "files are grouped only by signatures, and files that these cannot group are held"


def bioformats(subject: Subject) -> Iterator[Line]:
    """The jars, the Java and JPype that DropBox would use."""
    from omero_fs_plugin.dropbox.grouping.bioformats import jars

    given = subject.settings.bioformats_jars
    if given == ("none",):
        yield ok(ABOUT, f"{_JARS} is none: {_WITHOUT}")
        return
    try:
        found = jars.find(given, str(subject.omerodir))
    except ConfigurationError as lacking:
        what, _, remedy = str(lacking).partition(": ")
        if what == _JARS:
            what, remedy = str(lacking), f"set {_JARS} to the jar or its directory"
        yield warning(ABOUT, f"{what}: {_WITHOUT}", remedy)
    else:
        yield ok(ABOUT, f"from {found.source}, with {found.jvm}")


def stores(subject: Subject) -> Iterator[Line]:
    """What becomes of OME-Zarr: few OMERO.servers can read it, so it is no fault if this cannot."""
    from omero_fs_plugin.dropbox.grouping.bioformats.serving import ServerJars

    found = ServerJars(subject.settings.bioformats_jars, str(subject.omerodir))
    yield ok(STORES, found.told())


def reading(subject: Subject) -> Iterator[Line]:
    """Whether the kernel keeps the processes that read users' files from all others."""
    from omero_fs_plugin.dropbox.grouping.child import kernel

    lacking = kernel.lacking()
    if lacking:
        remedy = "a kernel from 5.13 on, with landlock in its list of security modules (lsm=)"
        yield warning(READING, kernel.kept(), remedy)
    else:
        yield ok(READING, kernel.kept())
