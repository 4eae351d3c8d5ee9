"""The document that a user reads in OMERO: what became of the user's files.  Pure.

All times are in s since the epoch.  Paths are those below the user's directory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.journal.seen import Seen
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.situation import below, shortened, standing, without_paths

from . import written
from .written import content_of, is_time, loaded

FORMAT = 1  # readers refuse another one
FILESETS = 200  # the latest
MOST_BYTES = 200_000  # of the whole text; the oldest filesets are left out
_FILES = 20  # named for each fileset
_NAME, _REASON = 300, 400  # characters
_IMAGES = 20
_ROOTS = 5
_ANSWERS = 20  # the latest
_REVISIONS = 2**53  # a number above is none of ours
_UNTIL_S = 600.0  # `until` is told in steps of this: DropBox counts a wait now and then
# What says when and how often it was written, and not what became of files.
_ABOUT = ("revision", "written")


@dataclass(frozen=True)
class Facts:
    """What is known of one user's files."""

    user: str
    counts: Mapping[State, int]
    held: int  # filesets that wait for something, or are tried again
    latest: Sequence[Seen]  # last changed first
    roots: Mapping[str, str]  # user's directories -> what is wrong with each; empty: nothing
    progress: Mapping[int, str]  # fileset under way -> `3 of 5 bytes`
    answers: Mapping[int, str] = field(default_factory=dict)  # fileset -> what a request came to


def compose(facts: Facts, settings: Settings, now: float) -> dict[str, Any]:
    """The document, without its revision."""
    return {
        "format": FORMAT,
        "user": facts.user,
        "counts": {str(state): facts.counts.get(state, 0) for state in State},
        "held_up": facts.held,
        "filesets": [_fileset(one, facts, settings, now) for one in facts.latest[:FILESETS]],
        "roots": [
            {"directory": shortened(root, _NAME), "trouble": shortened(trouble, _REASON)}
            for root, trouble in sorted(facts.roots.items())[:_ROOTS]
        ],
        "answers": [
            {"id": fileset, "answer": shortened(answer, _REASON)}
            for fileset, answer in list(facts.answers.items())[-_ANSWERS:]
        ],
    }


def changed(content: Mapping[str, Any], before: str, now: float) -> str | None:
    """The text to write in place of `before`; None if that says the same.

    Its revision is one more than that of `before`.  What is no document of ours counts as none.
    """
    former = parsed(before)
    if former is None:
        return text_of({**content, "revision": 1, "written": round(now, 1)})
    said = {name: value for name, value in former.items() if name not in _ABOUT}
    fitted = loaded(text_of(content))
    if said == fitted:
        return None
    return text_of({**content, "revision": former["revision"] + 1, "written": round(now, 1)})


def fingerprint(content: Mapping[str, Any]) -> bytes:
    """Equal for equal contents, and for no others."""
    return hashlib.sha256(text_of(content).encode()).digest()


def text_of(content: Mapping[str, Any]) -> str:
    """As it is written: at most MOST_BYTES bytes of ASCII."""
    text = _json(content)
    if len(text) <= MOST_BYTES:
        return text
    filesets = list(content["filesets"])
    left = MOST_BYTES - len(_json({**content, "filesets": []}))
    fitting = 0
    for one in filesets:
        left -= len(_json(one)) + 1
        if left < 0:
            break
        fitting += 1
    return _json({**content, "filesets": filesets[:fitting]})


def parsed(text: str) -> dict[str, Any] | None:
    """The document in `text`; None if it is none that we wrote: its user may write there too.

    Its lists are not longer than DropBox writes them, and all texts in it can be encoded.
    """
    found = content_of(text, FORMAT)
    if found is None:
        return None
    revision, counts = found.get("revision"), found.get("counts")
    whole = (
        type(revision) is int
        and 0 < revision < _REVISIONS
        and _is_list(found.get("filesets"), _is_fileset)
        and _is_list(found.get("roots"), _is_root)
        and _is_list(found.get("answers", []), _is_answer)  # an older DropBox wrote none
        and isinstance(counts, dict)
        and all(_is_number(counts.get(str(state))) for state in State)
        and all(_is_number(number) for number in counts.values())  # readers add them up
        and _is_number(found.get("held_up"))
        and is_time(found.get("written"))
    )
    if not whole:
        return None
    limits = {"filesets": FILESETS, "roots": _ROOTS, "answers": _ANSWERS}
    return {**found, **{name: found[name][:most] for name, most in limits.items() if name in found}}


def is_newer(text: str) -> bool:
    """Whether `text` is a document of an OMERO.fs that is newer than this one."""
    return written.is_newer(text, FORMAT)


def in_omero(one: Mapping[str, Any]) -> int | None:
    """The id in OMERO of a fileset of the document; None if there is none that OMERO could have."""
    fileset = one.get("fileset")
    return fileset if _is_number(fileset) and fileset else None


def _is_list(value: Any, of: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(of(one) for one in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < _REVISIONS


def _is_root(one: Any) -> bool:
    names = ("directory", "trouble")
    return isinstance(one, dict) and all(_is_text(one.get(name)) for name in names)


def _is_answer(one: Any) -> bool:
    return isinstance(one, dict) and _is_number(one.get("id")) and _is_text(one.get("answer"))


def _is_fileset(one: Any) -> bool:
    texts = ("state", "stand", "reason", "remedy", "progress")
    return (
        isinstance(one, dict)
        and _is_number(one.get("id"))
        and _is_number(one.get("more_files"))
        and all(_is_text(one.get(name)) for name in texts)
        and _is_list(one.get("files"), _is_text)
        and _is_list(one.get("images"), _is_number)
        and is_time(one.get("since"))
    )


def _fileset(seen: Seen, facts: Facts, settings: Settings, now: float) -> dict[str, Any]:
    stands = standing(seen, settings, now)
    until = None if stands.deadline is None else now + stands.deadline
    reason = without_paths(stands.what, seen.files, seen.root)
    return {
        "id": seen.id,
        "files": [shortened(below(path, seen.root), _NAME) for path in seen.files[:_FILES]],
        "more_files": max(0, len(seen.files) - _FILES),
        "size": seen.size,
        "state": str(seen.state),
        "stand": str(stands.stand),
        "reason": shortened(reason, _REASON),
        "remedy": shortened(stands.remedy, _REASON),
        "since": round(seen.changed, 1),
        "until": None if until is None else -(-until // _UNTIL_S) * _UNTIL_S,
        "progress": facts.progress.get(seen.id, ""),
        "images": list(seen.images[:_IMAGES]),
        "more_images": max(0, len(seen.images) - _IMAGES),
        "fileset": seen.server_fileset,  # its id in OMERO
    }


def _json(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))
