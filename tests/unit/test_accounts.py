"""A name service that is slow or hangs, for all accounts or for one, holds nobody up for long."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omero_fs_plugin import accounts, links
from omero_fs_plugin.accounts import KEPT_S, MOST_ASKING, NameService, NoAnswer
from omero_fs_plugin.links import reach

LONG = 30.0  # s; what takes so long does not come


class Directory:
    """A name service: it hangs for some."""

    def __init__(self) -> None:
        self.hangs: set[str] = set()
        self.answers = threading.Event()
        self.asked: list[str] = []

    def look(self, name: str) -> str:
        self.asked.append(name)
        if name in self.hangs:
            self.answers.wait(30)
        if name == "bad":
            raise OSError("it is ill")
        return name.upper()


@pytest.fixture
def directory() -> Iterator[Directory]:
    directory = Directory()
    yield directory
    directory.answers.set()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> NameService:
    """One whose answers are waited for, however busy the machine is."""
    monkeypatch.setattr(accounts, "PATIENCE_S", LONG)
    return NameService()


@pytest.fixture
def in_vain(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Asks somebody who does not answer."""

    def ask(service: NameService, directory: Directory, name: str) -> None:
        with monkeypatch.context() as soon, pytest.raises(NoAnswer, match=f"asked about {name}"):
            soon.setattr(accounts, "PATIENCE_S", 0.05)
            service.ask(name, directory.look, name)

    return ask


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """For how long (s) this thread was ready to wait for an event, each time."""
    wait, me, found = threading.Event.wait, threading.get_ident(), list[float | None]()

    def noted(event: threading.Event, timeout: float | None = None) -> bool:
        if threading.get_ident() == me:
            found.append(timeout)
        return wait(event, timeout)

    monkeypatch.setattr(threading.Event, "wait", noted)
    return found


def test_one_account_that_hangs_holds_up_no_other(
    service: NameService,
    directory: Directory,
    in_vain: Callable[..., None],
    waited: list[float | None],
) -> None:
    now = [0.0]
    service._clock = lambda: now[0]
    directory.hangs = {"amy"}
    in_vain(service, directory, "amy")
    assert service.ask("zak", directory.look, "zak") == "ZAK"
    now[0] = LONG
    waited.clear()
    for _ in range(10):
        with pytest.raises(NoAnswer):
            service.ask("amy", directory.look, "amy")
    assert set(waited) == {0.0}, "who asks again does not wait again"
    assert directory.asked == ["amy", "zak"]
    directory.answers.set()
    until(lambda: answered(service, directory, "amy"))


def answered(service: NameService, directory: Directory, name: str) -> bool:
    try:
        return service.ask(name, directory.look, name) == name.upper()
    except NoAnswer:
        return False


def until(look: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not look():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_service_that_hangs_costs_a_few_threads(
    service: NameService,
    directory: Directory,
    in_vain: Callable[..., None],
    waited: list[float | None],
) -> None:
    names = [f"u{number}" for number in range(300)]
    directory.hangs = set(names)
    for name in names[:MOST_ASKING]:
        in_vain(service, directory, name)
    waited.clear()
    for name in names[MOST_ASKING:]:
        in_vain(service, directory, name)
    assert not waited
    until(lambda: len(directory.asked) == MOST_ASKING)
    assert sum(thread.name == "accounts" for thread in threading.enumerate()) <= MOST_ASKING


def test_what_it_said_counts_while_it_does_not_answer(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "PATIENCE_S", LONG)
    now = [0.0]
    service = NameService(lambda: now[0])
    for _ in range(3):
        assert service.ask("amy", directory.look, "amy") == "AMY"
    assert directory.asked == ["amy"]
    now[0] = KEPT_S
    assert service.ask("amy", directory.look, "amy") == "AMY"
    assert directory.asked == ["amy", "amy"]
    directory.hangs = {"amy"}
    now[0] = 3 * KEPT_S
    monkeypatch.setattr(accounts, "PATIENCE_S", 0.05)
    assert service.ask("amy", directory.look, "amy") == "AMY"


def test_an_error_is_raised_and_not_kept(service: NameService, directory: Directory) -> None:
    for _ in range(2):
        with pytest.raises(OSError, match="it is ill"):
            service.ask("bad", directory.look, "bad")
    assert directory.asked == ["bad", "bad"]


def test_what_the_system_says() -> None:
    me = accounts.account(accounts.user_name(os.geteuid()))
    if me is None:
        pytest.skip("this account has no name")
    assert me.pw_uid == os.geteuid()
    assert accounts.groups(me.pw_name, me.pw_gid) == set(os.getgrouplist(me.pw_name, me.pw_gid))
    assert accounts.account("no such account, surely") is None
    assert accounts.account("a\0b") is None
    assert accounts.members(4_000_000_000) is None
    assert accounts.group_name(4_000_000_000) == "4000000000"
    assert accounts.user_name(4_000_000_000) == "4000000000"


def test_a_route_whose_group_nobody_tells_of_is_walked_and_no_link_on_it_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(gid: int) -> None:
        raise NoAnswer(f"gid {gid}")

    above = tmp_path / "above"
    (above / "real").mkdir(parents=True)
    above.chmod(0o770)
    (above / "link").symlink_to("real")
    descriptor, usual = reach(str(above / "real"))
    os.close(descriptor)
    monkeypatch.setattr(links.accounts, "members", silent)
    descriptor, route = reach(str(above / "real"))
    os.close(descriptor)
    assert (route.real, route.identity) == (usual.real, usual.identity)
    with pytest.raises(NoAnswer, match="name service does not answer"):
        reach(str(above / "link"))


_SLOW = """
    #define _GNU_SOURCE
    #include <stdlib.h>
    #include <unistd.h>
    #include <poll.h>
    #include <grp.h>
    #include <pwd.h>
    #include <errno.h>
    static void answer(void) {
        const char *says = getenv("SLOW_SAYS"), *hears = getenv("SLOW_HEARS");
        if (!says || !hears) return;
        struct pollfd told = {atoi(hears), POLLIN, 0};
        if (write(atoi(says), ".", 1) != 1 || poll(&told, 1, 30000) != 1) _exit(3);
    }
    int getgrouplist(const char *user, gid_t group, gid_t *groups, int *number)
        { answer(); groups[0] = group; *number = 1; return 1; }
    int getpwnam_r(const char *n, struct passwd *p, char *b, size_t l, struct passwd **r)
        { answer(); *r = 0; return ENOENT; }
    int getpwuid_r(uid_t u, struct passwd *p, char *b, size_t l, struct passwd **r)
        { answer(); *r = 0; return ENOENT; }
    int getgrgid_r(gid_t g, struct group *p, char *b, size_t l, struct group **r)
        { answer(); *r = 0; return ENOENT; }
"""
_ASKS = """
    import os, sys, threading
    from omero_fs_plugin import accounts
    accounts.PATIENCE_S = 60.0
    ask = {"account": lambda: accounts.account("amy"), "groups": lambda: accounts.groups("amy", 1),
           "user_name": lambda: accounts.user_name(1), "members": lambda: accounts.members(1)}
    (asked, says), (hears, answers) = os.pipe(), os.pipe()
    os.environ.update(SLOW_SAYS=str(says), SLOW_HEARS=str(hears))
    def live():
        os.read(asked, 1)
        os.write(answers, b".")
    threading.Thread(target=live).start()
    ask[sys.argv[1]]()
    print("answered", flush=True)
    os._exit(0)
"""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A C library whose name service answers when another thread says so."""
    top = tmp_path_factory.mktemp("slow")
    (top / "slow.c").write_text(textwrap.dedent(_SLOW))
    made = top / "slow.so"
    try:
        command = ["cc", "-shared", "-fPIC", "-o", made, top / "slow.c"]
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no C compiler: {error}")
    return made


@pytest.mark.parametrize("question", ["account", "groups", "user_name", "members"])
def test_the_other_threads_go_on_while_it_is_asked(slow: Path, question: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_ASKS), question],
        env={**os.environ, "LD_PRELOAD": str(slow)},
        cwd=Path(accounts.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "answered\n"), done.stderr
