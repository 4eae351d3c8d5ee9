"""Where imported files go: client paths made safe, trimmed, and given a home.

The rules are those of OMERO.server's managed repository: every component is
sanitised, parents that all files share are trimmed, and each fileset gets a
directory of its own from the template `%user%_%userId%/%year%-%month%/%day%/%time%`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

# Parents kept above the files when no reader says how many its format needs.
PARENTS_KEPT = 3

UNSAFE = str.maketrans(
    {**dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "_"), '"': "'", "*": "x", ":": ";"}
    | {"<": "[", ">": "]", "?": "%", "|": "!"}
)


def safe_component(text: str) -> str:
    """One component of a path, as the repository stores it; never longer than it was.

    Dots alone would lead elsewhere on disk: they become underscores here, and
    `leads_elsewhere` is what refuses them.
    """
    text = text.translate(UNSAFE).replace("/", "_")
    return "_" * len(text) if text in (".", "..") else text


def components(client_path: str) -> list[str]:
    """The components of a client path, safe; empty ones are dropped."""
    return [safe_component(part) for part in client_path.split("/") if part]


def leads_elsewhere(client_path: str) -> bool:
    """Whether a component of the path is `.` or `..`."""
    return any(part in (".", "..") for part in client_path.split("/"))


def trimmed(client_paths: Sequence[str], *, reader: str) -> list[str]:
    """The paths below the fileset's own directory, in the same order.

    Of the parents that all files share none is kept when a `reader` class is
    named (the formats read here need none), else the last PARENTS_KEPT.
    """
    split = [components(path) for path in client_paths]
    columns = itertools.zip_longest(*(parts[:-1] for parts in split))
    shared = len(list(itertools.takewhile(lambda column: len(set(column)) == 1, columns)))
    drop = max(shared - (0 if reader else PARENTS_KEPT), 0)
    return ["/".join(parts[drop:]) for parts in split]


def new_directory(root: Path, user: str, user_id: int, now: datetime) -> str:
    """Makes a directory that nothing else uses; its path below `root`, ending in `/`."""
    time = f"{now:%H-%M-%S}.{now.microsecond // 1000:03d}"
    parent = f"{safe_component(user)}_{user_id}/{now:%Y-%m}/{now:%d}"
    (root / parent).mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        name = f"{time}_{number}" if number else time
        try:
            (root / parent / name).mkdir()
        except FileExistsError:
            continue
        return f"{parent}/{name}/"
    raise AssertionError("itertools.count() has no end")


def below(root: Path, path: str) -> Path:
    """The file at `path` in a repository at `root`, wherever links inside it lead.

    Raises ValueError for a path that would leave the repository.
    """
    joined = Path(os.path.normpath(root / path.lstrip("/")))
    if joined != root and root not in joined.parents:
        raise ValueError(f"{path} is outside the repository")
    return joined
