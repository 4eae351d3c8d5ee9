"""Where imported files go: client paths made safe, trimmed, and given a home.

The rules are those of OMERO.server's managed repository: a name that
omero.fs.repo.path_rules does not allow is refused, parents that all files share
are trimmed, and each fileset gets a directory of its own from the template
`%user%_%userId%/%year%-%month%/%day%/%time%`, whose names are made safe.
"""

from __future__ import annotations

import itertools
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import omero.all  # every Slice type

import omero

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
    """The components of a client path; empty ones are dropped.

    Dots alone would lead elsewhere on disk, and NUL ends a name: they become underscores.
    """
    parts = [part for part in client_path.split("/") if part]
    return [re.sub(r"^\.{1,2}$", lambda m: "_" * len(m[0]), p).replace("\0", "_") for p in parts]


# The rules by their names in omero.fs.repo.path_rules: what a component may not have.
PATH_RULES = "omero.fs.repo.path_rules"
PATH_RULES_DEFAULT = "Windows required, UNIX required"
_DEVICES = ["AUX", "CLOCK$", "CON", "NUL", "PRN"]
_DEVICES += [f"{port}{number}" for number in range(1, 10) for port in ("COM", "LPT")]
_RULES: dict[str, dict[str, list[str]]] = {
    "Windows required": {
        "characters": list('"*/:<>?\\|'),
        "prefixes": ["$", *(f"{device}." for device in _DEVICES)],
        "names": _DEVICES,
    },
    "Windows optional": {"suffixes": [".", " "]},
    "UNIX required": {"characters": ["/"]},
    "UNIX optional": {"prefixes": [".", "-"]},
}


def check_names(path: str, rules: str) -> None:
    """Raises FilePathNamingException, in OMERO's words, for a path with a name against `rules`."""
    found: dict[str, set[str]] = defaultdict(set)
    told = [rule.strip().replace("local", "UNIX") for rule in rules.split(",")]
    for name in path.split("/"):
        upper = name.upper()
        found["characters"] |= {c for c in name if unicodedata.category(c) == "Cc"}
        for rule in told:
            of = _RULES.get(rule, {})
            found["characters"] |= set(of.get("characters", ())) & set(name)
            found["prefixes"] |= {p for p in of.get("prefixes", ()) if upper.startswith(p)}
            found["suffixes"] |= {s for s in of.get("suffixes", ()) if upper.endswith(s)}
            found["names"] |= {n for n in of.get("names", ()) if upper == n}
    if any(found.values()):
        raise omero.FilePathNamingException(
            "",
            "",
            "illegal file path",
            path,
            sorted(map(ord, found["characters"])),
            *(sorted(found[kind]) for kind in ("prefixes", "suffixes", "names")),
        )


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
