"""Django as far as the views of omero_fs_web need it, without OMERO.web."""

from __future__ import annotations


def configure(urls: str) -> None:
    """Sets Django up once; `urls` is the module with the addresses."""
    import django
    from django.conf import settings

    if settings.configured:
        return
    settings.configure(
        SECRET_KEY="of no server",
        ROOT_URLCONF=urls,
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
