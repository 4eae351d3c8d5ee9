"""What this kernel can keep a child from, in words for status and check."""

from __future__ import annotations

import errno

from . import landlock


def kept() -> str:
    """One line that says what the processes that read users' files cannot do."""
    version = landlock.abi()
    if version:
        return (
            "processes that read users' files can open the watched directories and their own "
            f"program, and nothing else (the kernel's Landlock, version {version}, sees to it)"
        )
    return f"users' files are read by processes that may read what the server may: {lacking()}"


def lacking() -> str:
    """Why there is no Landlock; empty if there is."""
    if landlock.abi():
        return ""
    if landlock.missing() == errno.EOPNOTSUPP:
        return "Landlock is switched off in this kernel"
    return "this kernel has no Landlock"
