"""When a one-shot monitor ends, and what an inactivity monitor tells.  Pure."""

from __future__ import annotations

import math

from omero_fs_plugin.monitor.notices import Notice
from omero_fs_plugin.monitor.requests import MonitorType, Request

from .telling import Answer


class Terms:
    """Rule: a one-shot monitor ends with its first notification, or when its time has passed.

    An inactivity monitor tells it once each time that nothing has happened for its time.
    """

    def __init__(self, request: Request) -> None:
        self._timeout = request.timeout
        self._one_shot = request.type is MonitorType.ONE_SHOT
        self.inactivity = request.type is MonitorType.INACTIVITY
        self.any = self._one_shot or self.inactivity  # of any other it need not be asked
        self._end_at = math.inf
        self._last_words = False  # it ends when these are told, or when the client is away
        self._told = -math.inf  # the last activity whose end was told

    def begin(self, now: float) -> None:
        """Everything is watched."""
        if self._one_shot and self._timeout:
            self._end_at = now + self._timeout

    def due(self, active_at: float) -> float:
        """When `notice` has something; inf if not before something happens.

        `active_at`: when something last happened.
        """
        if self.inactivity and active_at > self._told:
            return active_at + self._timeout
        return self._end_at

    def notice(self, now: float, active_at: float, *, waits: bool) -> tuple[Notice, str] | None:
        """What is to be told now; `waits`: something waits to be told already."""
        if now >= self._end_at:
            self._end_at = math.inf
            if not waits:
                self._last_words = True
                return Notice.TIMEOUT, f"nothing happened in {self._timeout:g} s"
        if self.inactivity and active_at > self._told and now >= active_at + self._timeout:
            self._told = active_at
            return Notice.INACTIVE, f"nothing has happened for {self._timeout:g} s"
        return None

    def ends(self, answer: Answer) -> bool:
        """Whether the monitor ends with this answer of its client."""
        if answer is Answer.FAILED:
            return self._last_words
        return self._one_shot and answer is Answer.ARRIVED
