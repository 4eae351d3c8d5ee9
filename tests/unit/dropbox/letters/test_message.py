"""A mail as it is written."""

from __future__ import annotations

from email import message_from_bytes, policy

from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.config.settings import Mail
from omero_fs_plugin.dropbox.letters.outgoing import Outgoing
from omero_fs_plugin.dropbox.letters.smtp import message

HEADERS = {
    *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type"),
    *("Content-Transfer-Encoding", "MIME-Version"),
}


@given(st.text(), st.text())
def test_no_text_adds_a_header_or_cannot_be_sent(subject: str, text: str) -> None:
    out = Outgoing("omero-fs.1.2", ("amy@example.org",), subject, text, "{}")
    made = message_from_bytes(
        message(Mail(sender="OMERO <omero@example.org>"), out).as_bytes(), policy=policy.default
    )
    assert set(made.keys()) <= HEADERS
    assert (made["To"], made["Message-ID"]) == ("amy@example.org", "<omero-fs.1.2@example.org>")
    assert made["From"].addresses[0].addr_spec == "omero@example.org"
    assert not made.defects
