"""Turns the answers of our own parsers into frames, and back.

Rule: answers are not trusted, because the process that answers has read users' files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from .child.frames import Frame
from .completeness import Findings
from .filesets import Candidate, Grouping, Reach

MOST_TOLD = 300_000  # the most files that one answer names, in all of its sets together
_NOTHING = Findings()
_TEXTS = ("reader", "incomplete", "alike", "broken", "held", "slow", "refused", "remark")


class TooMuch(ValueError):
    """An answer names more files than any real lot has."""


def grouping_frame(grouping: Grouping) -> Frame:
    """The frame of a Grouping.  Raises TooMuch."""
    told = sum(len(one.files) + len(one.missing) for one in grouping.candidates)
    if told > MOST_TOLD:
        raise TooMuch(f"the sets name {told} files, and at most {MOST_TOLD} are taken")
    return {
        "candidates": [
            {
                "files": one.files,
                "not_now": one.not_now,
                "unread": one.unread,
                "plate": one.plate,
                "missing": one.missing,
                "needs": one.needs,
                "trees": [asdict(reach) for reach in one.trees],
                **{name: getattr(one, name) for name in _TEXTS if getattr(one, name)},
            }
            for one in grouping.candidates
        ],
        "unreadable": dict(grouping.unreadable),
        "unread": sorted(grouping.unread),
    }


def grouping_of(frame: Frame) -> Grouping:
    """Raises ValueError for what is no answer."""
    candidates = tuple(map(_candidate, _list(frame.get("candidates"))))
    unreadable = frame.get("unreadable")
    if not isinstance(unreadable, Mapping):
        raise ValueError("no answer")
    unread = frozenset(_texts(frame.get("unread")))
    return Grouping(candidates, {path: _text(why) for path, why in unreadable.items()}, unread)


def findings_frame(findings: Iterable[Findings]) -> Frame:
    """The frame of the Findings of several sets, in their order.  Raises TooMuch."""
    told: list[Frame] = []
    number = 0
    for one in findings:
        number += len(one.missing) + len(one.named) + sum(len(kept.names) for kept in one.keeps)
        if number > MOST_TOLD:
            raise TooMuch(f"the sets name more than {MOST_TOLD} files")
        told.append(_frame_of(one))
    return {"findings": told}


def _frame_of(one: Findings) -> Frame:
    """What is known of one set.  Of nearly all sets this is nothing, and costs nothing."""
    if one == _NOTHING:
        return {}
    return {name: value for name, value in asdict(one).items() if value}


def findings_of(frame: Frame) -> list[Findings]:
    """Raises ValueError for what is no answer."""
    return [
        Findings(
            missing=_texts(one.get("missing", [])),
            incomplete=_text(one.get("incomplete", "")),
            alike=_text(one.get("alike", "")),
            refused=_text(one.get("refused", "")),
            not_now=_truth(one.get("not_now", False)),
            unread=_texts(one.get("unread", [])),
            remark=_text(one.get("remark", "")),
            named=_texts(one.get("named", [])),
            keeps=_reaches(one.get("keeps", [])),
            trees=_reaches(one.get("trees", [])),
        )
        if one
        else _NOTHING
        for one in map(_mapping, _list(frame.get("findings")))
    ]


def _candidate(value: Any) -> Candidate:
    value = _mapping(value)
    files = _texts(value.get("files"))
    if not files:
        raise ValueError("a set of no files")
    texts = {name: _text(value.get(name, "")) for name in _TEXTS}
    missing = _texts(value.get("missing"))
    needs = _texts(value.get("needs", []))
    trees = _reaches(value.get("trees"))
    return Candidate(
        files=files,
        plate=_truth(value.get("plate")),
        not_now=_truth(value.get("not_now")),
        unread=_texts(value.get("unread")),
        missing=missing,
        needs=needs,
        trees=trees,
        **texts,
    )


def _reaches(value: Any) -> tuple[Reach, ...]:
    return tuple(map(_reach, _list(value)))


def _reach(value: Any) -> Reach:
    value = _mapping(value)
    depth = value.get("depth")
    if not isinstance(depth, int):
        raise ValueError("no answer")
    suffixes, names = _texts(value.get("suffixes")), _texts(value.get("names"))
    return Reach(_text(value.get("directory")), depth, suffixes, names)


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("no answer")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("no answer")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(_text, _list(value)))


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("no answer")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("no answer")
    return value
