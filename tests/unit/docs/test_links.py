"""`make links`: a dead link is told apart from one that cannot be reached from here."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tools import links

NAMELESS = "NameResolutionError(...): Name or service not known"


class Site(BaseHTTPRequestHandler):
    """A site with one page."""

    def do_GET(self) -> None:
        self.send_response(
            {"/there": 200, "/later": 503}.get(self.path.partition("?")[0], 404),
        )
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<p id='part'>Here.</p>")

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, name="site")
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def checked(tmp_path: Path, *addresses: str) -> links.Verdict:
    """What Sphinx's own linkcheck and we say of a page with these links."""
    (tmp_path / "conf.py").write_text("linkcheck_timeout = 5\nlinkcheck_retries = 1\n")
    text = "Page\n====\n\n" + "\n\n".join(
        f"`{number} <{one}>`__" for number, one in enumerate(addresses)
    )
    (tmp_path / "index.rst").write_text(text)
    command = [sys.executable, "-m", "sphinx", "-b", "linkcheck", "-Q", tmp_path, tmp_path / "out"]
    subprocess.run(command, check=False, timeout=120)
    return links.judge(list(links.read(tmp_path / "out" / "output.json")))


def test_by_what_a_site_answers(tmp_path: Path, address: str) -> None:
    nobody = "http://127.0.0.1:9"
    pages = [f"{address}/{page}" for page in ("there", "gone", "later", "there?1#none")]
    verdict = checked(tmp_path, *pages, nobody)
    assert [one.link for one in verdict.good] == pages[:1]
    assert sorted(one.link for one in verdict.dead) == sorted([pages[1], pages[3]])
    assert sorted(one.link for one in verdict.not_reached) == sorted([pages[2], nobody])


def test_a_host_without_a_name_is_dead_only_if_others_were_reached() -> None:
    nameless = links.Found("a.rst", 5, "https://gone.invalid", "broken", NAMELESS)
    works = links.Found("a.rst", 6, "https://there.invalid", "working", "")
    assert links.judge([nameless]).not_reached == [nameless]
    assert links.judge([nameless, works]).dead == [nameless]


def test_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "output.json"
    assert links.main([str(file)]) == 2
    row = (
        '{"filename": "a.rst", "lineno": 5, "status": "broken", "uri": "http://a/", "info": "%s"}\n'
    )
    file.write_text(row % "timed out")
    assert links.main([str(file)]) == 0
    assert "a.rst:5: http://a/: timed out" in capsys.readouterr().out
    file.write_text(row % "404 Client Error: Not Found for url: http://a/")
    assert links.main([str(file)]) == 1
    assert "1 links to other sites: 0 work, 1 dead" in capsys.readouterr().out
