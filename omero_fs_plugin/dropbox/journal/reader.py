"""Reads the journal: what is known of every file and fileset."""

from __future__ import annotations

from .history import History
from .queue import Queue
from .sameness import Sameness


class JournalReader(Sameness, Queue, History):
    """The journal, for reading; see `Rows` for how it is opened."""
