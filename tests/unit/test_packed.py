"""Paths and SHA1s in little memory: what goes in comes out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.packed import Sha1s, Texts, bag, in_order
from tests.grown import for_each

# Any str that a name may be: also with bytes that are no UTF-8.
TEXTS = st.text(st.characters(codec=None), max_size=5) | st.sampled_from(["a/b", "a/c", "é/\udcff"])
SHA1S = (
    st.none()
    | st.text(st.sampled_from("0123456789abcdef"), min_size=40, max_size=40)
    | st.sampled_from(["", "ab", "A" * 40, "g" * 40])
)


@given(st.lists(TEXTS, max_size=40))
def test_what_goes_in_comes_out(texts: list[str]) -> None:
    packed = Texts(texts)
    assert list(packed) == texts and packed == texts and packed == tuple(texts)
    assert [packed[n] for n in range(len(texts))] == texts
    assert packed[3:30:2] == texts[3:30:2]
    assert packed != [*texts, "more"]
    assert [texts[n] for n in in_order(packed)] == sorted(texts)
    assert bag(packed) == bag(reversed(texts))


@given(st.lists(SHA1S, max_size=9))
def test_a_sha1_may_be_missing_or_be_something_else(sha1s: list[str | None]) -> None:
    packed = Sha1s(sha1s)
    assert list(packed) == sha1s
    assert packed[1:] == sha1s[1:]


@pytest.mark.parametrize("position", [2, -3])
@pytest.mark.parametrize("of", [Texts, Sha1s])
def test_beyond_its_end(of: Callable[[list[str]], Texts | Sha1s], position: int) -> None:
    packed = of(["a", "b"])
    assert packed[-1] == "b"
    with pytest.raises(IndexError):
        packed[position]


def test_a_bag_counts_what_is_there_twice() -> None:
    assert bag(["a", "a", "b"]) != bag(["a", "b", "b"]) != bag(["a", "b"])


def test_more_texts_than_are_sorted_at_once() -> None:
    texts = [f"{n * 7919 % 10_007:05}" for n in range(10_007)]
    assert [texts[n] for n in in_order(texts)] == sorted(texts)


ROOT = "/srv/omero/data/DropBox/amy/2026-11-30/experiment/a.ome.zarr"


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda number: Texts(f"{ROOT}/0/{n // 250}/{n % 250}/0/0" for n in range(number)), 40),
        (lambda number: Sha1s(f"{n:040x}" for n in range(number)), 26),
        (lambda number: sum(1 for _ in in_order(Texts(f"{n:09}" for n in range(number)))), 45),
    ],
    ids=["paths", "SHA1s", "sorted"],
)
def test_how_many_bytes_each_takes(make: Callable[[int], object], most: float) -> None:
    assert for_each(make, 10_000, 40_000) <= most
