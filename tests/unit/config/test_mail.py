"""What of OMERO's settings for mail DropBox takes, and who is told how."""

from __future__ import annotations

import pytest

from omero_fs_plugin.config.changes import digest
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.settings import Mail


def test_the_defaults_are_omeros() -> None:
    mail = read({}).mail
    assert mail == Mail()
    assert (mail.host, mail.port, mail.sender) == ("localhost", 25, "omero@localhost")


def test_all_of_it() -> None:
    values = {
        "host": "mail.example.org",
        "port": "465",
        "from": "OMERO <omero@example.org>",
        "username": "u",
        "password": "secret;word",
        "smtp.auth": "true",
        "smtp.starttls.enable": "True",
        "smtp.timeout": "5000",
        "transport.protocol": "smtps",
    }
    settings = read({f"omero.mail.{name}": value for name, value in values.items()})
    assert settings.mail == Mail(
        host="mail.example.org",
        port=465,
        sender="OMERO <omero@example.org>",
        username="u",
        password="secret;word",
        auth=True,
        starttls=True,
        tls=True,
        timeout=5.0,
    )
    assert "secret" not in repr(settings)


def test_a_wrong_value_of_omeros_stops_no_import() -> None:
    properties = {"omero.mail.port": "smtp", "omero.mail.from": "me", "omero.fs.notify": "user"}
    settings = read(properties)
    assert settings.rules and not settings.problems
    assert [one.key for one in settings.warnings] == ["omero.mail.from", "omero.mail.port"]
    assert (settings.mail.port, settings.mail.sender) == (25, "omero@localhost")
    assert not read({**properties, "omero.fs.notify": "none"}).warnings


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("mail", ("mail",)),
        ("/opt/tell.sh --to 'a; b'", ("/opt/tell.sh", "--to", "a; b")),
        ("'/opt/tell it.sh'", ("/opt/tell it.sh",)),
        ("https://hooks.example.org/x?y=1", ("https://hooks.example.org/x?y=1",)),
    ],
)
def test_ways_to_tell(value: str, expected: tuple[str, ...]) -> None:
    settings = read({"omero.fs.notifyBy": value})
    assert not settings.problems
    assert settings.notify_by == expected


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("notify", "all", "none or user or admin or both"),
        ("notifyBy", "sendmail -t", "absolute path"),
        ("notifyBy", "ftp://example.org", "http://"),
        ("notifyBy", "https://", "http://"),
        ("notifyBy", "'/opt/tell", "not closed"),
        ("notifyAdmins", "admin@example.org, root", "e-mail addresses"),
        ("notifyAdmins", "a@b.org>\nRCPT TO:<c@d.org", "e-mail addresses"),
        ("notifyInterval", "0", "seconds from 1"),
        ("webAddress", "omero.example.org", "https://"),
        ("notes", "yes", "off or on"),
    ],
)
def test_a_wrong_value_is_one_line(name: str, value: str, said: str) -> None:
    (problem,) = read({f"omero.fs.{name}": value}).problems
    assert said in str(problem) and f"omero.fs.{name}" in str(problem)
    assert "\n" not in str(problem)


def test_a_reload_sees_a_change_of_omeros_mail() -> None:
    assert digest({"omero.mail.host": "a"}) != digest({"omero.mail.host": "b"})
