"""What people are told of files that cannot be imported: one user's hide nobody else's."""

from __future__ import annotations

import threading

from omero_fs_plugin.dropbox.settling.left_alone import MOST, MOST_IN_ALL, LeftAlone

AMY, ZAK = "/in/amy", "/in/zak"


def test_a_hundred_thousand_links_of_one_user_hide_nothing_of_another() -> None:
    left = LeftAlone()
    logged = sum(left.note(AMY, f"{AMY}/{n % 1000}/{n}", "a link") for n in range(100_000))
    assert len(left) == MOST and logged <= MOST
    assert left.note(ZAK, f"{ZAK}/pipe", "a FIFO"), "and the log has a line of it"
    assert left[f"{ZAK}/pipe"] == "a FIFO"


def test_all_together_have_a_limit() -> None:
    left = LeftAlone()
    for n in range(2 * MOST_IN_ALL):
        left.note(f"/in/{n}", f"/in/{n}/a", "a link")
    assert len(left) == MOST_IN_ALL


def test_what_is_gone_makes_room() -> None:
    left = LeftAlone()
    for n in range(3 * MOST):
        left.note(AMY, f"{AMY}/{n}", "a link")
        left.forget(f"{AMY}/{n}")
        left.forget(f"{AMY}/{n}")
    assert left == {}
    left.note(AMY, f"{AMY}/a", "a link")
    left.clear()
    for n in range(MOST):
        left.note(AMY, f"{AMY}/{n}", "a link")
    assert len(left) == MOST


def test_the_log_has_one_line_for_a_directory_and_a_reason() -> None:
    left = LeftAlone()
    told = [left.note(AMY, f"{AMY}/d/{n}", why) for n, why in enumerate("aabba")]
    assert told == [True, False, True, False, False]
    left.clear()
    assert not left.note(AMY, f"{AMY}/d/0", "a"), "a rescan meets it again"


def test_what_can_be_seen_again_is_told_no_more_and_the_rest_stays() -> None:
    left = LeftAlone()
    left.note(AMY, f"{AMY}/day", "its directory was not listed", unseen=True)
    left.note(AMY, f"{AMY}/link", "cannot be followed: a link")
    for path in (f"{AMY}/day", f"{AMY}/link", f"{AMY}/other"):
        left.seen(path)
    assert left == {f"{AMY}/link": "cannot be followed: a link"}
    left.note(AMY, f"{AMY}/day", "a link")
    left.seen(f"{AMY}/day")
    assert left[f"{AMY}/day"] == "a link", "what is told by now is not that it was unseen"


def test_what_could_not_be_seen_is_kept_though_it_is_not_shown() -> None:
    """Else nobody would look whether it can be seen again."""
    left = LeftAlone()
    shut = [f"{AMY}/{n}" for n in range(2 * MOST)]
    for path in shut:
        left.note(AMY, path, "cannot be listed", unseen=True)
    assert len(left) == MOST and set(left.unseen()) == set(shut)
    left.forget(shut[-1])
    assert shut[-1] not in left.unseen()
    left.forget(shut[0])
    left.note(AMY, shut[-2], "a link")
    left.seen(shut[-2])
    assert left[shut[-2]] == "a link"


def test_of_these_too_there_is_a_limit_which_hides_nothing_of_another() -> None:
    left = LeftAlone()
    for n in range(3 * MOST_IN_ALL):
        left.note(AMY, f"{AMY}/{n}", "cannot be listed", unseen=True)
    left.note(ZAK, f"{ZAK}/day", "cannot be listed", unseen=True)
    assert len(left.unseen()) <= MOST_IN_ALL + MOST
    assert f"{ZAK}/day" in left and f"{ZAK}/day" in left.unseen()


def test_two_who_forget_the_same_at_once() -> None:
    """Two lanes, or a lane and a look: an error there would be one of files that were met."""

    class Between(LeftAlone):
        """Another thread comes between the look at what is noted and what follows from it."""

        other: threading.Thread | None = None

        def __contains__(self, path: object) -> bool:
            there = super().__contains__(path)
            if self.other is None:
                self.other = threading.Thread(target=self.forget, args=[path])
                self.other.start()
                self.other.join(0.2)  # it may have to wait for us
            return there

    left = Between()
    left.other = threading.current_thread()
    left.note(AMY, f"{AMY}/day", "cannot be listed", unseen=True)
    left.other = None
    left.forget(f"{AMY}/day")
    assert left.other is not None
    left.other.join(20)
    assert not left.other.is_alive() and left == {} and left.unseen() == []
    for number in range(MOST):
        left.note(AMY, f"{AMY}/{number}", "a link")
    assert len(left) == MOST
