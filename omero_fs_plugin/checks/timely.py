"""Looks at things that may not answer, and does not wait for ever.

A system call on a share that is away hangs, and nothing in the process can end
it.  So each check has a daemon thread.  When its time is over, nobody waits for
the thread any more, and the process ends without it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from omero_fs_plugin.errors import FsError

from . import Line, error


@dataclass
class Check:
    """One check, and what it said so far."""

    about: str  # its subject, which is named if it says nothing
    look: Callable[[], Iterable[Line]]
    lines: list[Line] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Runs the check.  If it raises, that becomes a line as well."""
        try:
            for line in self.look():
                self.lines.append(line)
        except FsError as refused:
            self.lines.append(error(self.about, str(refused), "mend that, and check again"))
        except OSError as refused:
            what = f"{refused.filename or 'it'}: {refused.strerror}"
            self.lines.append(error(self.about, what, "mend that, and check again"))
        except Exception as defect:
            what = f"could not be looked at: {type(defect).__name__}: {defect}"
            self.lines.append(error(self.about, what, "please report this as a defect"))
        finally:
            self.done.set()


def within(limit: float, checks: Sequence[Check]) -> list[Line]:
    """What the checks say, in their order, after at most `limit` (s) for all of them."""
    for check in checks:
        threading.Thread(target=check.run, name=check.about, daemon=True).start()
    end = time.monotonic() + limit
    lines: list[Line] = []
    for check in checks:
        answered = check.done.wait(max(0.0, end - time.monotonic()))
        lines += check.lines
        if not answered:
            lines.append(
                error(
                    check.about,
                    f"no answer within {limit:g} s",
                    "is a disk or share away? `mount` and `df` show it; "
                    "or give it more time with --timeout",
                )
            )
    return lines
