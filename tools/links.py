"""What `make links` found: a link that is dead, or one that could not be reached from here.

Reads the output.json that Sphinx's linkcheck writes.  A link is dead if its server answered that
there is no such page, or not the part of it that is meant; or if its host has no name any more
although other hosts were reached.  Whatever else went wrong says nothing of the link.

Exit code 0: no link is dead, as far as they could be reached; or 1: some are; 2: nothing was read.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_GOOD = {"working", "redirected"}
_LOOKED_AT = {*_GOOD, "broken", "timeout", "rate-limited"}
# What requests says of an answer; 4xx means the page, 5xx and 429 the server's state just now.
_GONE = re.compile(r"^4(?!29)\d\d |^Anchor |SSLError")
_NO_NAME = re.compile(r"NameResolutionError|Name or service not known|getaddrinfo failed")


@dataclass(frozen=True)
class Found:
    """One link of a page."""

    page: str
    line: int
    link: str
    status: str  # linkcheck's word
    why: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.link}: {self.why}"


@dataclass(frozen=True)
class Verdict:
    """All links."""

    good: Sequence[Found]
    dead: Sequence[Found]
    not_reached: Sequence[Found]


def judge(found: Sequence[Found]) -> Verdict:
    """Which links are dead."""
    good = [one for one in found if one.status in _GOOD]
    wrong = [one for one in found if one.status not in _GOOD]
    reached = bool(good) or any(_GONE.search(one.why) for one in wrong)

    def is_dead(one: Found) -> bool:
        return bool(_GONE.search(one.why) or (reached and _NO_NAME.search(one.why)))

    return Verdict(
        good,
        [one for one in wrong if is_dead(one)],
        [one for one in wrong if not is_dead(one)],
    )


def read(file: Path) -> Iterator[Found]:
    """The links that linkcheck has looked at: those to other sites."""
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        # It ignores what a server cannot answer now (503), and says so; what conf.py ignores, not.
        if row["status"] in _LOOKED_AT or (row["status"] == "ignored" and row["info"]):
            yield Found(row["filename"], row["lineno"], row["uri"], row["status"], row["info"])


def main(given: Sequence[str]) -> int:
    """The exit code."""
    try:
        found = list(read(Path(given[0])))
    except OSError as error:
        sys.stderr.write(f"links: {error}\n")
        return 2
    verdict = judge(found)
    for one in verdict.dead:
        sys.stdout.write(f"dead: {one}\n")
    for one in verdict.not_reached:
        sys.stdout.write(f"not reached from here: {one}\n")
    sys.stdout.write(
        f"{len(found)} links to other sites: {len(verdict.good)} work, {len(verdict.dead)} dead, "
        f"{len(verdict.not_reached)} not reached from here\n"
    )
    return 1 if verdict.dead else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
