"""`omero fs receipt`: which files may be deleted, since OMERO has them whole."""

from __future__ import annotations

import os
from typing import Any

from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.journal.glance import Glance, glance
from omero_fs_plugin.dropbox.journal.seen import Seen
from omero_fs_plugin.dropbox.journal.states import OPEN
from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.site import printable, site

from . import receipt_text
from .below import above, all_below, is_directory, is_there, store_in
from .disks import Disks, Silent
from .passed_over import why_passed_over
from .values import shapes, some_path

HELP = """Say which files may be deleted, because OMERO has them whole

PATH is a file, or a directory with all that is below it.  A file is safe to delete
if OMERO has images of it, if its content is what was imported, and if OMERO's own
copy is still as it was imported.  All of this is checked now: the command reads
every file, and OMERO reads its copies.  This may take as long as the import took.

After an in-place import the file itself is OMERO's data: it is never safe.  A set
is safe only as a whole.

The receipt lists first the files that are not safe, with the reason, then those
that are, with size, SHA1, images and where these are.  Hidden files count too.

The command changes nothing.  Run it as the user that OMERO.server runs as.

A disk that does not answer for ten seconds is named at the end.  What lies there is
not safe to delete.

Exit codes: 0 every file is safe to delete; 1 at least one is not; 2 there is no
such file; 3 the grid cannot be reached; 4 the journal cannot be read; 5 OMERO is
down; 10 a disk does not answer
"""

_AT_ONCE = 2000  # files; OMERO is asked about them together


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("receipt", description=HELP)
    parser.add_argument(
        "path", nargs="+", type=some_path, metavar="PATH", help="a file or a directory"
    )
    shapes(
        parser,
        receipt_text.as_text,
        (
            ("csv", receipt_text.as_csv, "a table for other programs"),
            ("json", receipt_text.as_json, "one JSON object"),
            ("html", receipt_text.as_html, "one page for a browser"),
        ),
    )


def run(ctx: Any, args: Any) -> None:
    """Prints it."""
    where = site(ctx)
    settings = where.settings()
    unlisted: dict[str, str] = {}
    disks = Disks()
    paths = _paths(args.path, unlisted, disks)
    from omero_fs_plugin.blitz.sessions import Omero
    from omero_fs_plugin.dropbox.receipts.proof import Proof, Prover

    with glance(settings.journal_url) as look:
        known = _known(paths, _ids(args.path, look), look)
    # The journal is left before files are read: that may take hours.
    proofs: list[Proof] = []
    with where.grid() as grid:
        omero = Omero.of(grid.communicator, settings)
        try:
            prover = Prover(omero, disks.ask)
            for start in range(0, len(paths), _AT_ONCE):
                some = paths[start : start + _AT_ONCE]
                proved = prover.prove({path: known[path] for path in some if path in known})
                found = {one.path: one for one in proved}
                proofs += [
                    found.get(path) or _unknown(path, settings, unlisted, disks) for path in some
                ]
            containers = omero.containers_of({i for one in proofs for i in one.images})
        finally:
            omero.close()
    ctx.out(args.write(proofs, containers, args.path))
    disks.end(ctx)
    unsafe = sum(not one.safe for one in proofs)
    if unsafe:
        ctx.die(1, _unsafe(unsafe, len(proofs)))


def _unsafe(unsafe: int, of: int) -> str:
    if of == 1:
        return "the file is not safe to delete"
    return f"{unsafe:,} of {of:,} files {'is' if unsafe == 1 else 'are'} not safe to delete"


def _paths(given: list[str], unlisted: dict[str, str], disks: Disks) -> list[str]:
    """Every file of the receipt once, in the order given.  Raises ConfigurationError.

    Among them are directories that cannot be listed; `unlisted` says why.
    """
    found: dict[str, None] = {}
    for one in given:
        path = os.path.abspath(one)  # noqa: PTH100 - keeps symbolic links
        try:
            if is_directory(path, disks):
                found |= dict.fromkeys(all_below(path, unlisted, disks))
            elif is_there(path, disks):
                found[path] = None
            else:
                raise ConfigurationError(f"{printable(one)}: there is no such file or directory")
        except Silent as silent:
            unlisted[path] = str(silent.strerror)
            found[path] = None
    if not found:
        raise ConfigurationError(f"no files in {', '.join(map(printable, given))}")
    return list(found)


def _ids(given: list[str], look: Glance | None) -> dict[str, list[int]]:
    """The filesets of each file that the journal knows: path -> ids, the newest last."""
    found: dict[str, list[int]] = {}
    for one in given if look is not None else ():
        path = os.path.abspath(one)  # noqa: PTH100
        assert look is not None
        found |= look.all_below(path)
        at = [seen.id for seen in look.at(path)]
        if at:
            found[path] = at
        if store := store_in(path, look):
            found[store] = [seen.id for seen in look.at(store)]
    return found


def _known(paths: list[str], ids: dict[str, list[int]], look: Glance | None) -> dict[str, Any]:
    """What the journal has of those files that it knows."""
    from omero_fs_plugin.dropbox.receipts.proof import Known

    if look is None:
        return {}
    seen = {one.id: one for one in look.load({i for path in paths for i in _of(path, ids)})}
    twins = {one.duplicate_of for one in seen.values() if one.duplicate_of is not None}
    twin = {one.id: one for one in look.load(twins)}
    found: dict[str, Any] = {}
    for path in paths:
        of = [seen[i] for i in _of(path, ids) if i in seen]
        if of:
            newest = of[-1]
            found[path] = Known(newest, twin.get(newest.duplicate_of or 0), _any_open(of[:-1]))
    return found


def _of(path: str, ids: dict[str, list[int]]) -> list[int]:
    """The filesets of a file, or of the store that it lies in."""
    return next((ids[place] for place in (*above(path), path) if place in ids), [])


def _any_open(filesets: list[Seen]) -> bool:
    return any(seen.state in OPEN for seen in filesets)


def _unknown(path: str, settings: Settings, unlisted: dict[str, str], disks: Disks) -> Any:
    from omero_fs_plugin.dropbox.receipts.proof import Proof

    if path in unlisted:
        return Proof(path, None, why_not=unlisted[path])
    size: int | None
    try:
        why = disks.ask(path, lambda call: why_passed_over(path, settings))
    except Silent as silent:
        return Proof(path, None, why_not=str(silent.strerror))
    text = f"it is not imported: {why}" if why else "DropBox has not met it yet"
    try:
        size = disks.ask(path, lambda call: os.lstat(path).st_size)
    except OSError:
        size = None
    return Proof(path, size, why_not=text)
