"""What cannot be moved into quarantine now is told, and tried again in turn."""

from __future__ import annotations

from omero_fs_plugin.dropbox.importing import staying
from omero_fs_plugin.dropbox.importing.staying import AGAIN_S, Stay, Staying


def stay(number: int) -> Stay:
    return Stay(f"/dropbox/zak/{number}.tif", "cannot be moved to /bad: No space left on device")


def test_it_is_told_until_it_went_and_is_news_once() -> None:
    all_of_them = Staying()
    assert not all_of_them
    assert all_of_them.stays("/dropbox/zak", 1, stay(1), 0.0, 0.0)
    assert not all_of_them.stays("/dropbox/zak", 1, stay(1), 5.0, 0.0)
    assert all_of_them.stays("/dropbox/zak", 1, Stay(stay(1).path, "another reason"), 9.0, 0.0)
    assert all_of_them.told() == {stay(1).path: "another reason"}
    all_of_them.went("/dropbox/zak", 1)
    all_of_them.went("/dropbox/zak", 1)
    assert not all_of_them and all_of_them.told() == {} and all_of_them.due(1e9) == {}


def test_one_of_a_root_at_a_time_in_turn_and_all_once_one_went() -> None:
    all_of_them = Staying()
    for number in range(3):
        all_of_them.stays("/dropbox/zak", number, stay(number), 0.0, 0.0)
    all_of_them.stays("/dropbox/amy", 7, stay(7), 0.0, 0.0)
    assert all_of_them.due(AGAIN_S - 0.1) == {}
    tried = []
    for number in range(1, 5):
        now = number * AGAIN_S
        due = all_of_them.due(now)
        assert all_of_them.due(now) == {}, "it is under way"
        tried.append(due["/dropbox/zak"])
        for root, fileset in due.items():
            all_of_them.stays(root, fileset, stay(fileset), now, 0.0)
    assert tried == [0, 1, 2, 0]
    all_of_them.went("/dropbox/zak", 1)
    assert all_of_them.due(4 * AGAIN_S) == {"/dropbox/zak": 2}, "there is room again"


def test_a_copy_that_takes_long_is_tried_more_seldom() -> None:
    all_of_them = Staying()
    all_of_them.stays("/dropbox/zak", 1, stay(1), 100.0, 60.0)
    assert all_of_them.due(100.0 + 19 * 60.0) == {}
    assert all_of_them.due(100.0 + 20 * 60.0) == {"/dropbox/zak": 1}


def test_very_many_take_bounded_room_and_hide_nobodys() -> None:
    all_of_them = Staying()
    all_of_them.stays("/dropbox/amy", 0, stay(0), 0.0, 0.0)
    for number in range(1, staying._MOST + 10):
        all_of_them.stays("/dropbox/zak", number, stay(number), 0.0, 0.0)
    told = all_of_them.told()
    assert stay(0).path in told and len(told) == 1 + staying._TOLD
    assert sum(map(len, all_of_them._stay.values())) == staying._MOST
