"""Reads the OMERO.fs properties of an existing site: templates.xml or config.xml, any release.

A site has set its properties in one of three ways, often in all of them:

- directly in ``<server id="DropBox">`` of etc/grid/templates.xml (4.2),
- in ``<properties id="DropBox">``, to which that server refers (later releases),
- with ``omero config set``, which writes etc/grid/config.xml: its ``__ACTIVE__``
  names a profile.  A server that refers to ``Profile`` gets the properties of it.

With a descriptor, the others beside it are read too.  The values are put
together in the order of IceGrid: the last one counts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat

from lxml import etree

from omero_fs_plugin.deployment.document import STOCK_TARGET
from omero_fs_plugin.errors import ConfigurationError

# The largest released descriptor has 30 KB; config.xml has everything that was ever set.
MOST_BYTES = 4 * 2**20
DESCRIPTORS = ("templates.xml", "default.xml", "config.xml")
SETS = "DropBox"  # the id of their properties, and of the server
# The names of the servers besides DropBox: one in 4.2, two later.
MONITORING_SERVERS = ("FSServer", "FileServer")
ACTIVE, PROFILE, PROFILE_NAME = "__ACTIVE__", "Profile", "omero.config.profile"


@dataclass(frozen=True)
class Former:
    """The properties that were found."""

    file: Path
    read: tuple[str, ...]  # the names of the files that were read
    where: str  # which part of them has the properties, for people
    properties: Mapping[str, str]  # full name -> value, as DropBox had it
    unread: str = ""  # a file beside it that says more but was not read


def read(file: Path) -> Former:
    """Reads `file`, and the descriptors beside it.

    Raises ConfigurationError for a file that is not a descriptor or configuration of an
    OMERO.server, cannot be read, or says nothing of OMERO.fs.
    """
    root = _parsed(file)
    name = _profile_name(root)
    if name is not None:
        beside = file.with_name(DESCRIPTORS[0])
        return Former(
            file,
            (file.name,),
            f"the profile {name}",
            _profile(root),
            unread=beside.name if beside != file and beside.is_file() else "",
        )
    roots = {file.name: root}
    for beside in (file.with_name(other) for other in DESCRIPTORS):
        if beside.name not in roots and beside.is_file():
            roots[beside.name] = _parsed(beside)
    return _assembled(file, roots)


def _parsed(file: Path) -> Any:
    """The root element."""
    data = _content(file)

    def refuse(*_: object) -> None:
        raise ConfigurationError(f"{file}: it has a DOCTYPE, but no grid descriptor needs one")

    # Before lxml sees it: a DOCTYPE may define entities that grow without end.
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise ConfigurationError(f"{file} is not well-formed XML: {error}") from error
    options = {"resolve_entities": False, "no_network": True, "load_dtd": False}
    try:
        root = etree.fromstring(
            data, etree.XMLParser(remove_comments=True, remove_pis=True, **options)
        )
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ConfigurationError(f"{file} cannot be read as XML: {error}") from error
    if root.tag != "icegrid":
        raise ConfigurationError(
            f"{file} is not a descriptor: its root is <{root.tag}>, not <icegrid>; name "
            "etc/grid/templates.xml or etc/grid/config.xml of an OMERO.server"
        )
    return root


def _content(file: Path) -> bytes:
    try:
        # If something else is there, such as a FIFO, we do not wait for it.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:  # os.fdopen would raise for a directory, and leave it open
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigurationError(
                    f"{file} is not a file: name etc/grid/templates.xml or etc/grid/config.xml"
                )
            with os.fdopen(descriptor, "rb", closefd=False) as source:
                data = source.read(MOST_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL in the name
        raise ConfigurationError(f"{str(file)!r}: cannot be read: {error}") from error
    if len(data) > MOST_BYTES:
        raise ConfigurationError(
            f"{file} has more than {MOST_BYTES // 2**20} MiB, so it cannot be a grid descriptor"
        )
    return data


def _plain(element: Any) -> dict[str, str]:
    """The properties in an element itself; if two have one name, the later one."""
    return {
        one.get("name"): one.get("value", "")
        for one in element.findall("property")
        if one.get("name")
    }


def _profile_name(root: Any) -> str | None:
    """The name of the active profile; None if this is not a config.xml."""
    for element in root.findall("properties"):
        if element.get("id") == ACTIVE:
            return _plain(element).get(PROFILE_NAME, "default")
    return None


def _profile(root: Any) -> dict[str, str]:
    """The properties of the active profile."""
    name = _profile_name(root)
    blocks = {element.get("id"): _plain(element) for element in root.findall("properties")}
    # __ACTIVE__ holds a copy of it, and files that were cut down have only this.
    return blocks.get(name, blocks.get(ACTIVE, {}))


def _deployed(root: Any, tag: str) -> Iterator[Any]:
    """The elements of that tag, without those in a <target>."""
    for element in root.iter(tag):
        if not any(parent.tag == "target" for parent in element.iterancestors()):
            yield element


def _set_aside(root: Any) -> list[Any]:
    """What `omero fs install` put into targets: the site's own servers and properties."""
    return [t for t in root.iter("target") if t.get("name") == STOCK_TARGET]


def _assembled(file: Path, roots: Mapping[str, Any]) -> Former:
    """What DropBox had of all these descriptors."""
    sets: dict[str, Any] = {}
    servers: dict[str, Any] = {}
    profile: dict[str, str] = {}
    aside = False
    for root in roots.values():
        if _profile_name(root) is not None:
            profile = _profile(root)
            continue
        for element in _deployed(root, "properties"):
            sets.setdefault(element.get("id"), element)
        parts = _set_aside(root)
        found = [one for part in parts for one in part.iter("server")]
        for element in found if parts else _deployed(root, "server"):
            servers.setdefault(element.get("id"), element)
        for part in parts:  # these were there before ours
            sets.update((one.get("id"), one) for one in part.findall("properties"))
        aside = aside or bool(parts)
    values: dict[str, str] = {}
    for server in (*MONITORING_SERVERS, SETS):
        if server in servers:
            values.update(_of(servers[server], sets, profile))
    where = f'<server id="{SETS}">'
    if SETS in sets:
        where = f'<properties id="{SETS}">'
        if SETS not in servers:
            values.update({**_of(sets[SETS], sets, profile), **profile})
    elif SETS not in servers:
        raise ConfigurationError(
            f"{file}: nothing in it is called {SETS}: it is not a descriptor of OMERO.fs; name "
            "etc/grid/templates.xml or etc/grid/config.xml of an OMERO.server"
        )
    if aside:
        where += ", set aside by `omero fs install`"
    return Former(file, tuple(roots), where, values)


def _of(
    element: Any, sets: Mapping[str, Any], profile: Mapping[str, str], seen: tuple[str, ...] = ()
) -> dict[str, str]:
    """The properties of a server or a set, in their order, with those that it refers to."""
    values: dict[str, str] = {}
    for child in element:
        if child.tag == "property" and child.get("name"):
            values[child.get("name")] = child.get("value", "")
        elif child.tag == "properties":
            refers_to = child.get("refid")
            if refers_to is None:
                values.update(_of(child, sets, profile, seen))
            elif refers_to == ACTIVE or (refers_to == PROFILE and PROFILE not in sets):
                values.update(profile)
            elif refers_to in sets and refers_to not in seen:
                values.update(_of(sets[refers_to], sets, profile, (*seen, refers_to)))
    return values
