"""FSServer runs half as far below OMERO as DropBox, and not beside it."""

from __future__ import annotations

from types import SimpleNamespace
from unittest import mock

import pytest

from omero_fs_plugin.monitor import server


@pytest.mark.parametrize(("nice", "lowered"), [(0, 0), (1, 1), (9, 5), (10, 5), (19, 10)])
def test_half_as_far(nice: int, lowered: int) -> None:
    given = SimpleNamespace(nice=nice)
    with (
        mock.patch.object(server, "read_monitoring", return_value=given),
        mock.patch.object(server.icegrid, "omero_properties"),
        mock.patch.object(server.collector, "seldom"),
        mock.patch.object(server, "FSServer"),
        mock.patch.object(server.niceness, "lower") as lower,
    ):
        server._below_omero(None)
    lower.assert_called_once_with(lowered)
