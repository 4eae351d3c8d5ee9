"""What calls, imports and uploads cost in the sandbox."""

from __future__ import annotations

import pytest

from omero_fs_plugin.sandbox.pace import Meter, Pace, Prices


def test_nothing_costs_anything_unless_it_is_set() -> None:
    assert Prices.of({}) == Prices()
    assert Prices().properties() == {}


def test_prices_go_through_the_properties() -> None:
    prices = Prices(call=0.004, imported=1.3, upload=25e6)
    assert Prices.of(prices.properties()) == prices


def test_a_price_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="cheap"):
        Prices.of({"omero.sandbox.latency_ms": "cheap"})


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
