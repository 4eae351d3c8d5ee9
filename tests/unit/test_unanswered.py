"""Why a call had no answer, in words."""

from __future__ import annotations

import Ice
import pytest

from omero_fs_plugin import unanswered
from omero_fs_plugin.unanswered import why_unanswered

ROWS = unanswered._WORDS


@pytest.mark.parametrize("error, words", ROWS, ids=lambda value: getattr(value, "__name__", ""))
def test_each_row_is_reached(error: type[Exception], words: str) -> None:
    """No row above it takes what it is for."""
    assert why_unanswered(error()) == words


def test_what_is_in_no_row_is_named_by_its_type() -> None:
    assert why_unanswered(Ice.IllegalServantException()) == "IllegalServantException"
    assert why_unanswered(ValueError("x")) == "ValueError"
    assert why_unanswered(Ice.FacetNotExistException()) == "somebody else listens there"
