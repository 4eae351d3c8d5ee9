"""The lease: one holder at a time, and the next one as soon as the last has gone."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from omero_fs_plugin.dropbox.journal.engines import LIMITS
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.keeper import LeaseKeeper
from omero_fs_plugin.dropbox.journal.lease import EXPIRES, RENEW, Holder, Lease
from tests.conftest import examples
from tests.memory import MEMORY


def elsewhere(token: str) -> Holder:
    """A holder on another machine.  Nobody here knows whether it lives."""
    return replace(Holder.me(), host="elsewhere", boot="another", token=token)


def test_the_first_has_it_and_the_second_waits(journal: Journal) -> None:
    first, second = Lease(journal), Lease(journal)
    assert first.hold(0.0)
    assert not second.hold(0.0)
    assert second.held_by == f"process {os.getpid()} on {Holder.me().host}"
    assert first.hold(5.0)


def test_a_released_lease_is_had_at_once(journal: Journal) -> None:
    first, second = Lease(journal), Lease(journal)
    assert first.hold(0.0)
    first.release()
    assert second.hold(0.1)
    assert not first.hold(0.2)


def test_who_renews_keeps_it_for_ever(journal: Journal) -> None:
    first, second = Lease(journal, elsewhere("1")), Lease(journal)
    for now in range(0, 600, 5):
        assert first.hold(float(now))
        assert not second.hold(now + 1.0)


@pytest.mark.parametrize(("waited", "has_it"), [(EXPIRES - 0.1, False), (EXPIRES, True)])
def test_one_who_stands_still_loses_it(journal: Journal, waited: float, has_it: bool) -> None:
    first, second = Lease(journal, elsewhere("1")), Lease(journal)
    assert first.hold(0.0)
    assert not second.hold(7.0)
    assert second.hold(7.0 + waited) is has_it
    assert first.hold(7.0 + waited) is not has_it


def test_a_dead_process_of_this_machine_loses_it_at_once(journal: Journal) -> None:
    script = "from omero_fs_plugin.dropbox.journal.lease import Holder; print(Holder.me())"
    told = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert Lease(journal, Holder.parse(told)).hold(0.0)
    assert Lease(journal).hold(0.0)


def test_a_pid_given_to_another_process_is_no_sign_of_life(journal: Journal) -> None:
    before = replace(Holder.me(), started="1")
    assert before.is_dead(Holder.me())
    assert not Holder.me().is_dead(Holder.me())
    assert not elsewhere("1").is_dead(Holder.me())


def test_a_holder_can_be_written_down() -> None:
    for holder in (Holder.me(), replace(Holder.me(), boot=""), replace(Holder.me(), pids="")):
        assert Holder.parse(str(holder)) == holder


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"pids": "pid:[1]"}, id="in another container of this host"),
        pytest.param({"boot": "another"}, id="on a host of the same name"),
        pytest.param({"host": "elsewhere"}, id="on another host"),
        pytest.param({"pids": ""}, id="written by an earlier release"),
        pytest.param({"boot": ""}, id="on a system without /proc"),
    ],
)
def test_without_certainty_time_decides(journal: Journal, other: dict[str, str]) -> None:
    """Its pid is not in use here, which says nothing of it."""
    gone = replace(Holder.me(), pid=2**22 + 1, token="other", **other)  # above any pid_max
    assert not gone.is_dead(Holder.me())
    assert Lease(journal, gone).hold(0.0)
    lease = Lease(journal)
    assert not lease.hold(0.0)
    assert not lease.hold(EXPIRES - 0.1)
    assert lease.hold(EXPIRES)


def test_a_standby_on_another_machine_has_it_within_half_a_minute(journal: Journal) -> None:
    """Whenever the holder is killed; and the standby has 3 s of the 30 s to begin its work."""
    for killed_at in (0.0, 0.5, RENEW - 0.1, RENEW):
        first, standby = Lease(journal, elsewhere("1")), Lease(journal)
        keeper = LeaseKeeper(standby, gained=lambda: None, lost=lambda why: None)
        now, counted = 0.0, 0.0
        assert first.hold(now)
        while not standby.hold(now):
            assert now - killed_at <= 27, "too late"
            now += keeper.pause(False)
            if counted + RENEW <= min(now, killed_at):
                counted += RENEW
                assert first.hold(counted)
        assert now >= counted + EXPIRES - 1, "too early: it may only be held up"
        standby.release()


def test_a_lost_machine_that_holds_up_a_write_costs_nobody_the_lease() -> None:
    assert RENEW + LIMITS["idle_in_transaction_session_timeout"] < EXPIRES


def test_a_lease_of_an_earlier_release_is_understood(journal: Journal) -> None:
    me = Holder.me()
    before = f"{me.host} {me.boot} {me.pid} {me.started} 1234"
    assert Holder.parse(before) == replace(me, pids="", token="1234")


def test_a_process_that_proc_hides_is_not_dead(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hidden(self: Path, *arguments: object, **named: object) -> str:
        raise PermissionError(13, "hidepid=2")

    other = replace(Holder.me(), token="other")
    monkeypatch.setattr(Path, "read_text", hidden)
    assert not other.is_dead(other)


def test_each_holder_has_an_epoch_of_its_own(journal: Journal) -> None:
    first, second = Lease(journal, elsewhere("1")), Lease(journal, elsewhere("2"))
    assert first.hold(0.0)
    assert first.hold(5.0)
    assert first.held.epoch == 1
    first.release()
    assert second.hold(6.0)
    assert second.held.epoch == 2
    second.release()
    assert first.hold(7.0)
    assert first.held.epoch == 3


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 40), st.booleans()), max_size=30))
# Taken, released and taken again by one while another waits.
@example([(0, 0, False), (1, 0, False), (0, 0, True), (0, 20, False), (1, 40, False)])
@settings(deadline=None, max_examples=examples(30), suppress_health_check=[HealthCheck.too_slow])
def test_never_two_at_once(acts: list[tuple[int, float, bool]]) -> None:
    """Each holder stops at the first False and when it could not ask for EXPIRES."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        journal = Journal(f"sqlite:///{directory}/journal.sqlite")
        leases = [Lease(journal, elsewhere(str(n))) for n in range(3)]
        now = 0.0
        working: dict[int, float] = {}
        for who, passed, releases in acts:
            now += passed
            working = {w: asked for w, asked in working.items() if now - asked < EXPIRES}
            if releases and who in working:
                leases[who].release()
                del working[who]
            elif leases[who].hold(now):
                working[who] = now
            else:
                working.pop(who, None)
            assert len(working) <= 1
        journal.close()
