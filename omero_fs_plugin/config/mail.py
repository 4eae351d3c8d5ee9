"""OMERO's own settings for mail, read for the letters of DropBox.

Names, defaults and meanings are those of OMERO's documentation of omero.mail.*.  A wrong value is
told, and its default is used: files are imported all the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import kinds
from .settings import Mail, Problem

MAIL_PREFIX = "omero.mail."
_FLAG, _PORT = kinds.FLAG, kinds.count(1, 65535)
_MS = kinds.count(1, 3_600_000)
_PROTOCOL = kinds.choice("smtp", "smtps")
_FULL_MS = 60_000


def read_mail(properties: Mapping[str, str]) -> tuple[Mail, list[Problem]]:
    """The settings, and what is wrong in omero.mail.*."""
    problems: list[Problem] = []

    def get(name: str, kind: kinds.Kind | None, default: object) -> object:
        text = properties.get(MAIL_PREFIX + name, "").strip()
        if not text or kind is None:
            return text or default
        try:
            return kind.read(text)
        except ValueError as error:
            problems.append(
                Problem(MAIL_PREFIX + name, text, f"must be {error}; {default} is used instead")
            )
            return default

    host = str(get("host", kinds.WORD, "localhost"))
    sender = str(get("from", None, f"omero@{host}"))
    if not kinds.is_address(sender.rpartition("<")[2].removesuffix(">").strip()):
        wrong = f"must be an e-mail address; omero@{host} is used instead"
        problems.append(Problem(f"{MAIL_PREFIX}from", sender, wrong))
        sender = f"omero@{host}"
    timeout_ms = get("smtp.timeout", _MS, _FULL_MS)
    assert isinstance(timeout_ms, int)
    port = get("port", _PORT, 25)
    assert isinstance(port, int)
    mail = Mail(
        host=host,
        port=port,
        sender=sender,
        username=str(get("username", None, "")),
        password=str(get("password", None, "")),
        auth=bool(get("smtp.auth", _FLAG, False)),
        starttls=bool(get("smtp.starttls.enable", _FLAG, False)),
        tls=get("transport.protocol", _PROTOCOL, "smtp") == "smtps",
        timeout=min(timeout_ms, _FULL_MS) / 1000,
    )
    return mail, problems
