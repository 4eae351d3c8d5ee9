"""A directory in memory, for journals of tests: on a disk each transaction would wait for it."""

from __future__ import annotations

from pathlib import Path

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
