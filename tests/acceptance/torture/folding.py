"""A store or a set in OMERO, as one thing: its files as they are there, under one digest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from omero_fs_plugin.stores import digest
from tests.acceptance.api import client_path

from .grid import Stored


def folded(
    stored: Iterable[Stored], tops: Mapping[str, Path], on_disk: Callable[[Stored], str]
) -> list[Stored]:
    """`stored`, where the files of a store or a set are one, for each fileset that has them.

    `tops`: client path of such a file -> the path of the store, or of the first file of the set.
    A file that does not belong there, and one that is missing, changes the digest.
    """
    together: dict[tuple[int, Path], list[Stored]] = {}
    single: list[Stored] = []
    of_fileset: dict[int, list[Stored]] = {}
    for one in stored:
        of_fileset.setdefault(one.fileset, []).append(one)
    for fileset, files in of_fileset.items():
        found = [tops[one.client_path] for one in files if one.client_path in tops]
        if found:
            together[fileset, found[0]] = files
        else:
            single += files
    return single + [
        replace(
            files[0],
            client_path=client_path(top),
            sha1=digest({_name(one, top): one.sha1 or "" for one in files}),
            on_disk=digest({_name(one, top): on_disk(one) for one in files}),
        )
        for (_, top), files in together.items()
    ]


def _name(one: Stored, top: Path) -> str:
    """Of a file of a store relative to it, of a file of a set its own."""
    within = client_path(top) + "/"
    if one.client_path.startswith(within):
        return one.client_path.removeprefix(within)
    return one.client_path.rpartition("/")[2]
