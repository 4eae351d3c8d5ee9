"""OMERO.web on loopback, with the page My drops: `make demo-web`, `make sandbox WEB=1`, the tests.

It has an OMERODIR of its own, as on a host that has OMERO.web and no OMERO.server.  Nobody else's
sessions or sockets are touched.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 90.0  # s for OMERO.web to answer: it copies its static files first
_STOPPING = 20.0  # s


class WebFailed(Exception):
    """OMERO.web did not start.  The text has the end of its log."""


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configure(omerodir: Path, *, router: int, port: int) -> None:
    """Makes an OMERODIR for OMERO.web alone, which logs in at the port `router` on this machine."""
    from omero.config import ConfigXml

    for name in ("etc/grid", "var/log", "var/tmp", "var/home"):
        (omerodir / name).mkdir(parents=True, exist_ok=True)
    config = ConfigXml(str(omerodir / "etc/grid/config.xml"))
    for key, value in {
        "omero.web.application_server": "wsgi-tcp",
        "omero.web.application_server.host": "127.0.0.1",
        "omero.web.application_server.port": str(port),
        "omero.web.server_list": json.dumps([["localhost", router, "sandbox"]]),
        "omero.web.session_engine": "django.contrib.sessions.backends.file",
        "omero.web.wsgi_workers": "2",
        "omero.web.apps": '["omero_fs_web"]',
        "omero.web.ui.right_plugins": json.dumps(
            [["DropBox", "omero_fs_web/right_plugin.js.html", "omero_fs_tab"]]
        ),
        "omero.web.ui.top_links": json.dumps(
            [["My drops", "omero_fs_web_index", {"title": "What became of your files"}]]
        ),
        "omero.web.middleware": json.dumps(
            [
                {"index": index, "class": name}
                for index, name in (
                    (0, "whitenoise.middleware.WhiteNoiseMiddleware"),
                    (1, "django.middleware.common.BrokenLinkEmailsMiddleware"),
                    (2, "django.middleware.common.CommonMiddleware"),
                    (3, "django.contrib.sessions.middleware.SessionMiddleware"),
                    (4, "django.middleware.csrf.CsrfViewMiddleware"),
                    (5, "django.contrib.messages.middleware.MessageMiddleware"),
                    (6, "django.middleware.clickjacking.XFrameOptionsMiddleware"),
                )
            ]
        ),
    }.items():
        config[key] = value
    config.close()


@contextmanager
def serving(omerodir: Path, *, router: int, port: int | None = None) -> Iterator[str]:
    """OMERO.web, from now to the end; gives its address.  Raises WebFailed."""
    port = port or free_port()
    configure(omerodir, router=router, port=port)
    log = omerodir / "var/log/console.log"
    environment = {
        **os.environ,
        "OMERODIR": str(omerodir),
        "OMERO_USERDIR": str(omerodir / "var/home"),
        "HOME": str(omerodir / "var/home"),  # gunicorn puts a socket there
        "TMPDIR": str(omerodir / "var/tmp"),  # the file sessions
    }
    omero = Path(sys.executable).with_name("omero")
    with log.open("ab") as out:
        server = subprocess.Popen(
            [str(omero), "web", "start", "--foreground"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment,
            start_new_session=True,
        )
    address = f"http://localhost:{port}"
    try:
        _until_it_answers(server, f"{address}/webclient/login/", log)
        yield address
    finally:
        _end(server)


def _until_it_answers(server: subprocess.Popen[bytes], page: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(page, timeout=30):
                return
        except OSError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-3000:]
                raise WebFailed(f"OMERO.web does not answer ({error}):\n{said}") from error
        time.sleep(0.2)


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ends it and its workers, which are in its process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
            server.wait(_STOPPING)
            return
        except ProcessLookupError:
            server.wait(_STOPPING)
            return
        except subprocess.TimeoutExpired:
            continue


def main(arguments: list[str]) -> int:
    """`web.py OMERODIR`: starts the sandbox there, and OMERO.web until it is interrupted."""
    sandbox = Path(arguments[0])
    omero = sandbox / "bin" / "omero"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    subprocess.run([omero, "config", "set", "omero.fs.publishInterval", "2"], check=True)
    subprocess.run([omero, "admin", "start"], check=True)
    try:
        text = (sandbox / "etc" / "ice.config").read_text()
        router = int(text.partition("omero.port=")[2].split()[0])
        with serving(sandbox / "web", router=router) as address:
            sys.stdout.write(
                f"\n{address}/omero_fs_web/  log in as amy, password amy; or root, omero\n"
                f"drop files into {sandbox}/data/DropBox/amy; Ctrl-C stops it\n"
            )
            sys.stdout.flush()
            while True:
                signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        subprocess.run([omero, "admin", "stop", "--wait", "60"], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
