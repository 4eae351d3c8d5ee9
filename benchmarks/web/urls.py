"""The addresses of OMERO.web that the page has links to, and those of the page."""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import include, path


def _nothing(*_: object, **__: object) -> HttpResponse:
    return HttpResponse("")


urlpatterns = [
    path("webclient/", _nothing, name="webindex"),
    path("webclient/login/", _nothing, name="weblogin"),
    path("webgateway/render_thumbnail/<int:image>/", _nothing, name="webgateway_render_thumbnail"),
    path("omero_fs_web/", include("omero_fs_web.urls")),
]
