"""A file of amy's fails, and amy gets a mail: DropBox, OMERO's addresses and SMTP, all real."""

from __future__ import annotations

import threading

from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.sandbox.store import TABLES
from tests.integration.whole import Whole
from tests.ports import reserved

from .smtpd import Mailbox, Silent, serving

_HANGS_S = 60.0  # that a mail server may take for an answer; longer than any stop takes


def with_address(whole: Whole, **addresses: str) -> None:
    """Gives OMERO the addresses of these users."""
    store, table = whole.blitz.sandbox.store, TABLES["Experimenter"]
    with store.begin() as db:
        for name, address in addresses.items():
            db.execute(table.update().where(table.c.omeName == name).values(email=address))


def told_by_mail(whole: Whole, port: int, **properties: str) -> None:
    whole.stop_dropbox()
    whole.properties |= {"omero.mail.host": "127.0.0.1", "omero.mail.port": str(port)}
    whole.start_dropbox(notifyInterval="100", **properties)
    whole.until_state("running")


def test_a_user_hears_of_a_file_that_failed(whole: Whole) -> None:
    mailbox, port = Mailbox(), reserved()
    with_address(whole, amy="amy@example.org", root="root@example.org")
    told_by_mail(whole, port, notify="both", webAddress="https://omero.example.org")
    postman = whole.dropbox.parts.postman
    whole.until("it has begun", lambda: postman._on)
    bad = whole.watch_dir / "amy" / "notes.tif"
    bad.write_text("no image", encoding="ascii")
    good = whole.drop("good.tif")

    def failed() -> bool:
        whole.clock.pass_by(1)
        return bool(whole.journal.counts()[State.FAILED])

    with serving(mailbox, port):
        whole.until("it has failed", failed)
        whole.until_known(good)
        whole.clock.pass_by(100)

        def arrived() -> bool:
            postman.wake()
            return len(mailbox.mails) == 2

        whole.until("both are told", arrived)
        assert {str(mail["To"]) for mail in mailbox.mails} == {
            "amy@example.org",
            "root@example.org",
        }
        text = next(m.get_content() for m in mailbox.mails if m["To"] == "amy@example.org")
        assert "notes.tif" in text and "no image" not in text.split("notes.tif")[0]
        (image,) = whole.row(good).images
        assert f"https://omero.example.org/webclient/?show=image-{image}" in text


def test_a_stop_waits_for_no_mail_server(whole: Whole) -> None:
    """It takes the connection and says nothing."""
    whole.properties["omero.mail.smtp.timeout"] = str(int(_HANGS_S * 1000))
    silent, left = Silent(), list[threading.Thread]()
    try:
        told_by_mail(whole, silent.port, notify="admin", notifyAdmins="admin@example.org")
        whole.dropbox.parts.postman.happened("disk", "full")
        whole.dropbox.parts.postman.wake()
        whole.until("the mail is there", lambda: silent.taken == 1)
        path = whole.drop("a.tif")
        whole.until_known(path)
        whole.dropbox.stop()
        left = [thread for thread in threading.enumerate() if thread.name == "letters"]
        assert left, "its thread still waits for the server"
    finally:
        silent.stop()
        for thread in left:
            thread.join(_HANGS_S)
            assert not thread.is_alive()
