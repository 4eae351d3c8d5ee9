"""Why two directories cannot both be roots: each file has one root, and one way to it."""

from __future__ import annotations

from omero_fs_plugin.links import Route

from .shown import two_ways
from .taken import Taken

_OF_ITS_OWN = "each rule needs a directory of its own"


def at_odds(path: str, now: Taken, other: str, others: Taken) -> tuple[str, str]:
    """Why they cannot both be roots, as it is told of each; empty if they can.

    They are one directory, or one lies in the other but its path does not say so, or a mount below
    one of them leads to files of the other.
    """
    if _is_one_in_another(path, now.route, other, others.route):
        return _same(other), _same(path)
    ways = two_ways(now.shown, others.shown)
    if ways is None:
        return "", ""
    mine, theirs = ways
    return _mounted_twice(path, mine, other, theirs), _mounted_twice(other, theirs, path, mine)


def _is_one_in_another(path: str, route: Route, other: str, others: Route) -> bool:
    if route.identity == others.identity:
        return True
    for outer, outer_route, inner, inner_route in (
        (path, route, other, others),
        (other, others, path, route),
    ):
        if outer_route.identity in inner_route.above:
            levels = inner_route.above[::-1].index(outer_route.identity)
            named = "/".join(inner.split("/")[:-levels]) or "/"
            return named != outer
    return False


def _same(other: str) -> str:
    return (
        f"{other}, which is watched as well, is the same directory, or one of the two lies in the "
        f"other: {_OF_ITS_OWN}"
    )


def _mounted_twice(path: str, mine: str, other: str, theirs: str) -> str:
    it = "it" if mine == path else mine
    there = "" if theirs == other else f" below {other}"
    return (
        f"{it} has the files of {theirs}{there}, which is watched as well, by another mount: "
        f"{_OF_ITS_OWN}"
    )
