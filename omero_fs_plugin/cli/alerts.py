"""The kinds of trouble that exit codes tell apart, for cron and for monitoring."""

from __future__ import annotations

from collections.abc import Iterable

from omero_fs_plugin.errors import ConfigurationError

# In the order in which to look: kind -> exit code.
KINDS = {"config": 2, "down": 3, "journal": 4, "unwell": 1, "failed": 8, "stuck": 9}
DEFAULT = ",".join(KINDS)


def kinds(text: str, known: Iterable[str] = KINDS) -> frozenset[str]:
    """The kinds that --fail-on names.  Raises ConfigurationError for another word."""
    found = {word.strip() for word in text.split(",")} - {""}
    if found == {"none"}:
        return frozenset()
    wrong = sorted(found - set(known))
    if wrong or not found:
        raise ConfigurationError(
            f"--fail-on {text}: some of {', '.join(known)} are wanted, with commas between, or none"
        )
    return frozenset(found)


def code_of(found: Iterable[str]) -> int:
    """The exit code of the first of these kinds; 0 if there is none."""
    present = set(found)
    return next((code for kind, code in KINDS.items() if kind in present), 0)
