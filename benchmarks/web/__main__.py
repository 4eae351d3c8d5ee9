"""`make bench-web`: what open pages My drops ask of OMERO.web and of OMERO a minute.

Exit code 0; or 1 if it could not be measured; or 130 if it was interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.dropbox.running import execute
from benchmarks.options import parser_of

RESULTS = Path(__file__).parent.parent / "RESULTS-web.rst"
LOOKS = 100  # of each page
PARTS = {str(number): number for number in (1, 20, 200)}  # drops in the document

HEADING = (
    "Benchmark results: the page My drops",
    "====================================",
    "",
    'Written by ``make bench-web``; what is measured and how: "Benchmarks" in CONTRIBUTING.rst.',
    f"Means of {LOOKS} looks; a minute of many pages is that of one, as often as there are pages.",
)


def _configure() -> None:
    """Django as far as the views need it."""
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="of the benchmark",
        ROOT_URLCONF="benchmarks.web.urls",
        ALLOWED_HOSTS=["testserver"],
        INSTALLED_APPS=["django.contrib.staticfiles", "omero_fs_web"],
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        STATIC_URL="/static/",
        USE_TZ=False,
        TIME_ZONE=None,
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
            }
        ],
        # What OMERO.web's decorator reads.
        LOGIN_VIEW="weblogin",
        LOGIN_REDIRECT={},
        PUBLIC_ENABLED=False,
        SECURE=False,
    )
    django.setup()


def main(given: Sequence[str]) -> int:
    """The exit code."""
    options = parser_of("bench-web", __doc__, RESULTS, PARTS).parse_args(given)
    _configure()
    from . import page

    looks = LOOKS // 10 if options.quick else LOOKS
    return execute(
        {name: partial(page.measure, number=number, looks=looks) for name, number in PARTS.items()},
        quick=options.quick,
        only=options.only,
        output=options.output,
        results=RESULTS,
        heading=HEADING,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
