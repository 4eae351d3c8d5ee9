"""One letter to a real mail server: encryption, login, and a server that drips."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from omero_fs_plugin.config.settings import Mail
from omero_fs_plugin.dropbox.letters import smtp
from omero_fs_plugin.dropbox.letters.outgoing import InDoubt, NotSent, Outgoing
from tests.ports import reserved

from .smtpd import LOGIN, Dripping, Lying, Mailbox, over_when, serving

OUT = Outgoing(
    name="letter.1",
    to=("amy@example.org",),
    subject="OMERO: 1 failed",
    text="a.tif",
    content="{}",
)
USER, PASSWORD = (word.decode() for word in LOGIN)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine trusts the authority, as OpenSSL's own variable says."""
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))


@pytest.fixture
def mail() -> Mail:
    return Mail(host="127.0.0.1", port=reserved(), sender="omero@example.org", timeout=10)


def certified(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    """A server's side, with a certificate for `name`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.usefixtures("trusted")
def test_starttls_and_a_login(authority: trustme.CA, mail: Mail) -> None:
    mailbox = Mailbox()
    mail = replace(mail, starttls=True, auth=True, username=USER, password=PASSWORD)
    with serving(mailbox, mail.port, starttls=certified(authority), login=True):
        smtp.send(mail, OUT)
    assert mailbox.envelopes == [["amy@example.org"]]


# aiosmtpd does not count TLS from the first byte as TLS.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
@pytest.mark.usefixtures("trusted")
def test_tls_from_the_first_byte_and_a_login(authority: trustme.CA, mail: Mail) -> None:
    mailbox = Mailbox()
    mail = replace(mail, tls=True, auth=True, username=USER, password=PASSWORD)
    with serving(mailbox, mail.port, tls=certified(authority), login=True):
        smtp.send(mail, OUT)
    assert mailbox.envelopes == [["amy@example.org"]]


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    "change, words",
    [
        (lambda mail: replace(mail, password="another"), "refuses the login: "),
        (lambda mail: replace(mail, auth=False), "refuses the sender omero@example.org: "),
        (lambda mail: replace(mail, starttls=False), "SMTP AUTH extension not supported"),
    ],
    ids=["wrong password", "no login", "no STARTTLS"],
)
def test_a_server_that_wants_more(
    authority: trustme.CA, mail: Mail, change: Callable[[Mail], Mail], words: str
) -> None:
    mailbox = Mailbox()
    mail = replace(mail, starttls=True, auth=True, username=USER, password=PASSWORD)
    with (
        serving(mailbox, mail.port, starttls=certified(authority), login=True),
        pytest.raises(NotSent) as told,
    ):
        smtp.send(change(mail), OUT)
    assert words in str(told.value)
    assert str(told.value).startswith(f"the mail server 127.0.0.1:{mail.port}")
    assert "another" not in str(told.value)
    assert told.value.all_wait and not told.value.final and not mailbox.mails


def test_a_server_without_the_starttls_that_is_asked_for(mail: Mail) -> None:
    """The letter is not sent in the clear."""
    mailbox = Mailbox()
    with serving(mailbox, mail.port), pytest.raises(NotSent, match="offers no STARTTLS") as told:
        smtp.send(replace(mail, starttls=True), OUT)
    assert told.value.all_wait and not mailbox.mails


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("kind", ["starttls", "tls"])
@pytest.mark.parametrize("fault", ["another's authority", "another's name"])
def test_a_certificate_that_is_not_trusted(
    authority: trustme.CA, mail: Mail, kind: str, fault: str
) -> None:
    mailbox = Mailbox()
    shown = certified(
        trustme.CA() if fault == "another's authority" else authority,
        "127.0.0.1" if fault == "another's authority" else "mail.example.org",
    )
    with (
        serving(
            mailbox,
            mail.port,
            tls=shown if kind == "tls" else None,
            starttls=shown if kind == "starttls" else None,
        ),
        pytest.raises(NotSent, match="its certificate is not trusted: ") as told,
    ):
        smtp.send(replace(mail, tls=kind == "tls", starttls=kind == "starttls"), OUT)
    assert told.value.all_wait and not mailbox.mails


@pytest.mark.parametrize("quick", [0, 1, 3])
def test_a_server_that_drips(mail: Mail, monkeypatch: pytest.MonkeyPatch, quick: int) -> None:
    """No answer of it is ever late, and yet the letter has a limit."""
    server = Dripping(quick)
    over_when(server.drips, monkeypatch)
    try:
        with pytest.raises(NotSent, match="it takes longer than") as told:
            smtp.send(replace(mail, port=server.port), OUT)
    finally:
        server.stop()
    assert told.value.all_wait


@pytest.mark.parametrize("quick", [4, 5])  # after RCPT, and after DATA
def test_a_server_that_drips_when_it_may_have_the_letter(
    mail: Mail, monkeypatch: pytest.MonkeyPatch, quick: int
) -> None:
    """Half an answer does not count as one."""
    server = Dripping(quick)
    over_when(server.drips, monkeypatch)
    try:
        with pytest.raises(InDoubt, match="it takes longer than"):
            smtp.send(replace(mail, port=server.port), OUT)
    finally:
        server.stop()


HELLO = (b"220 here", b"250 OK", b"250 OK", b"250 OK", b"354 go on")  # up to the letter


@pytest.mark.parametrize(
    ("answers", "ends"),
    [
        ((*HELLO, b"250 OK"), None),
        ((*HELLO, b"251 will forward"), None),
        ((*HELLO, b"450 later"), NotSent),
        ((*HELLO, b"554 no"), NotSent),
        # It has the letter whole, so to send it again may be to send it twice.
        ((*HELLO, b"354 go on"), InDoubt),
        ((*HELLO, b"done"), InDoubt),
        ((*HELLO, b"999 done"), InDoubt),
        ((b"hello",), NotSent),
        ((b"220 " + b"x" * 9000,), NotSent),
        ((b"220 here", b"250-SIZE x\r\n250-AUTH\r\n250 \xff", b"250 OK", b"\xff"), NotSent),
        ((*HELLO[:4], b"250 OK"), NotSent),
    ],
    ids=lambda one: repr(one[-1][:9]) if isinstance(one, tuple) else "",
)
def test_a_server_that_lies(
    mail: Mail, answers: tuple[bytes, ...], ends: type[Exception] | None
) -> None:
    server = Lying(*answers)
    try:
        if ends is None:
            smtp.send(replace(mail, port=server.port), OUT)
        else:
            with pytest.raises(ends) as told:
                smtp.send(replace(mail, port=server.port), OUT)
            assert str(told.value).isprintable()
    finally:
        server.stop()


def test_a_login_that_cannot_be_understood_is_told(mail: Mail) -> None:
    server = Lying(b"220 here", b"250-x\r\n250 AUTH CRAM-MD5", b"334 !!!no")
    try:
        with pytest.raises(NotSent, match="it answers what cannot be understood: ") as told:
            smtp.send(replace(mail, port=server.port, auth=True, username="u", password="p"), OUT)
    finally:
        server.stop()
    assert told.value.all_wait


@pytest.mark.parametrize(
    "wrong",
    [{"host": "a..b"}, {"host": "x" * 300}, {"sender": "ü@example.org"}, {"password": "gehört"}],
    ids=lambda one: next(iter(one)),
)
def test_settings_that_mail_cannot_carry_are_told_and_not_shown(
    mail: Mail, wrong: dict[str, str]
) -> None:
    server = Lying(b"220 here", b"250-x\r\n250 AUTH PLAIN", b"250 OK", b"250 OK")
    given = replace(mail, port=server.port, auth="password" in wrong, username="u")
    try:
        with pytest.raises(NotSent, match="has a character that mail cannot carry") as told:
            smtp.send(replace(given, **wrong), OUT)
    finally:
        server.stop()
    assert told.value.all_wait and "gehört" not in str(told.value)
