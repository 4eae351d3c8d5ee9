"""The addresses of the app, below /omero_fs_web/."""

from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("", views.index, name="omero_fs_web_index"),
    path("part/", views.part, name="omero_fs_web_part"),
    path("ask/", views.ask, name="omero_fs_web_ask"),
    path("receipt.html", views.receipt_page, name="omero_fs_web_receipt"),
    path("receipt.csv", views.receipt_csv, name="omero_fs_web_receipt_csv"),
    path("older/", views.older_page, name="omero_fs_web_older"),
    path("image/<int:image>/", views.image, name="omero_fs_web_image"),
    path("everybody/", views.everybody, name="omero_fs_web_everybody"),
    path("check/", views.check, name="omero_fs_web_check"),
]
