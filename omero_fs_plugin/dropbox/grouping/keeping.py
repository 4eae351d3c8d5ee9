"""What an index that is not whole keeps back: its files are not imported one by one.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from .completeness import Findings
from .filesets import Candidate, Reach


@dataclass(frozen=True)
class Holder:
    """A candidate that keeps others back."""

    first: str  # its first file
    reaches: Sequence[Reach]
    named: Collection[str]  # paths that it names

    def takes(self, path: str) -> bool:
        """Whether the file at `path` is kept back."""
        return path in self.named or any(reach.takes(path) for reach in self.reaches)

    def knows(self, path: str) -> bool:
        """Whether it names the file at `path`, or one that is called nearly so."""
        return path in self.named or any(reach.names_it(path) for reach in self.reaches)


def kept_unreadable(
    candidates: Sequence[Candidate], holders: Sequence[Holder], unreadable: Collection[str]
) -> list[Candidate]:
    """`candidates`, where those of `unreadable` that a holder knows by name go with it.

    It may be whole by then, or be called otherwise, and its set takes it.
    """
    kept: dict[str, list[str]] = {}
    for one in holders if unreadable else ():
        kept.setdefault(one.first, []).extend(filter(one.knows, unreadable))
    return [
        replace(one, files=tuple(dict.fromkeys((*one.files, *kept.get(one.files[0], ())))))
        if kept.get(one.files[0])
        else one
        for one in candidates
    ]


def holder(candidate: Candidate, state: Findings) -> Holder | None:
    """Who keeps files back, if `state` of the candidate says so."""
    if not (state.missing or state.incomplete):
        return None
    named = frozenset(state.named)
    return Holder(candidate.files[0], state.keeps, named) if state.keeps or named else None


def kept_back(candidates: Sequence[Candidate], holders: Sequence[Holder]) -> Iterator[Candidate]:
    """`candidates`, where those that are kept back are not apart, but go with their holder."""
    firsts = {one.first for one in holders}
    kept: dict[str, list[str]] = {}  # first file of the holder -> files
    free = []
    for candidate in candidates:
        by = None
        if candidate.files[0] not in firsts:
            by = next((one for one in holders if all(map(one.takes, candidate.files))), None)
        if by is None:
            free.append(candidate)
        else:
            kept.setdefault(by.first, []).extend(candidate.files)
    for candidate in free:
        more = kept.get(candidate.files[0])
        if more:
            files = tuple(dict.fromkeys((*candidate.files, *more)))
            candidate = replace(candidate, files=files)
        yield candidate
