"""Users, groups, passwords and privileges of the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.sandbox import accounts
from omero_fs_plugin.sandbox.store import MODEL, TABLES, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "s.sqlite")
    accounts.seed(made, "omero")
    yield made
    made.close()


@pytest.mark.parametrize(
    "name", ["", "..", ".", "../x", "a/b", "-rf", " amy", "amy ", "a\nb", "_x", "a" * 101]
)
def test_names_that_must_not_become_a_path(name: str) -> None:
    with pytest.raises(accounts.Taken, match="name here"):
        accounts.check_name("user", name)


@pytest.mark.parametrize("name", ["amy", "a.b@c.org", "Zoë", "user 1", "x_y-z+2"])
def test_names_that_may(name: str) -> None:
    assert accounts.check_name("user", name) == name


def test_passwords_are_hashed_and_salted() -> None:
    one, other = accounts.hash_password("pw"), accounts.hash_password("pw")
    assert one != other
    assert "pw" not in one.split("$")
    assert accounts.password_fits(one, "pw")
    assert not accounts.password_fits(one, "Pw")
    assert not accounts.password_fits(one, "")
    assert not accounts.password_fits(None, "pw")


def test_seeding_twice_changes_nothing(store: Store) -> None:
    with store.read() as db:
        before = store.rows(db, "Experimenter")
    accounts.seed(store, "another")
    with store.read() as db:
        assert store.rows(db, "Experimenter") == before


def test_the_default_group_is_the_first_that_is_not_user(store: Store) -> None:
    with store.begin() as db:
        one = accounts.create_group(store, db, "one")
        two = accounts.create_group(store, db, "two")
        user = accounts.create_user(store, db, "amy", "amy", [accounts.USER_GROUP, one, two])
        default = accounts.default_group(accounts.memberships(db, user))
        assert default and default.group == one
        accounts.set_default_group(db, user, two)
        default = accounts.default_group(accounts.memberships(db, user))
        assert default and default.group == two
        accounts.leave(db, user, two)
        accounts.join(store, db, user, one)  # already
        assert [m.name for m in accounts.memberships(db, user)] == ["user", "one"]


def test_a_name_is_taken_once(store: Store) -> None:
    with store.begin() as db:
        accounts.create_user(store, db, "amy", "", [])
        with pytest.raises(accounts.Taken, match="already"):
            accounts.create_user(store, db, "amy", "", [])
        with pytest.raises(accounts.Taken, match="already"):
            accounts.create_group(store, db, "user")


def test_privileges(store: Store) -> None:
    with store.begin() as db:
        user = accounts.create_user(store, db, "amy", "", [accounts.USER_GROUP])
        assert not accounts.privileges(db, user, accounts.memberships(db, user))
        accounts.join(store, db, user, accounts.SYSTEM_GROUP)
        members = accounts.memberships(db, user)
        everything = accounts.privileges(db, user, members)
        assert len(everything) == 15
        accounts.restrict(db, user, ["Sudo"])
        assert accounts.privileges(db, user, members) == {"Sudo"}
        accounts.restrict(db, user, [])
        assert accounts.privileges(db, user, members) == set()
        accounts.restrict(db, user, everything)
        assert accounts.privileges(db, user, members) == everything


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.begin() as db:
        accounts.create_group(store, db, "one")
        raise RuntimeError
    with store.read() as db:
        assert store.first(db, "ExperimenterGroup", name="one") is None


def test_the_model_hangs_together() -> None:
    for entity in MODEL.values():
        assert set(entity.references.values()) <= set(MODEL)
        for target, reference in entity.collections.values():
            assert MODEL[target].references[reference] == entity.name
        assert entity.owned == ("owner_id" in TABLES[entity.name].c)
