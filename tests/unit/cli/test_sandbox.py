"""`omero fs sandbox create` gives the sandbox the prices that were asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from omero_ext.argparse import ArgumentParser

from omero_fs_plugin.cli import sandbox
from omero_fs_plugin.sandbox import create
from omero_fs_plugin.sandbox.pace import Prices


def _asked(directory: Path, *words: str) -> dict[str, Any]:
    """What `create` is called with."""
    parser = ArgumentParser()
    sandbox.configure(parser.add_subparsers())
    made = SimpleNamespace(directory=directory, ports=SimpleNamespace(router=14064))
    with mock.patch.object(create, "create", return_value=made) as creates:
        args = parser.parse_args(["sandbox", "create", str(directory), *words])
        sandbox.run(SimpleNamespace(out=lambda line: None), args)
    return dict(creates.call_args.kwargs)


def test_of_a_real_server(tmp_path: Path) -> None:
    prices = "--latency 5 --import-time 1250 --imports-at-once 2 --upload-rate 25"
    asked = _asked(tmp_path, *prices.split())
    assert asked["prices"] == Prices(call=0.005, imported=1.25, upload=25e6, at_once=2)


def test_nothing_costs_anything_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert _asked(tmp_path)["prices"] == Prices()


@pytest.mark.parametrize(
    "wrong",
    [
        *("--latency 0", "--import-time -1", "--imports-at-once 0", "--imports-at-once 1.5"),
        *("--upload-rate fast", "--latency nan"),
    ],
)
def test_a_price_that_is_none_is_refused(
    tmp_path: Path, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        _asked(tmp_path, *wrong.split())
    assert ended.value.code == 2
    assert wrong.split()[0] in capsys.readouterr().err
