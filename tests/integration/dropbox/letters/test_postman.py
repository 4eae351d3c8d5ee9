"""Letters, from the events of a real journal to a real SMTP server; both databases."""

from __future__ import annotations

import itertools
import json
import signal
import smtplib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.outbox import ADMINS, DIGEST
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.letters import postman as postman_module
from omero_fs_plugin.dropbox.letters import ways
from omero_fs_plugin.dropbox.letters.outgoing import NotSent, Outgoing
from omero_fs_plugin.dropbox.letters.postman import Postman
from omero_fs_plugin.errors import JournalError, ServerAwayError, UserError
from omero_fs_plugin.events import FileStat
from tests.integration.dropbox.journal.test_journal import postgres, url
from tests.ports import reserved

from .smtpd import Mailbox, Silent, serving

__all__ = ["postgres", "url"]  # fixtures
INTERVAL_S = 100.0
_inodes = itertools.count(1)


class People:
    """OMERO, as far as it is asked for addresses."""

    def __init__(self) -> None:
        self.away = False
        self.addresses = {"amy": "amy@example.org", "zak": "zak@example.org", "eve": ""}
        self.admins = ["root@example.org"]

    def address_of(self, name: str) -> str:
        if self.away:
            raise ServerAwayError("OMERO is away")
        if name not in self.addresses:
            raise UserError(f"there is no OMERO user named {name}")
        return self.addresses[name]

    def addresses_of_admins(self) -> list[str]:
        if self.away:
            raise ServerAwayError("OMERO is away")
        return self.admins


class Post:
    """A journal, a postman on it and a mailbox; time is said."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now = 1_000_000.0
        self.port = reserved()
        self.people = People()
        self.mailbox = Mailbox()
        self.troubles: dict[str, str] = {}
        self.properties = {
            "omero.fs.journal": url,
            "omero.fs.notify": "both",
            "omero.fs.notifyInterval": str(INTERVAL_S),
            "omero.mail.port": str(self.port),
            "omero.mail.host": "127.0.0.1",
            "omero.mail.from": "omero@example.org",
            "omero.mail.smtp.timeout": "10000",
        }
        self.journal = Journal(url, clock=lambda: self.now)
        self.postman = self.another()
        self.look()

    def another(self, send: Callable[..., None] = ways.send) -> Postman:
        """As after a restart."""
        people: Any = self.people
        return Postman(
            self.journal,
            people,
            settings=self.settings,
            troubles=lambda: self.troubles,
            send=send,
        )

    def settings(self) -> Settings:
        return read(self.properties)

    def look(self, later: float = 0.0) -> None:
        self.now += later
        self.postman.look(self.now)

    def happens(self, name: str, state: State, reason: str = "", user: str = "amy") -> int:
        root = f"/dropbox/{user}"
        met = Found(f"{root}/{name}", FileStat(1, next(_inodes), 10, 5, 5))
        self.journal.wait(user, root, [met])
        fileset = self.journal.open_at([met.path])[met.path].id
        if state is State.WAITING:
            self.journal.tell({fileset: reason})
        elif state is State.IMPORTED:
            self.journal.move(fileset, State.WAITING, State.QUEUED)
            self.journal.take(user)
            self.journal.imported(fileset, 1000 + fileset, [fileset], ["0" * 40])
        else:
            self.journal.move(fileset, State.WAITING, state, reason)
        return fileset

    @property
    def mails(self) -> list[tuple[str, str]]:
        """(to, subject) of each mail that arrived."""
        return [(str(mail["To"]), str(mail["Subject"])) for mail in self.mailbox.mails]

    def body(self, number: int) -> str:
        return str(self.mailbox.mails[number].get_content()).replace("\r\n", "\n")

    def waiting(self) -> tuple[int, str]:
        with glance(self.url) as look:
            assert look is not None
            number, _, why = look.letters()
        return number, why


@pytest.fixture
def post(url: str) -> Iterator[Post]:
    made = Post(url)
    yield made
    made.journal.close()


def test_one_digest_after_a_quiet_spell(post: Post) -> None:
    post.properties["omero.fs.webAddress"] = "https://omero.example.org/"
    done = post.happens("a.tif", State.IMPORTED)
    failed = post.happens("sub/b.tif", State.FAILED, "/dropbox/amy/sub/b.tif: no reader takes it")
    post.happens("c.tif", State.WAITING, "waits for /dropbox/amy/d.tif")
    with serving(post.mailbox, post.port):
        post.look(INTERVAL_S - 1)
        assert post.mails == []
        post.look(1)
        post.look(1)
    assert post.mails == [
        ("amy@example.org", "OMERO: 1 failed, 1 held up, 1 imported"),
        ("root@example.org", "OMERO: 1 failed, 1 held up, 1 imported"),
    ]
    text = post.body(0)
    assert "  sub/b.tif\n      no reader takes it\n" in text
    assert f"`omero fs import --retry {failed}`" in " ".join(text.split())
    assert "  c.tif\n      waits for d.tif\n      -> copy the missing files there\n" in text
    assert f"https://omero.example.org/webclient/?show=image-{done}\n" in text
    assert "amy/sub/b.tif" in post.body(1) and "a.tif\n" not in post.body(1).replace("sub/", "")


@pytest.mark.parametrize("failures", [200, pytest.param(1_000, marks=pytest.mark.long)])
def test_very_many_failures_in_a_minute_are_one_mail(post: Post, failures: int) -> None:
    post.properties["omero.fs.notify"] = "user"
    with serving(post.mailbox, post.port):
        for number in range(failures):
            post.now += 60 / failures
            post.happens(f"{number}.tif", State.FAILED, "no image")
            if number % 100 == 0:
                post.look()
        for _ in range(50):
            post.look(INTERVAL_S / 10)
    assert post.mails == [("amy@example.org", f"OMERO: {failures:,} failed")]
    assert f"and {failures - 20} more" in post.body(0)


def test_who_never_rests_is_told_all_the_same(post: Post) -> None:
    post.properties["omero.fs.notify"] = "user"
    with serving(post.mailbox, post.port):
        for number in range(10):
            post.happens(f"{number}.tif", State.IMPORTED)
            post.look(INTERVAL_S * 0.9)
    assert [subject for _, subject in post.mails] == ["OMERO: 9 imported"]


def test_a_server_that_is_down_for_ten_minutes(post: Post) -> None:
    """It is sent once afterwards, and what happens meanwhile is told after that."""
    post.properties["omero.fs.notify"] = "user"
    post.happens("a.tif", State.FAILED, "no image")
    post.look(INTERVAL_S)
    down_since = post.now
    while post.now - down_since < 600:
        post.look(5)
        if post.now - down_since == 300:
            post.happens("b.tif", State.FAILED, "no image")
    assert post.waiting() == (1, f"the mail server 127.0.0.1:{post.port}: Connection refused")
    post.postman = post.another()  # DropBox is restarted
    with serving(post.mailbox, post.port):
        for _ in range(100):
            post.look(20)
    assert [subject for _, subject in post.mails] == ["OMERO: 1 failed", "OMERO: 1 failed"]
    assert "a.tif" in post.body(0) and "b.tif" in post.body(1)
    assert "before" not in post.body(0), "it had not arrived"
    assert post.waiting() == (0, "")


def test_a_server_that_hangs_after_the_data(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have taken it: once more, with a word of that, and never a third time."""
    real = smtplib.SMTP.send

    def send(server: smtplib.SMTP, said: Any) -> None:
        """Nobody is impatient before that, so a server that is slow at a word changes nothing."""
        real(server, said)
        if isinstance(said, bytes) and said.endswith(b"\r\n.\r\n"):
            assert server.sock is not None
            server.sock.settimeout(0.3)

    monkeypatch.setattr(smtplib.SMTP, "send", send)
    post.properties["omero.fs.notify"] = "user"
    silent = Silent()
    try:
        post.properties["omero.mail.port"] = str(silent.port)
        post.happens("a.tif", State.FAILED, "no image")
        post.look(INTERVAL_S)
        number, why = post.waiting()
        assert number == 1
        assert why.endswith("did not say whether it has taken it: it does not answer")
        for _ in range(100):
            post.look(60)
        silent.until_taken(2)
    finally:
        silent.stop()
    assert silent.taken == 2
    assert post.waiting() == (0, "")
    letter = post.journal.outbox.get(1)
    assert letter is not None and letter.state == "dropped" and "sent twice" in letter.reason


_KILLED = """
import os, signal, sys
sys.path[:0] = {path!r}
from tests.integration.dropbox.letters.test_postman import Post
from omero_fs_plugin.dropbox.letters import ways

def send(settings, out):
    ways.send(settings, out)
    os.kill(os.getpid(), signal.SIGKILL)

post = Post.__new__(Post)
Post.__init__(post, {url!r})
post.port, post.properties["omero.mail.port"] = {port}, "{port}"
post.properties["omero.fs.notify"] = "user"
post.now = {now}
post.postman = post.another(send)
post.look()
"""


def test_a_kill_between_sending_and_noting(post: Post) -> None:
    """At most one more, and it says so."""
    post.properties["omero.fs.notify"] = "user"
    post.happens("a.tif", State.FAILED, "no image")
    with serving(post.mailbox, post.port):
        for _ in range(2):
            post.now += 2 * INTERVAL_S
            script = _KILLED.format(path=sys.path, url=post.url, port=post.port, now=post.now)
            done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
            assert done.returncode == -signal.SIGKILL
        post.postman = post.another()
        for _ in range(10):
            post.look(INTERVAL_S)
    assert [subject for _, subject in post.mails] == ["OMERO: 1 failed"] * 2
    first, second = post.mailbox.mails
    assert "You may have got this before" not in first.get_content()
    assert second.get_content().startswith("You may have got this before")
    assert first["Message-ID"] == second["Message-ID"]


def test_what_became_of_a_letter_is_noted_when_the_journal_is_back(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.properties["omero.fs.notify"] = "user"
    post.happens("a.tif", State.FAILED, "no image")

    def away(*_: object) -> None:
        raise JournalError("the disk is full")

    with serving(post.mailbox, post.port):
        with monkeypatch.context() as patch:
            patch.setattr(post.postman._outbox, "sent", away)
            with pytest.raises(JournalError):
                post.look(INTERVAL_S)
        assert post.waiting()[0] == 1
        post.postman._unnoted = {1: lambda: post.journal.outbox.sent(1)}
        post.look(INTERVAL_S)
    assert len(post.mails) == 1 and post.waiting() == (0, "")


def test_nobody_without_an_address_is_mailed(post: Post) -> None:
    post.people.admins = []
    for user in ("eve", "nobody", "amy"):
        post.happens("a.tif", State.FAILED, "no image", user=user)
    with serving(post.mailbox, post.port):
        post.look(INTERVAL_S)
    assert [to for to, _ in post.mails] == ["amy@example.org"]
    assert post.waiting() == (0, "")


def test_while_omero_is_away_nobodys_address_is_known(post: Post) -> None:
    post.properties["omero.fs.notify"] = "user"
    post.happens("a.tif", State.FAILED, "no image")
    post.people.away = True
    with serving(post.mailbox, post.port):
        post.look(INTERVAL_S)
        assert post.waiting() == (1, "the address is not known: OMERO is away")
        post.people.away = False
        post.look(60)
    assert len(post.mails) == 1


@pytest.mark.parametrize(
    ("said", "left"), [("550 no such user", 0), ("451 come again later", 1)], ids=str
)
def test_a_recipient_who_is_refused_holds_up_nobody(post: Post, said: str, left: int) -> None:
    post.properties["omero.fs.notify"] = "user"
    post.mailbox.refuses["amy@example.org"] = said
    post.happens("a.tif", State.FAILED, "no image")
    post.happens("a.tif", State.FAILED, "no image", user="zak")
    with serving(post.mailbox, post.port):
        post.look(INTERVAL_S)
        assert [to for to, _ in post.mails] == ["zak@example.org"]
        assert post.waiting()[0] == left
        post.mailbox.refuses.clear()
        post.look(INTERVAL_S)
    assert len(post.mails) == 1 + left


def test_a_name_adds_no_header(post: Post) -> None:
    post.properties["omero.fs.notify"] = "user"
    post.happens("a\nBcc: all@example.org\n\n.\n.tif", State.FAILED, "no\r\n.\r\nimage")
    with serving(post.mailbox, post.port):
        post.look(INTERVAL_S)
    (mail,) = post.mailbox.mails
    assert mail["Bcc"] is None and post.mailbox.envelopes == [["amy@example.org"]]
    assert "a\\nBcc: all@example.org\\n\\n.\\n.tif" in post.body(0)


def test_faults_are_told_at_once_and_not_twice_in_an_interval(post: Post) -> None:
    with serving(post.mailbox, post.port):
        post.troubles = {"share /dropbox/amy": "does not answer"}
        post.look()
        assert post.mails == []
        post.look(60)
        post.troubles = {**post.troubles, "disk": "No space left on device"}
        post.look(10)
        assert [subject for _, subject in post.mails] == [
            "OMERO.fs: trouble with share /dropbox/amy"
        ]
        post.postman = post.another()
        post.look(10)
        post.look(INTERVAL_S)
        assert [subject for _, subject in post.mails[1:]] == ["OMERO.fs: trouble with disk"]
        assert "Not mended yet:\n  share /dropbox/amy: does not answer" in post.body(1)
        post.troubles = {}
        post.look(INTERVAL_S)
    assert [subject for _, subject in post.mails[2:]] == [
        "OMERO.fs: disk, share /dropbox/amy well again"
    ]
    assert {to for to, _ in post.mails} == {"root@example.org"}


def test_an_omero_that_is_away_is_told_by_the_addresses_known_before(post: Post) -> None:
    with serving(post.mailbox, post.port):
        post.postman.happened("lease", "process 1 on a ended; process 2 on b goes on")
        post.look()
        post.people.away = True
        post.troubles = {"OMERO": "it cannot be reached"}
        post.postman = post.another()
        post.look(INTERVAL_S)
        post.look(301)
    assert [subject for _, subject in post.mails] == [
        "OMERO.fs: trouble with lease",
        "OMERO.fs: trouble with OMERO",
    ]


def test_a_journal_that_is_away_is_told_without_it(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise JournalError("the journal /j: database or disk is full")

    post.properties["omero.fs.notifyAdmins"] = "admin@example.org"
    with serving(post.mailbox, post.port):
        with monkeypatch.context() as patch:
            patch.setattr(post.postman, "_hear", away)
            for _ in range(10):
                with pytest.raises(JournalError):
                    post.look(5)
        assert post.mails == [("admin@example.org", "OMERO.fs: trouble with journal")]
        post.look(INTERVAL_S)
    assert post.mails[1:] == [("admin@example.org", "OMERO.fs: journal well again")]


def test_nothing_of_before_is_told_and_nothing_while_nobody_wants_it(post: Post) -> None:
    with serving(post.mailbox, post.port):
        post.properties["omero.fs.notify"] = "none"
        post.look()
        post.happens("a.tif", State.FAILED, "no image")
        post.look(INTERVAL_S)
        post.properties["omero.fs.notify"] = "user"
        post.look(INTERVAL_S)
        post.look(INTERVAL_S)
        assert post.mails == []
        post.happens("b.tif", State.FAILED, "no image")
        post.look(INTERVAL_S)
    assert "b.tif" in post.body(0) and "a.tif" not in post.body(0).replace("b.tif", "")


def test_a_start_need_not_hear_all_of_the_past_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postman_module, "_CHUNK", 5)
    post.properties["omero.fs.notify"] = "user"
    with serving(post.mailbox, post.port):
        for number in range(4):
            post.happens(f"{number}.tif", State.FAILED, "no image")
        post.look(INTERVAL_S)
        post.look()
    assert post.journal.outbox.begin() > 5
    assert post.journal.outbox.marks() == {}


def test_a_command_gets_the_letter_as_json(post: Post, tmp_path: Path) -> None:
    out = tmp_path / "letters"
    command = tmp_path / "tell it.sh"
    command.write_text(f"#!/bin/sh\ncat >> '{out}'\necho >> '{out}'\n", encoding="ascii")
    command.chmod(0o755)
    post.properties |= {"omero.fs.notifyBy": f"'{command}' amy", "omero.fs.notify": "user"}
    post.happens("a.tif", State.FAILED, "no image", user="eve")
    post.look(INTERVAL_S)
    (line,) = out.read_text(encoding="utf-8").splitlines()
    told = json.loads(line)
    assert (told["person"], told["to"], told["counts"]["failed"]) == ("eve", [], 1)
    assert told["subject"] == "OMERO: 1 failed" and "a.tif" in told["text"]
    assert not told["may_be_repeated"]
    assert post.waiting() == (0, "")


def test_a_command_that_fails_is_run_again(post: Post, tmp_path: Path) -> None:
    command = tmp_path / "tell.sh"
    command.write_text("#!/bin/sh\necho 'no network' >&2\nexit 3\n", encoding="ascii")
    command.chmod(0o755)
    post.properties |= {"omero.fs.notifyBy": str(command), "omero.fs.notify": "user"}
    post.happens("a.tif", State.FAILED, "no image")
    post.look(INTERVAL_S)
    assert post.waiting() == (1, f"{command} ended with 3: no network")
    command.write_text("#!/bin/sh\ncat > /dev/null\n", encoding="ascii")
    post.look(1)
    assert post.waiting()[0] == 1, "it rests"
    post.look(30)
    assert post.waiting() == (0, "")


def test_one_letter_that_is_refused_each_time_holds_up_no_other(post: Post) -> None:
    """A command does not know its person, say.  Nobody can tell that from a way that is broken."""
    sent: list[tuple[str, ...]] = []

    def send(settings: Settings, out: Outgoing) -> None:
        if out.to == ("amy@example.org",):
            raise NotSent("ended with 1", all_wait=True)
        sent.append(out.to)

    post.properties["omero.fs.notify"] = "user"
    post.postman = post.another(send)
    post.look()
    for user in ("amy", "zak"):
        post.happens("a.tif", State.FAILED, "no reader takes it", user=user)
        post.look()
    for _ in range(20):
        post.look(later=300.0)
    assert sent == [("zak@example.org",)]
    post.happens("b.tif", State.FAILED, "no reader takes it", user="zak")
    for _ in range(20):
        post.look(later=300.0)
    assert sent == 2 * [("zak@example.org",)]
    assert post.waiting()[0] == 1, "and it is tried again itself"


def test_one_letter_that_nobody_can_make_holds_up_no_other(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OMERO says something of one user that we do not understand."""
    sent: list[tuple[str, ...]] = []
    address_of = post.people.address_of

    def unclear(name: str) -> str:
        if name == "amy":
            raise ValueError("what is that?")
        return address_of(name)

    monkeypatch.setattr(post.people, "address_of", unclear)
    post.properties["omero.fs.notify"] = "user"
    post.postman = post.another(lambda settings, out: sent.append(out.to))
    post.look()
    for user in ("amy", "zak"):
        post.happens("a.tif", State.FAILED, "no reader takes it", user=user)
        post.look()
    for _ in range(3):
        post.look(later=INTERVAL_S)
    assert sent == [("zak@example.org",)]
    monkeypatch.undo()
    post.look(later=1_000.0)
    assert sorted(sent) == [("amy@example.org",), ("zak@example.org",)]


def test_a_dropbox_that_lost_the_lease_sends_nothing(post: Post) -> None:
    """The database refuses the note that must come before."""
    from omero_fs_plugin.dropbox.journal.lease import Holder, Lease

    lease = Lease(post.journal, Holder.me())
    assert lease.hold(0.0)
    post.journal.work_as(lease.held)
    post.happens("a.tif", State.FAILED, "no image")
    other = Journal(post.url)
    assert other.set_lease(other.lease(), type(lease.held)("another", 1, lease.held.epoch + 1))
    other.close()
    with serving(post.mailbox, post.port), pytest.raises(JournalError, match="lease"):
        post.look(INTERVAL_S)
    assert post.mails == []


def test_the_outbox_writes_one_letter_a_person_at_a_time(post: Post) -> None:
    outbox = post.journal.outbox
    first = outbox.put("amy", DIGEST, "{}", through=5)
    assert first is not None and outbox.put("amy", DIGEST, "{}", through=9) is None
    assert outbox.marks() == {"amy": 5}
    assert outbox.put(ADMINS, DIGEST, "{}") is not None
    assert outbox.take(first) and not outbox.take(first)
    assert outbox.unsure(first, "no answer") and outbox.take(first)
    assert not outbox.unsure(first, "no answer")
    assert not outbox.take(first)
