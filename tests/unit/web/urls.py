"""The addresses of the app as OMERO.web has them, and those of OMERO.web that it links to."""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import include, path


def _elsewhere(request: object, **_: object) -> HttpResponse:
    return HttpResponse("elsewhere")


urlpatterns = [
    path("omero_fs_web/", include("omero_fs_web.urls")),
    path("webclient/", _elsewhere, name="webindex"),
    path("webclient/login/", _elsewhere, name="weblogin"),
    path("webgateway/render_thumbnail/<int:iid>/", _elsewhere, name="webgateway_render_thumbnail"),
]
