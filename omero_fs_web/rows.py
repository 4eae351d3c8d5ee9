"""The rows of imported drops.  There may be 200, and a template takes five times as long."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from .page import Item

_ROW = (
    '<li class="item done" data-id="{}">\n  {}<div>\n    <h3><bdi>{}</bdi></h3>\n'
    '    <p class="says"><time datetime="{}">{}</time>{}</p>\n    {}\n  </div>\n</li>\n'
)
_PICTURE = '<img src="{}{}{}" width="96" height="96" loading="lazy" alt="">'
_DATASET = ', in the dataset <a href="{}?show=dataset-{}"><bdi>{}</bdi></a>'
_IMAGE = '<p><a href="{}?show=image-{}" aria-label="Open the image of {}">Open image {}</a>{}</p>'


def imported(
    items: Iterable[Item], *, client: str, thumbnail: tuple[str, str] | None
) -> SafeString:
    """One row for each of `items`, with its picture if `thumbnail` is given.

    `client` is the address of OMERO.web's client; `thumbnail` what is before and after an image's
    id in the address of its picture.
    """
    return format_html_join("", _ROW, (_values(one, client, thumbnail) for one in items))


def _values(one: Item, client: str, thumbnail: tuple[str, str] | None) -> tuple[object, ...]:
    picture = dataset = image = SafeString("")
    if one.images:
        first = one.images[0]
        if thumbnail:
            picture = format_html(_PICTURE, thumbnail[0], first, thumbnail[1])
        more = f" and {one.count - 1} more" if one.count > 1 else ""
        image = format_html(_IMAGE, client, first, one.name, first, more)
    if one.dataset:
        dataset = format_html(_DATASET, client, one.dataset, one.dataset_name)
    return one.id, picture, one.name, one.moment, one.when, dataset, image
