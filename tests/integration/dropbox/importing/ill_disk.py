"""A disk that answers one call with an error, and is well before and after."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class IllDisk:
    """The disk below `root`: every call of this process that touches it is counted.

    The call with the number `at` (from 1; 0: none) fails with `code`.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root = f"{root}/"
        self.at = self.code = 0
        self.calls: list[str] = []
        for name in ("open", "stat", "lstat", "unlink", "link"):
            monkeypatch.setattr(os, name, self._by_path(name, getattr(os, name)))
        self._fstat = os.fstat
        monkeypatch.setattr(os, "fstat", self._by_descriptor)
        self._fdopen = os.fdopen
        monkeypatch.setattr(os, "fdopen", self._opened)

    def well(self) -> list[str]:
        """From now on no call fails.  Returns the calls since the last time, in their order."""
        made, self.calls, self.at = self.calls, [], 0
        return made

    def fail(self, number: int, code: int) -> None:
        self.well()
        self.at, self.code = number, code

    def touched(self, call: str, path: str) -> None:
        if not f"{path}/".startswith(self._root):
            return
        self.calls.append(call)
        if len(self.calls) == self.at:
            raise OSError(self.code, os.strerror(self.code))

    def _by_path(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            if isinstance(path, (str, Path)):
                above = options.get("dir_fd", options.get("src_dir_fd"))
                where = str(path) if above is None else str(Path(self._path(above), path))
                self.touched(name, where)
            return real(path, *arguments, **options)

        return call

    def _by_descriptor(self, descriptor: int) -> os.stat_result:
        self.touched("fstat", self._path(descriptor))
        return self._fstat(descriptor)

    def _opened(self, descriptor: int, *arguments: Any, **options: Any) -> Any:
        path, file = self._path(descriptor), self._fdopen(descriptor, *arguments, **options)
        return _File(file, lambda call: self.touched(call, path))

    def _path(self, descriptor: int) -> str:
        try:
            return str(Path(f"/proc/self/fd/{descriptor}").readlink())
        except OSError:
            return ""


class _File:
    """A file that says when it is read and closed."""

    def __init__(self, file: Any, touched: Callable[[str], None]) -> None:
        self._file, self._touched = file, touched

    def read(self, size: int = -1) -> bytes:
        self._touched("read")
        return bytes(self._file.read(size))

    def close(self) -> None:
        """It is closed, also if the disk answers with an error."""
        self._file.close()
        self._touched("close")

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
