"""The numbers of a report."""

from __future__ import annotations

import math
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.cli import report_text
from omero_fs_plugin.cli.report_facts import Waits, facts
from omero_fs_plugin.dropbox.journal.seen import Came
from omero_fs_plugin.dropbox.journal.states import OPEN, State

DAY = 86400.0
BEGIN = datetime(2026, 11, 1).timestamp()
END = BEGIN + 7 * DAY


def came(number: int, created: float, imported: float | None = None, **more: object) -> Came:
    state = State.IMPORTED if imported is not None else State.WAITING
    values = {"state": state, "reason": "", "changed": created, "user": "amy", **more}
    return Came(
        id=number,
        root="/drop/amy",
        path=f"/drop/amy/{number}.tif",
        created=created,
        imported=imported,
        files=2,
        size=10,
        **values,  # type: ignore[arg-type]
    )


def test_what_came_before_the_period_and_was_imported_in_it() -> None:
    told = facts([came(1, BEGIN - 100, BEGIN + 50)], BEGIN, END)
    assert (told.dropped, told.imported, told.size) == (0, 1, 10)
    assert told.waits == Waits(150, 150, 150)


def test_what_came_in_it_and_was_imported_after_it() -> None:
    told = facts([came(1, END - 10, END + 50)], BEGIN, END)
    assert (told.dropped, told.files, told.imported, told.waits) == (1, 2, 0, None)


def test_failures_are_the_newest_first_and_the_waiting_the_oldest_first() -> None:
    some = [came(n, BEGIN + n, state=State.FAILED, changed=BEGIN + n) for n in range(3)]
    some += [came(n, BEGIN + n) for n in range(5, 8)]
    told = facts(some, BEGIN, END)
    assert [one.id for one in told.failures] == [2, 1, 0]
    assert [one.id for one in told.waiting] == [5, 6, 7]
    assert (told.failed, told.open) == (3, 3)


def test_a_reason_names_its_own_file_once() -> None:
    told = facts([came(5, BEGIN, reason="/drop/amy/5.tif: it is empty")], BEGIN, END)
    text = report_text.as_text(told, None, "")
    assert "waiting: 5 amy/5.tif: it is empty" in text
    assert "/drop/amy" not in text + report_text.as_html(told, None, "")


def test_each_user_has_a_line() -> None:
    some = [came(1, BEGIN, BEGIN + 1), came(2, BEGIN, user="zak", state=State.FAILED)]
    assert facts(some, BEGIN, END).users == (("amy", 1, 1, 0), ("zak", 1, 0, 1))


def test_parts_are_hours_days_or_weeks() -> None:
    for days, number in ((1, 24), (7, 7), (100, 15)):
        told = facts([], BEGIN, BEGIN + days * DAY)
        assert math.isclose(len(told.parts), number, abs_tol=1)  # the clock may change meanwhile


STATES = st.sampled_from(list(State))
TIMES = st.floats(BEGIN - DAY, END + DAY)


@given(st.lists(st.tuples(TIMES, st.none() | st.floats(0, 3 * DAY), STATES)))
def test_the_parts_are_the_whole(rows: list[tuple[float, float | None, State]]) -> None:
    some = [
        came(n, at, None if wait is None else at + wait, state=state)
        for n, (at, wait, state) in enumerate(rows)
    ]
    told = facts(some, BEGIN, END)
    assert sum(part.imported for part in told.parts) == told.imported
    assert sum(imported for _, _, imported, _ in told.users) == told.imported
    assert sum(dropped for _, dropped, _, _ in told.users) == told.dropped
    assert told.open == sum(one.state in OPEN for one in some)
    if told.waits is not None:
        assert told.waits.median <= told.waits.most <= told.waits.longest
