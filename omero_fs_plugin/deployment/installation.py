"""`omero fs install` and `uninstall` on the files of one OMERODIR.

`omero admin start` writes etc/grid anew from etc/templates/grid each time, so
the changes are made there.  Both new descriptors are ready before one of them
is written.  A rename replaces each file, with the same mode and owner.  A copy
of the earlier file stays beside it, as NAME.omero-fs-orig.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import ParseError

from omero_fs_plugin.errors import ConfigurationError

from . import descriptor, node_descriptors

FRAGMENT = "omero-fs.xml"
TEMPLATES = Path("etc/templates/grid")
NAMES = ("templates.xml", "default.xml")
ORIGINAL = ".omero-fs-orig"

# Stock values of <properties id="DropBox"> that differ from our defaults.  If a site has one
# of them, no admin has set it.
STOCK_VALUES: Mapping[str, str] = {"omero.fs.throttleImport": "10"}


@dataclass(frozen=True)
class Descriptors:
    """The two files of one OMERODIR, and what is in them."""

    paths: tuple[Path, Path]  # templates.xml, default.xml
    found: tuple[bytes, bytes]

    @property
    def names(self) -> tuple[str, str]:
        """The names of the files in errors."""
        return str(self.paths[0]), str(self.paths[1])

    def stock(self) -> tuple[bytes, bytes]:
        """The files without our servers.  Raises DescriptorError if this is not clear."""
        return descriptor.unmerge(*self.found, names=self.names)

    def merged(self, fragment: bytes) -> tuple[bytes, bytes]:
        """The files with our servers.  Raises DescriptorError if this is impossible."""
        return descriptor.merge(*self.found, fragment, names=self.names)


def fragment_path() -> Path:
    """Where the grid fragment lies: in the package, or in the checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "grid" / FRAGMENT
    return inside if inside.is_file() else package.parent / "grid" / FRAGMENT


def find(omerodir: Path) -> Descriptors:
    """The descriptors to change.

    Raises ConfigurationError if `omerodir` is not an OMERODIR, has the old layout, or cannot
    be read.
    """
    directory = omerodir / TEMPLATES
    if not (omerodir / "etc").is_dir():
        raise ConfigurationError(
            f"{omerodir} is not an OMERO.server: it has no directory etc; "
            "set the environment variable OMERODIR to the directory of OMERO.server"
        )
    if not directory.is_dir():
        if (omerodir / "etc/grid/templates.xml").is_file():
            raise ConfigurationError(
                f"{omerodir} is an OMERO.server of the old layout: it has etc/grid/templates.xml "
                f"and no {TEMPLATES}, from which newer ones make it; upgrade OMERO.server"
            )
        raise ConfigurationError(f"{omerodir} has no {TEMPLATES}, so it is not an OMERO.server")
    paths = (directory / NAMES[0], directory / NAMES[1])
    return Descriptors(paths, (_content(paths[0]), _content(paths[1])))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _cannot("read", error, path) from error


def installed(omerodir: Path) -> bool:
    """Whether the grid has our servers in the form of this release."""
    found = find(omerodir)
    return found.found == found.merged(fragment_path().read_bytes())


def install(omerodir: Path) -> list[str]:
    """Puts FSServer and DropBox into the grid.  Returns lines for the admin.

    A second run changes nothing.  If it raises ConfigurationError, it has changed nothing.
    """
    found = find(omerodir)
    fragment = fragment_path().read_bytes()
    merged = found.merged(fragment)
    if merged == found.found:
        lines = [f"{path}: has FSServer and DropBox already" for path in found.paths]
    else:
        stock = found.stock()
        copies = {
            _original(path): before
            for path, before in zip(found.paths, stock, strict=True)
            if not _has(_original(path), before)
        }
        _replace({**copies, **dict(zip(found.paths, merged, strict=True))}, like=found.paths)
        lines = [f"{path}: FSServer and DropBox put in" for path in found.paths]
        aside, _ = descriptor.set_aside(*merged)
        if aside:
            lines.append(f"set aside, because they are replaced: {', '.join(aside)}")
    return [*lines, *_hand_set(merged[0], fragment), *_nodes(omerodir, stock=False)]


def uninstall(omerodir: Path) -> list[str]:
    """Takes FSServer and DropBox out of the grid.  Returns lines for the admin.

    The descriptors become what they were, byte for byte.  Later edits outside our part stay.
    If it raises ConfigurationError, it has changed nothing.
    """
    found = find(omerodir)
    stock = list(found.stock())
    if tuple(stock) == found.found:
        return [f"{path}: FSServer and DropBox are not in it" for path in found.paths]
    lines, done_with = [], []
    for index, path in enumerate(found.paths):
        original = _original(path)
        with suppress(OSError):
            before = original.read_bytes()
            # An editor may have written the same in another way.
            if stock[index] == before or descriptor.same_xml(stock[index], before):
                stock[index] = before
                done_with.append(original)
        kept = original.exists() and original not in done_with
        lines.append(
            f"{path}: FSServer and DropBox taken out"
            + (f"; edited since, and the edits are kept (before: {original})" if kept else "")
        )
    _replace(dict(zip(found.paths, stock, strict=True)), like=found.paths)
    for original in done_with:
        original.unlink()
    has_stock = b"MonitorServerTemplate" in stock[0]
    return [*lines, *_nodes(omerodir, stock=has_stock, leaving=True)]


def _original(path: Path) -> Path:
    return path.with_name(path.name + ORIGINAL)


def _has(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _hand_set(merged_templates: bytes, fragment: bytes) -> list[str]:
    """Says what an admin had written into the properties that we replace."""
    ours = descriptor.properties(fragment, "DropBox")
    before = descriptor.properties(merged_templates, "DropBox", aside=True)
    return [
        f"templates.xml had {name} = {value!r}, which no longer counts; to keep it: "
        f"omero config set -- {name} '{value}'"
        for name, value in before.items()
        if value not in (ours.get(name, value), STOCK_VALUES.get(name))
    ]


def _nodes(omerodir: Path, *, stock: bool, leaving: bool = False) -> list[str]:
    """Says how to change omero.server.nodedescriptors, if it is set."""
    value = configured(omerodir).get(node_descriptors.PROPERTY, "")
    if not value.strip():
        return []
    if leaving:
        return node_descriptors.advice_on_leaving(value, stock=stock)
    return node_descriptors.advice(value)


def configured(omerodir: Path) -> Mapping[str, str]:
    """What `omero config get` would show.

    Raises ConfigurationError if etc/grid/config.xml cannot be understood.
    """
    path = omerodir / "etc/grid/config.xml"
    if not path.is_file():
        return {}
    # This import takes long, and a caller that only asks for the fragment does not need it.
    from omero.config import ConfigXml

    try:
        config = ConfigXml(str(path), read_only=True)
        try:
            return dict(config.as_map())
        finally:
            config.close()
    except OSError as error:
        raise _cannot("read", error, path) from error
    except ParseError as error:
        raise ConfigurationError(f"{path} is not well-formed XML: {error}") from error


def _replace(contents: Mapping[Path, bytes], *, like: tuple[Path, Path]) -> None:
    """Writes all these files, or leaves all of them as they were.

    A new file gets the mode and owner of that file of `like` to which it belongs.
    """
    with ExitStack() as cleanup:

        def staged(path: Path, data: bytes, model: Path) -> Path:
            try:
                new = _staged(path, data, model)
            except OSError as error:
                raise _cannot("write", error, path) from error
            cleanup.callback(new.unlink, missing_ok=True)
            return new

        moves: list[tuple[Path, Path, Path | None]] = []  # new, its place, what was there
        for path, data in contents.items():
            place = path.resolve()  # a symbolic link stays a link
            if place.exists():
                old = staged(place, place.read_bytes(), place)
                moves.append((staged(place, data, place), place, old))
            else:
                model = next(p for p in like if _original(p) == path).resolve()
                moves.append((staged(place, data, model), place, None))
        done: list[tuple[Path, Path | None]] = []
        for new, place, before in moves:
            try:
                new.replace(place)
            except OSError as error:
                _put_back(done)
                raise _cannot("write", error, place) from error
            done.append((place, before))


def _put_back(done: list[tuple[Path, Path | None]]) -> None:
    for place, old in done:
        if old is None:
            place.unlink()
        else:
            old.replace(place)


def _staged(path: Path, data: bytes, model: Path) -> Path:
    """A finished file beside `path`, which only has to be renamed.

    It has the mode, owner and extended attributes of `model`.  If we may not give it the
    group of `model`, its group may do only what everybody may do.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    new = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        shutil.copystat(model, new)
        os.utime(new)  # but its times are those of now
        wanted, given = model.stat(), new.stat()
        mode = stat.S_IMODE(wanted.st_mode)
        if wanted.st_uid != given.st_uid:
            os.chown(new, wanted.st_uid, -1)
        if wanted.st_gid != given.st_gid:
            try:
                os.chown(new, -1, wanted.st_gid)
            except PermissionError:
                mode &= ~0o070 | (mode & 0o007) << 3
        new.chmod(mode)  # last, because chown clears some bits
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return new


def _cannot(what: str, error: OSError, path: Path) -> ConfigurationError:
    line = f"cannot {what} {path}: {error.strerror}"
    if isinstance(error, PermissionError):
        line += "; run this as the user that OMERO.server runs as"
    return ConfigurationError(line)
