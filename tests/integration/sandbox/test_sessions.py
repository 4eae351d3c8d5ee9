"""Who gets a session, what it may do, and when it ends: as in OMERO.server."""

from __future__ import annotations

from typing import Any

import Glacier2
import Ice
import pytest
from omero.model import AdminPrivilegeI, ExperimenterGroupI, ExperimenterI
from omero.rtypes import rstring

import omero
from omero_fs_plugin.sandbox import accounts
from omero_fs_plugin.sandbox.factory import STATUS_CHECK
from omero_fs_plugin.sandbox.sessions import Sessions


def _user(blitz: Any, name: str, groups: list[int], only: list[str] | None = None) -> int:
    store = blitz.sandbox.store
    with store.begin() as db:
        user = accounts.create_user(store, db, name, name, groups)
        if only is not None:
            accounts.restrict(db, user, only)
    return user


def test_a_users_session_is_the_users(blitz: Any) -> None:
    joined = blitz.login(blitz.sudo("amy").uuid.val)
    context = joined.getAdminService().getEventContext()
    assert (context.userName, context.groupName) == ("amy", "amy_group")
    assert not context.isAdmin
    assert context.adminPrivileges == []
    assert context.sudoerName.val == "root"


@pytest.mark.parametrize("what", ["password", "sudo", "group"])
def test_a_users_session_may_no_more_than_the_user(blitz: Any, what: str) -> None:
    joined = blitz.login(blitz.sudo("amy").uuid.val)
    admin = joined.getAdminService()
    group = ExperimenterGroupI()
    group.name = rstring("mine")
    principal = omero.sys.Principal("zak", "", "User", None)
    sessions = joined.getSessionService()
    with pytest.raises(omero.SecurityViolation):
        {
            "password": lambda: admin.changePassword(rstring("new")),
            "sudo": lambda: sessions.createSessionWithTimeouts(principal, 0, 0),
            "group": lambda: admin.createGroup(group),
        }[what]()


def test_a_group_he_is_not_in_is_refused_at_the_first_call(blitz: Any) -> None:
    joined = blitz.login(blitz.sudo("amy", "zak_group").uuid.val)  # both succeed
    with pytest.raises(omero.SecurityViolation) as refused:
        joined.getAdminService().getEventContext()
    group = blitz.groups["zak_group"]
    assert f"is not a member of group {group} and cannot login" in refused.value.message


def test_repositories_tell_so_with_an_unknown_exception(blitz: Any) -> None:
    amy = blitz.login("amy")
    repositories = [p for p in amy.sharedResources().repositories().proxies if p]
    casts = [omero.grid.ManagedRepositoryPrx.checkedCast(p) for p in repositories]
    managed = next(c for c in casts if c)
    elsewhere = {"omero.group": str(blitz.groups["zak_group"])}
    with pytest.raises(Ice.UnknownException, match="is not a member of group"):
        managed.root(elsewhere)


def test_an_unknown_group(blitz: Any) -> None:
    with pytest.raises(omero.AuthenticationException) as refused:
        blitz.sudo("amy", "nowhere")
    assert refused.value.reason == "Error creating session."


def test_an_unknown_user(blitz: Any) -> None:
    with pytest.raises(omero.RemovedSessionException):
        blitz.sudo("nobody")


def test_an_inactive_user_gets_a_session_and_cannot_write(blitz: Any) -> None:
    _user(blitz, "ida", [blitz.groups["shared"]])  # not in the group `user`
    joined = blitz.login(blitz.sudo("ida").uuid.val)
    assert joined.getAdminService().getEventContext().userName == "ida"
    with pytest.raises(omero.SecurityViolation, match=r"No matching roles found in \[shared\]"):
        joined.getUpdateService().saveObject(omero.model.DatasetI())


def test_a_session_keeps_the_memberships_it_began_with(blitz: Any) -> None:
    before = blitz.login("amy")
    admin = blitz.login("root").getAdminService()
    zaks = ExperimenterGroupI(blitz.groups["zak_group"], False)
    admin.addGroups(ExperimenterI(blitz.users["amy"], False), [zaks])
    members = before.getAdminService().getEventContext().memberOfGroups
    assert zaks.id.val not in members
    with pytest.raises(omero.SecurityViolation):
        before.getQueryService().findAll("Dataset", None, {"omero.group": str(zaks.id.val)})
    assert zaks.id.val in blitz.login("amy").getAdminService().getEventContext().memberOfGroups


def test_sudo_alone_is_enough_to_open_sessions(blitz: Any) -> None:
    _user(blitz, "helper", [accounts.SYSTEM_GROUP, accounts.USER_GROUP], only=["Sudo"])
    helper = blitz.login("helper")
    assert helper.getAdminService().getEventContext().adminPrivileges == ["Sudo"]
    principal = omero.sys.Principal("amy", "", "User", None)
    opened = helper.getSessionService().createSessionWithTimeouts(principal, 0, 0)
    assert blitz.login(opened.uuid.val).getAdminService().getEventContext().userName == "amy"


def test_nobody_gains_by_sudo(blitz: Any) -> None:
    _user(blitz, "helper", [accounts.SYSTEM_GROUP, accounts.USER_GROUP], only=["Sudo"])
    principal = omero.sys.Principal("root", "", "User", None)
    service = blitz.login("helper").getSessionService()
    opened = service.createSessionWithTimeouts(principal, 0, 0)
    admin = blitz.login(opened.uuid.val).getAdminService()
    with pytest.raises(omero.SecurityViolation):
        admin.changeUserPassword("amy", rstring("new"))


def test_no_sudo_without_the_privilege(blitz: Any) -> None:
    _user(blitz, "weak", [accounts.SYSTEM_GROUP, accounts.USER_GROUP], only=[])
    leader = _user(blitz, "leader", [accounts.USER_GROUP])
    with blitz.sandbox.store.begin() as db:
        accounts.join(blitz.sandbox.store, db, leader, blitz.groups["amy_group"], owner=True)
    principal = omero.sys.Principal("amy", "", "User", None)
    for name in ("weak", "leader"):
        service = blitz.login(name).getSessionService()
        with pytest.raises(omero.SecurityViolation, match="Sudo"):
            service.createSessionWithTimeouts(principal, 0, 0)


def test_leaving_a_joined_session_leaves_it_alive_and_root_ends_it(blitz: Any) -> None:
    opened = blitz.sudo("amy")
    blitz.login(opened.uuid.val).destroy()
    again = blitz.login(opened.uuid.val)
    admin = again.getAdminService()
    admin.getEventContext()
    blitz.login("root").getSessionService().closeSession(opened)
    with pytest.raises(omero.RemovedSessionException):
        admin.getEventContext()
    with pytest.raises(omero.WrappedCreateSessionException) as refused:
        blitz.login(opened.uuid.val)
    assert refused.value.type == "RemovedSessionException"


def test_ones_own_session_ends_with_its_client_unless_it_detaches(blitz: Any) -> None:
    left, kept = blitz.login("amy"), blitz.login("amy")
    kept.detachOnDestroy()
    keys = [s.ice_getIdentity().name for s in (left, kept)]
    left.destroy()
    kept.destroy()
    with pytest.raises(omero.WrappedCreateSessionException):
        blitz.login(keys[0])
    assert blitz.login(keys[1]).getAdminService().getEventContext().userName == "amy"


@pytest.mark.parametrize(
    ("live", "idle", "wait", "ends"),
    [
        (0, 60_000, 59.9, False),
        (0, 60_000, 60.0, True),
        (60_000, 0, 59.9, False),
        (60_000, 0, 60.0, True),
        (0, 0, 10.0**6, False),
    ],
    ids=["not yet idle", "idle", "not yet too old", "too old", "no end"],
)
def test_time_to_live_and_to_idle(
    blitz: Any, live: int, idle: int, wait: float, ends: bool
) -> None:
    joined = blitz.login(blitz.sudo("amy", live=live, idle=idle).uuid.val)
    admin = joined.getAdminService()
    blitz.clock += wait
    if ends:
        with pytest.raises(omero.RemovedSessionException):
            admin.getEventContext()
    else:
        assert admin.getEventContext().userName == "amy"


def test_keep_alive_counts_as_activity_up_to_the_time_to_live(blitz: Any) -> None:
    joined = blitz.login(blitz.sudo("amy", live=100_000, idle=60_000).uuid.val)
    blitz.clock += 50
    assert joined.keepAlive(None)
    blitz.clock += 49
    assert joined.keepAlive(None)
    blitz.clock += 1
    with pytest.raises(omero.RemovedSessionException):
        joined.keepAlive(None)


def test_polling_a_handle_does_not(blitz: Any) -> None:
    joined = blitz.login(blitz.sudo("amy", idle=60_000).uuid.val)
    handle = joined.submit(omero.cmd.CurrentSessionsRequest())
    for _ in range(3):
        blitz.clock += 20
        try:
            handle.getResponse()
        except Ice.ObjectNotExistException:
            break
    else:
        pytest.fail("polling kept the session alive")


def test_sessions_do_not_survive_the_server(blitz: Any) -> None:
    opened = blitz.sudo("amy")
    after = Sessions(blitz.sandbox.store, lambda session: None)  # as a new process has them
    with pytest.raises(omero.RemovedSessionException):
        after.get(opened.uuid.val)
    with blitz.sandbox.store.read() as db:
        assert blitz.sandbox.store.row(db, "Session", opened.id.val)["closed"]


def test_a_user_may_work_in_another_of_his_groups(blitz: Any) -> None:
    amy = blitz.login("amy")
    before = amy.setSecurityContext(ExperimenterGroupI(blitz.groups["shared"], False))
    assert before.id.val == blitz.groups["amy_group"]
    assert amy.getAdminService().getEventContext().groupName == "shared"
    with pytest.raises(omero.SecurityViolation):
        amy.setSecurityContext(ExperimenterGroupI(blitz.groups["zak_group"], False))


def test_the_knock_of_omero_admin_status(blitz: Any) -> None:
    with pytest.raises(omero.WrappedCreateSessionException):
        blitz.manager.create(STATUS_CHECK, None)


@pytest.mark.parametrize(
    ("name", "password", "fits"),
    [("amy", "amy", True), ("amy", "zak", False), ("amy", "", False), ("guest", "", False),
     ("nobody", "nobody", False), ("root", "omero", True)],
)  # fmt: skip
def test_passwords(blitz: Any, name: str, password: str, fits: bool) -> None:
    assert _check(blitz, name, password) is fits


def test_a_sessions_uuid_is_its_password(blitz: Any) -> None:
    key = blitz.sudo("amy").uuid.val
    assert _check(blitz, key, key)
    assert not _check(blitz, key, "amy")
    assert not _check(blitz, key[:-1] + "x", key[:-1] + "x")


def test_a_changed_password(blitz: Any) -> None:
    admin = blitz.login("amy").getAdminService()
    with pytest.raises(omero.SecurityViolation):
        admin.changePasswordWithOldPassword(rstring("wrong"), rstring("new"))
    admin.changePassword(rstring("new"))
    assert _check(blitz, "amy", "new")
    with blitz.sandbox.store.read() as db:
        row = accounts.user_by_name(blitz.sandbox.store, db, "amy")
    assert row and row["_password"].startswith("scrypt$")
    assert "new" not in row["_password"]


def test_only_those_who_may_create_users_and_groups(blitz: Any) -> None:
    new, own = ExperimenterI(), ExperimenterGroupI()
    new.omeName = new.firstName = new.lastName = own.name = rstring("fay")
    private = ExperimenterGroupI(blitz.groups["amy_group"], False)
    user = ExperimenterGroupI(accounts.USER_GROUP, False)
    arguments = (new, rstring("pw"), private, [user])
    with pytest.raises(omero.SecurityViolation):
        blitz.login("amy").getAdminService().createExperimenterWithPassword(*arguments)
    admin = blitz.login("root").getAdminService()
    number = admin.createExperimenterWithPassword(*arguments)
    assert admin.getDefaultGroup(number).name.val == "amy_group"
    assert {g.id.val for g in admin.containedGroups(number)} == {1, private.id.val}
    with pytest.raises(omero.ValidationException, match="already"):
        admin.createExperimenterWithPassword(*arguments)
    new.omeName = rstring("../fay")
    with pytest.raises(omero.ValidationException, match="no user name"):
        admin.createExperimenterWithPassword(*arguments)


def test_privileges_are_told(blitz: Any) -> None:
    admin = blitz.login("root").getAdminService()
    assert len(admin.getCurrentAdminPrivileges()) == 15
    sudo = AdminPrivilegeI()
    sudo.value = rstring("Sudo")
    user = _user(blitz, "helper", [accounts.SYSTEM_GROUP, accounts.USER_GROUP])
    admin.setAdminPrivileges(ExperimenterI(user, False), [sudo])
    told = admin.getAdminPrivileges(ExperimenterI(user, False))
    assert [p.value.val for p in told] == ["Sudo"]


def _check(blitz: Any, name: str, password: str) -> bool:
    verifier = blitz.here(
        blitz.sandbox.adapter.createDirectProxy(Ice.stringToIdentity("BlitzVerifier"))
    )
    found, _ = Glacier2.PermissionsVerifierPrx.uncheckedCast(verifier).checkPermissions(
        name, password
    )
    return bool(found)
