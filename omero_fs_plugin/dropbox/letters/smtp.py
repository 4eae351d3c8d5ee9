"""Sends a letter by mail, through the SMTP server of OMERO's omero.mail.* settings."""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr

from omero_fs_plugin.config.settings import Mail
from omero_fs_plugin.names import printable

from .outgoing import InDoubt, NotSent, Outgoing, OverTime, within

log = logging.getLogger(__name__)

LIMIT_S = 120.0  # for one letter, however often the server says a little
_SAID_MOST = 300  # characters of what the server says


def message(mail: Mail, out: Outgoing) -> EmailMessage:
    """The mail.  No text in it can add a header, and its Message-ID is the same each time."""
    made = EmailMessage(policy=SMTP)
    made["From"] = printable(mail.sender)
    made["To"] = ", ".join(out.to)
    made["Subject"] = printable(out.subject)
    made["Date"] = formatdate()
    host = parseaddr(mail.sender)[1].rpartition("@")[2] or "localhost"
    made["Message-ID"] = f"<{out.name}@{host}>"
    # RFC 3834: no program answers it.
    made["Auto-Submitted"] = "auto-generated"
    made.set_content("\n".join(printable(line) for line in out.text.split("\n")))
    return made


def send(mail: Mail, out: Outgoing, *, limit: float = LIMIT_S) -> None:
    """Sends it, within `limit` (s).

    Raises NotSent if the server does not take it, and InDoubt if it does not say whether it has.
    """
    made = message(mail, out)
    name = f"the mail server {mail.host}:{mail.port}"
    server = _client(mail)
    data_begun = False
    try:
        with within(limit, lambda: server.sock):
            _enter(server, mail, name)
            _envelope(server, parseaddr(mail.sender)[1], out.to, name)
            data_begun = True
            code, said = server.data(made.as_bytes())
    except smtplib.SMTPDataError as error:  # it did not want to hear more
        raise _refused(name, error.smtp_code, error.smtp_error) from error
    except smtplib.SMTPAuthenticationError as error:
        raise NotSent(
            f"{name} refuses the login: {_said(error.smtp_error)}", all_wait=True
        ) from error
    except smtplib.SMTPResponseException as error:
        raise NotSent(f"{name} says: {_said(error.smtp_error)}", all_wait=True) from error
    except (OSError, smtplib.SMTPException, ValueError) as error:
        why = _why(error)
        if data_begun:
            raise InDoubt(f"{name} did not say whether it has taken it: {why}") from error
        raise NotSent(f"{name}: {why}", all_wait=True) from error
    finally:
        server.close()
    if 400 <= code < 600:
        raise _refused(name, code, said)
    if not 200 <= code < 300:  # no answer that RFC 5321 knows, to a letter that it has whole
        raise InDoubt(f"{name} did not say whether it has taken it, but: {_said(said) or code}")


def _client(mail: Mail) -> smtplib.SMTP:
    server = (
        smtplib.SMTP_SSL(timeout=mail.timeout, context=ssl.create_default_context())
        if mail.tls
        else smtplib.SMTP(timeout=mail.timeout)
    )
    # smtplib holds the certificate against this name, and knows it only if the constructor
    # connects; but then nobody could end a connection that hangs.
    vars(server)["_host"] = mail.host
    return server


def _enter(server: smtplib.SMTP, mail: Mail, name: str) -> None:
    code, said = server.connect(mail.host, mail.port)
    if code != 220:
        raise NotSent(f"{name} says: {_said(said)}", all_wait=True)
    server.ehlo_or_helo_if_needed()
    if mail.starttls and not mail.tls:
        if not server.has_extn("starttls"):
            raise NotSent(
                f"{name} offers no STARTTLS, which omero.mail.smtp.starttls.enable asks for",
                all_wait=True,
            )
        server.starttls(context=ssl.create_default_context())
        server.ehlo_or_helo_if_needed()
    if mail.auth:
        server.login(mail.username, mail.password)


def _envelope(server: smtplib.SMTP, sender: str, to: tuple[str, ...], name: str) -> None:
    """Names the sender, and all recipients.  Raises NotSent if none of them is taken."""
    code, said = server.mail(sender)
    if code != 250:
        raise NotSent(f"{name} refuses the sender {sender}: {_said(said)}", all_wait=True)
    refused: dict[str, tuple[int, bytes]] = {}
    for address in to:
        code, said = server.rcpt(address)
        if code not in (250, 251):
            refused[address] = code, said
            log.warning("%s refuses %s: %s", name, address, _said(said))
    if len(refused) == len(to):
        code, said = next(iter(refused.values()))
        whom = ", ".join(refused)
        raise NotSent(
            f"{name} refuses {whom}: {_said(said)}",
            final=all(code >= 500 for code, _ in refused.values()),
        )


def _refused(name: str, code: int, said: bytes | str) -> NotSent:
    return NotSent(f"{name} refuses it: {_said(said)}", final=code >= 500)


def _said(said: bytes | str) -> str:
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return printable(" ".join(words.split()))[:_SAID_MOST]


def _why(error: Exception) -> str:
    if isinstance(error, OverTime):
        return str(error)
    if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
        return "it does not answer"
    if isinstance(error, UnicodeError):  # whose text may have a part of the password
        return (
            "omero.mail.* has a character that mail cannot carry, in the host, the sender, the "
            "user name or the password"
        )
    if isinstance(error, socket.gaierror):
        return f"no such host: {error.strerror}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ValueError):
        return f"it answers what cannot be understood: {_said(str(error))}"
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return _said(said) or type(error).__name__
