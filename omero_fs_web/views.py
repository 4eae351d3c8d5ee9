"""What the browser asks for: the page, its news, requests, receipts, and the view of all users.

Each view has the session of who is logged in, as `conn`, and reads and writes with nothing else.
The public user of OMERO.web has no drops: it gets only the view of an image, if its filter says so.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import date, datetime
from functools import partial
from typing import Any

from django.http import (
    Http404,
    HttpResponse,
    HttpResponseNotModified,
    HttpResponseRedirect,
    JsonResponse,
)
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods
from omeroweb.decorators import login_required

from omero_fs_plugin import __version__
from omero_fs_plugin.blitz import publications
from omero_fs_plugin.dropbox.publishing import requests
from omero_fs_plugin.dropbox.publishing.checked import parsed as parsed_check
from omero_fs_plugin.dropbox.publishing.document import is_newer, parsed
from omero_fs_plugin.dropbox.publishing.heartbeat import heard
from omero_fs_plugin.errors import UserError

from . import receipt, rows, settings
from .older import before_these, older
from .origin import origin_of
from .overview import overview
from .page import SHOWS, Page, page_of, placed
from .places import datasets_of
from .services import Services

_MOST_QUERY = 300  # characters of a search
_SAID_NEXT = "omero_fs_web.said"  # in the session of OMERO.web: what the next page says, once
_SAID = {
    "asked": "DropBox was asked. It answers within some seconds.",
    "wrong": "That could not be asked for.",
    "lost": "You were logged out, so DropBox was not asked. Ask again.",
    "other": "The page was that of another user, so DropBox was not asked.",
}


@never_cache
@require_GET
@login_required(allowPublic=False)
def index(request: Any, conn: Any = None, **_: Any) -> Any:
    """The whole page."""
    context = _context(request, conn)
    said = request.session.pop(_SAID_NEXT, "")  # a reload does not say it again
    context["waits"] = said == _SAID["asked"]  # until it is answered
    if context["waits"] and context["page"] and context["page"].heard.startswith("DropBox"):
        said = "DropBox was asked. It answers when it is back."
    context["said"] = said
    context["poll"] = max(1, settings.OMERO_FS_WEB_POLL)
    context["admin"], context["user"] = conn.isAdmin(), conn.getEventContext().userName
    context["who"], context["seal"] = _who(conn), _seal(conn, context)
    return render(request, "omero_fs_web/index.html", context)


@never_cache
@require_GET
@login_required(allowPublic=False)
def part(request: Any, conn: Any = None, **_: Any) -> Any:
    """What of the page may have changed: its sentence, and the HTML below it.

    The answer is 304, without content, if the browser has all of it.
    """
    context = _context(request, conn)
    page: Page | None = context["page"]
    seal = _seal(conn, context)
    if _has(request, seal):
        response: HttpResponse = HttpResponseNotModified()
    else:
        response = JsonResponse(
            {
                "who": _who(conn),
                "sentence": page.sentence if page else "",
                "heard": page.heard if page else "",
                "html": render_to_string("omero_fs_web/part.html", context, request=request),
            }
        )
    response["ETag"] = f'"{seal}"'
    return response


def _who(conn: Any) -> str:
    """Whose page it is: in another tab, another user may log in to OMERO.web, or elsewhere."""
    return f"{getattr(conn, 'server_id', '')}/{conn.getUserId()}"


def _seal(conn: Any, context: Mapping[str, Any]) -> str:
    """A text that is another one when anything of the page is that can change."""
    shown = repr((__version__, _who(conn), context["today"], context["page"], context["newer"]))
    return hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _has(request: Any, seal: str) -> bool:
    """Whether the browser has what bears this seal.  A web server that packs it makes it weak."""
    given = request.headers.get("If-None-Match", "")
    return any(one.strip().removeprefix("W/") == f'"{seal}"' for one in given.split(","))


@never_cache
@require_http_methods(["GET", "POST"])
@login_required(allowPublic=False)
def ask(request: Any, conn: Any = None, **_: Any) -> Any:
    """Writes a request into OMERO: DropBox checks it, and answers in the document.

    Who was logged out in between comes back from the login by GET, without the request.
    """
    said = "wrong" if request.method == "POST" else "lost"
    if said != "lost" and request.POST.get("who") != _who(conn):
        return _back(request, _SAID["other"])
    for wish in requests.Wish:
        fileset = request.POST.get(wish.name.lower(), "")
        text = requests.entry(wish, fileset)
        if fileset and text is not None:
            try:
                publications.ask(Services(conn), text)
                said = "asked"
            except UserError as error:
                return _back(request, f"DropBox was not asked: {error}.")
    return _back(request, _SAID[said])


def _back(request: Any, said: str) -> HttpResponseRedirect:
    """To the page, with the search that the user had."""
    request.session[_SAID_NEXT] = said
    given = {name: request.POST.get(name, "")[:_MOST_QUERY] for name in ("q", "show")}
    search = urlencode({name: value for name, value in given.items() if value})
    return HttpResponseRedirect(reverse("omero_fs_web_index") + (f"?{search}" if search else ""))


@never_cache
@require_GET
@login_required(allowPublic=False)
def receipt_page(request: Any, conn: Any = None, **_: Any) -> Any:
    """The receipt as a page to keep or print."""
    return render(request, "omero_fs_web/receipt.html", _receipt(request, conn))


@never_cache
@require_GET
@login_required(allowPublic=False)
def receipt_csv(request: Any, conn: Any = None, **_: Any) -> Any:
    """The receipt as a table."""
    made = _receipt(request, conn)
    response = HttpResponse(receipt.as_csv(made["lines"]), content_type="text/csv; charset=utf-8")
    name = "receipt.csv" if made["whole"] else "receipt-of-a-part.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@never_cache
@require_GET
@login_required(allowPublic=False)
def older_page(request: Any, conn: Any = None, **_: Any) -> Any:
    """A page of what was imported before the latest drops; with `part` only its list."""
    services, user = Services(conn), conn.getUserId()
    document = parsed(publications.read(services, user))
    given = request.GET.get("before", "")
    if document is None or not (given.isascii() and given.isdigit() and len(given) < 20):
        raise Http404
    some = older(services, user, document, int(given))
    context = {
        "some": some,
        "admin": conn.isAdmin(),
        "user": conn.getEventContext().userName,
    }
    whole = "part" not in request.GET
    return render(request, f"omero_fs_web/older{'' if whole else '_part'}.html", context)


@never_cache
@require_GET
@login_required()
def image(request: Any, conn: Any = None, image: int = 0, **_: Any) -> Any:
    """Where an image came from, for the right-hand panel of OMERO.web's client."""
    if image >= 2**63:
        raise Http404
    origin = origin_of(Services(conn), image)
    return render(request, "omero_fs_web/image.html", {"origin": origin, "image": image})


@never_cache
@require_GET
@login_required(isAdmin=True, allowPublic=False)
def everybody(request: Any, conn: Any = None, **_: Any) -> Any:
    """All users, for administrators."""
    services = Services(conn)
    names, groups = _accounts(services)
    documents = (
        (names.get(user, str(user)), parsed(text))
        for user, text in publications.everyones(services)
    )
    sign = heard(services.last_sign())
    context = {
        "all": overview(documents, groups),
        "silent": sign is None or sign.silent(services.now(sign)),
        "unwatched": sign is not None and sign.unwatched is not None,
        "nodes": sorted(sign.nodes) if sign is not None else [],
        "dropbox": sign.version if sign else "",
        "server": services.getConfigService().getVersion(),
        "app": __version__,
        "admin": True,
        "user": conn.getEventContext().userName,
    }
    return render(request, "omero_fs_web/everybody.html", context)


@never_cache
@require_GET
@login_required(isAdmin=True, allowPublic=False)
def check(request: Any, conn: Any = None, **_: Any) -> Any:
    """What `omero fs check --publish` found last, for administrators."""
    checked = parsed_check(publications.last_check(Services(conn)))
    context: dict[str, Any] = {
        "checked": checked,
        "admin": True,
        "user": conn.getEventContext().userName,
    }
    if checked:
        context["at"] = datetime.fromtimestamp(checked.at).astimezone()
        context["errors"], context["warnings"] = map(checked.number, ("error", "warning"))
    return render(request, "omero_fs_web/check.html", context)


def _accounts(services: Any) -> tuple[dict[int, str], dict[str, str]]:
    """User id -> name, and user name -> default group, which is the first of a user's groups."""
    names, groups = {}, {}
    for one in services.getAdminService().lookupExperimenters():
        names[one.id.val] = one.omeName.val
        first = next((link for link in one.copyGroupExperimenterMap() if link is not None), None)
        if first is not None and first.parent is not None and first.parent.name is not None:
            groups[one.omeName.val] = first.parent.name.val
    return names, groups


def _context(request: Any, conn: Any) -> dict[str, Any]:
    services, user = Services(conn), conn.getUserId()
    text = publications.read(services, user)
    document = parsed(text)
    query = request.GET.get("q", "")[:_MOST_QUERY]
    show = request.GET.get("show", "")
    context: dict[str, Any] = {
        "page": None,
        "query": query,
        "show": show if show in SHOWS else "",
        "today": date.today().isoformat(),
        "newer": document is None and is_newer(text),
    }
    if document is None:
        return context
    sign = heard(services.last_sign())
    now = services.now(sign)
    context["today"] = date.fromtimestamp(now).isoformat()
    asked = {}
    if any(one["stand"] == "failed" for one in document["filesets"]):  # no others may be asked for
        texts = (text for _, text in publications.requests_of(services, user))
        asked = {one.fileset: str(one.wish) for one in requests.read(texts)}
    page = page_of(document, sign, now=now, query=query, show=context["show"], asked=asked)
    page = placed(page, datasets_of(services, page.images))
    # Around the id of an image: an address is not made for each of 200 rows.
    before, _, after = reverse("webgateway_render_thumbnail", args=(0,)).rpartition("0")
    client = reverse("webindex")
    context["page"] = page
    # The template calls them, if it comes to that: the browser may have all of it.
    row = partial(rows.imported, client=client)
    context["today_rows"] = partial(row, page.today, thumbnail=(before, after))
    context["earlier_rows"] = partial(row, page.earlier, thumbnail=None)
    context["before"] = before_these(document)
    return context


def _receipt(request: Any, conn: Any) -> Mapping[str, Any]:
    services, user = Services(conn), conn.getUserId()
    document = parsed(publications.read(services, user))
    if document is None:
        raise Http404
    below = request.GET.get("below", "")[:_MOST_QUERY]
    given = request.GET.get("day", "")
    try:
        day = date.fromisoformat(given) if given else None
    except ValueError:
        raise Http404 from None
    filesets = receipt.chosen(document, day=day, below=below)
    return {
        "lines": list(receipt.lines(services, user, filesets)),
        "filesets": len(filesets),
        "whole": receipt.is_whole(document, day),
        "known": len(document["filesets"]),
        "day": day,
        "below": below,
        "user": conn.getEventContext().userName,
        "made": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "query": urlencode({"day": given, "below": below}),
    }
