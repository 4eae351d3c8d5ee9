"""Where imported files go: makes client paths safe, trims them, and gives them a directory.

The rules are those of OMERO.server's managed repository.  It refuses a name that
omero.fs.repo.path_rules does not allow.  It trims the parents that all files share.
Each fileset gets a directory of its own from the template
`%user%_%userId%/%year%-%month%/%day%/%time%`, with safe names.
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

# So many parents are kept above the files if no reader is named.
PARENTS_KEPT = 3

UNSAFE = str.maketrans(
    {**dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "_"), '"': "'", "*": "x", ":": ";"}
    | {"<": "[", ">": "]", "?": "%", "|": "!"}
)


def safe_component(text: str) -> str:
    """One component of a path as the repository stores it.  It never gets longer.

    A component of dots would lead elsewhere on disk, so its dots become underscores here;
    `leads_elsewhere` refuses it.
    """
    text = text.translate(UNSAFE).replace("/", "_")
    return "_" * len(text) if text in (".", "..") else text


def components(client_path: str) -> list[str]:
    """The components of a client path, without the empty ones.

    A component of dots would lead elsewhere on disk, and NUL would end a name: these
    characters become underscores.
    """
    parts = [part for part in client_path.split("/") if part]
    return [re.sub(r"^\.{1,2}$", lambda m: "_" * len(m[0]), p).replace("\0", "_") for p in parts]


# A rule's name in omero.fs.repo.path_rules -> what it forbids in a component.
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
    """Raises FilePathNamingException, in OMERO's words, if a name breaks one of `rules`."""
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

    If a `reader` class is named, no parent that all files share is kept, because the
    formats read here need none.  Otherwise the last PARENTS_KEPT are kept.
    """
    split = [components(path) for path in client_paths]
    columns = itertools.zip_longest(*(parts[:-1] for parts in split))
    shared = len(list(itertools.takewhile(lambda column: len(set(column)) == 1, columns)))
    drop = max(shared - (0 if reader else PARENTS_KEPT), 0)
    return ["/".join(parts[drop:]) for parts in split]


def new_directory(root: Path, user: str, user_id: int, now: datetime) -> str:
    """Makes a new directory.  Gives its path below `root`, which ends in `/`."""
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
    """The file at `path` in the repository at `root`.  Links in the repository may lead outside.

    Raises ValueError for a path that would itself leave the repository.
    """
    joined = Path(os.path.normpath(root / path.lstrip("/")))
    if joined != root and root not in joined.parents:
        raise ValueError(f"{path} is outside the repository")
    return joined
