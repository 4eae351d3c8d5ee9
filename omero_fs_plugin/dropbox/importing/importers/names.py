"""Which names OMERO's repository takes, and how its importer changes the others.  Pure.

The source of the rules is the documentation of `omero.fs.repo.path_rules` ("Legal file names"), a
property of the server.  OMERO's Java importer always applies both `required` rules, whatever the
server says.  Servers may ask for the `optional` rules too; the native importer applies them then.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

SAFE = "_"
# Names of devices, alone or before a dot, in any case.
_DEVICES = frozenset(
    ["AUX", "CLOCK$", "CON", "NUL", "PRN"]
    + [f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10)]
)
# For each character that some file system does not take, what replaces it.  No server takes
# control characters, which are those of Unicode.
_REPLACED = str.maketrans(
    {
        **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), SAFE),
        '"': "'",
        "*": "x",
        "/": "!",
        ":": ";",
        "<": "[",
        ">": "]",
        "?": "%",
        "\\": "!",
        "|": "!",
    }
)


@dataclass(frozen=True)
class Rules:
    """The rules besides `Windows required` and `UNIX required`."""

    no_dot_or_space_at_end: bool = False  # `Windows optional`
    no_dot_or_dash_first: bool = False  # `UNIX optional`

    @classmethod
    @lru_cache(maxsize=8)
    def of(cls, told: str) -> Rules:
        """From the text of omero.fs.repo.path_rules: names with commas; empty if not known.

        `local` means `UNIX`, because OMERO runs on nothing else now.
        """
        names = {" ".join(name.split()).casefold() for name in told.split(",")}
        unix = not names.isdisjoint({"unix optional", "local optional"})
        return cls("windows optional" in names, unix)


def safe(name: str, rules: Rules) -> str:
    """One name of a path, as OMERO's importer writes it."""
    upper, made = name.upper(), name
    device, dot, _ = upper.partition(".")
    if device in _DEVICES and not dot:
        made = made + SAFE
    elif device in _DEVICES or upper.startswith("$"):
        made = SAFE + made
    if rules.no_dot_or_dash_first and upper.startswith((".", "-")):
        made = SAFE + made
    if rules.no_dot_or_space_at_end and upper.endswith((".", " ")):
        made = made + SAFE
    return made.translate(_REPLACED)
