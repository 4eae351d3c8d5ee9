"""What calls, imports and uploads cost in the sandbox."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from omero_fs_plugin.sandbox import pace as pace_
from omero_fs_plugin.sandbox.pace import FINISH, READ, SAVE, Interrupted, Meter, Pace, Prices


def test_nothing_costs_anything_unless_it_is_set() -> None:
    assert Prices.of({}) == Prices()
    assert Prices().properties() == {}


def test_prices_go_through_the_properties() -> None:
    prices = Prices(call=0.004, imported=1.3, upload=25e6, at_once=1_234_567)
    assert Prices.of(prices.properties()) == prices


def test_a_price_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="cheap"):
        Prices.of({"omero.sandbox.latency_ms": "cheap"})


def test_an_import_may_come_to_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum of the price and of the mood, in three parts."""
    clock, waited = [0.0], list[float]()

    def wait(seconds: float) -> None:
        clock[0] += seconds
        waited.append(seconds)

    monkeypatch.setattr(pace_, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    longer = [0.0]
    pace = Pace(Prices(imported=3.0), lambda: longer[0])
    monkeypatch.setattr(pace._stopping, "wait", wait)
    for more, wanted in ((0.0, 3.0), (6.0, 9.0)):
        longer[0], waited[:] = more, []
        for point in (READ, SAVE, FINISH):
            pace.reach(point)
        assert sum(waited) == pytest.approx(wanted)


def test_an_import_waits_for_its_turn_and_shows_that_it_lives() -> None:
    pace = Pace(Prices(imported=1e-6, at_once=1))
    lives, done = threading.Event(), threading.Event()

    def one() -> None:
        pace.reach(READ, lives.set)
        done.set()

    with pace._turns:  # another takes its time
        threading.Thread(target=one).start()
        assert lives.wait(30)
        assert not done.is_set()
    assert done.wait(30)


def test_who_waits_for_a_turn_ends_with_the_server() -> None:
    pace = Pace(Prices(imported=1e-6, at_once=1))
    pace.stop()
    with pace._turns, pytest.raises(Interrupted):
        pace.reach(READ)


def test_bytes_wait_for_those_before_them() -> None:
    meter = Meter(10.0)
    assert meter.wait(5, 100.0) == pytest.approx(0.5)
    assert meter.wait(5, 100.0) == pytest.approx(1.0)
    assert meter.wait(5, 200.0) == pytest.approx(0.5)  # what was not used is not saved up


def test_without_a_limit_nothing_waits() -> None:
    assert Meter(0.0).wait(10**12, 100.0) == 0.0


def test_each_session_has_a_rate_of_its_own() -> None:
    pace = Pace(Prices(upload=1e9))
    pace.stop()  # so that nothing waits here; the meters go on
    for session in ("one", "other"):
        pace.upload(session, 10**9)
    assert set(pace._meters) == {"one", "other"}
    pace.forget("one")
    assert set(pace._meters) == {"other"}
