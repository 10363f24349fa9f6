"""A user's own files: to look at, to download, to change, to upload."""

from __future__ import annotations

import stat
from dataclasses import dataclass

from starlette.responses import JSONResponse, Response

from nacre.console.files.answers import downloaded, image, size_of, zipped
from nacre.console.files.names import child, link, name_of, parent, path_in, shown, steps
from nacre.console.files.previews import HEAD, LONGEST_TEXT, image_type, text_of
from nacre.console.web.bodies import patient
from nacre.console.web.calls import APIRefused
from nacre.console.web.visit import ALL, BrowserVisit, ConsolePage

MOST_LISTED = 10_000
"""Files of a directory that are read."""

_ON_PAGE = 200
"""Files on a page."""

_PAGE = "/files"


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A row of the list.

    :ivar name: as people read it.
    :ivar kind: ``directory``, ``file``, ``link`` or ``other``.
    """

    path: str
    name: str
    kind: str
    size: int
    modified: float


_KINDS = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link", 0: "file"}


def _path(visit: BrowserVisit) -> str:
    return path_in(visit.request.scope["query_string"])


def _needed(visit: BrowserVisit) -> str:
    """Return the path that a request is about.

    :raises APIRefused: there is none.
    """
    path = _path(visit)
    if not path:
        raise APIRefused(400, "the path is missing")
    return path


async def _list(visit: BrowserVisit) -> Response:
    rows: list[ListedFile] = []
    async with visit.console.files.opened(visit.own) as sftp:
        path = _path(visit) or await sftp.realpath(".")
        found = await sftp.stat(path)
        if stat.S_ISREG(found.st_mode):
            return visit.go(link(f"{_PAGE}/view", path))
        async for entry in sftp.scandir(path):
            if entry.name in (".", ".."):
                continue
            known = entry.stat()
            kind = _KINDS.get(stat.S_IFMT(known.st_mode), "other")
            below = f"{path.rstrip('/')}/{entry.name}"
            row = ListedFile(below, shown(entry.name), kind, known.st_size, known.st_mtime)
            rows.append(row)
            if len(rows) > MOST_LISTED:
                break
    more, begin = len(rows) > MOST_LISTED, _number(visit.asked("from", "0"))
    rows = sorted(rows[:MOST_LISTED], key=lambda one: (one.kind != "directory", one.name))
    end = begin + _ON_PAGE
    return visit.show(
        "files.html",
        path=path,
        name=name_of(path),
        steps=steps(path),
        rows=rows[begin:end],
        link=link,
        next=str(end) if len(rows) > end else "",
        more=MOST_LISTED if more else 0,
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


async def _view(visit: BrowserVisit) -> Response:
    path = _needed(visit)
    async with visit.console.files.opened(visit.own) as sftp:
        size, _ = await size_of(sftp, path)
        async with await sftp.open(path, "rb") as file:
            data = await file.read(LONGEST_TEXT)
    is_image = image_type(data[:HEAD]) is not None
    text = None if is_image else text_of(data, whole=size <= len(data))
    return visit.show(
        "file.html",
        path=path,
        name=name_of(path),
        up=parent(path),
        size=size,
        text=text,
        cut=size > len(data),
        is_image=is_image,
        link=link,
    )


async def _download(visit: BrowserVisit) -> Response:
    return await downloaded(visit, _needed(visit))


async def _image(visit: BrowserVisit) -> Response:
    return await image(visit, _needed(visit))


async def _zip(visit: BrowserVisit) -> Response:
    return await zipped(visit, _needed(visit))


def _back(visit: BrowserVisit, directory: str, notice: str) -> Response:
    return visit.go(link(_PAGE, directory), notice)


async def _make(visit: BrowserVisit) -> Response:
    path = _needed(visit)
    name = visit.form.get("name", "")
    async with visit.console.files.opened(visit.own) as sftp:
        await sftp.mkdir(child(path, name))
    return _back(visit, path, f"The folder {shown(name)} was made.")


async def _rename(visit: BrowserVisit) -> Response:
    path = _needed(visit)
    to = child(parent(path), visit.form.get("name", ""))
    async with visit.console.files.opened(visit.own) as sftp:
        await sftp.rename(path, to)
    return _back(visit, parent(path), f"{name_of(path)} is {name_of(to)} now.")


async def _remove(visit: BrowserVisit) -> Response:
    path = _needed(visit)
    async with visit.console.files.opened(visit.own) as sftp:
        found = await sftp.lstat(path)
        if stat.S_ISDIR(found.st_mode):
            await sftp.rmtree(path)
        else:
            await sftp.remove(path)
    return _back(visit, parent(path), f"{name_of(path)} was removed.")


async def _upload(visit: BrowserVisit) -> Response:
    """Take the files of a form, which works without scripts."""
    path = _needed(visit)
    if visit.sent is None:
        raise APIRefused(422, "no file was sent")
    replaces, names = "replace" in visit.form, []
    uploads, session = visit.console.uploads, visit.own
    async for name, pieces in visit.sent.files():
        number = await uploads.begin(session, child(path, name), None, replaces=replaces)
        try:
            await uploads.append(session, number, 0, pieces)
            await uploads.finish(session, number)
        except BaseException:
            await uploads.discard(number)
            raise
        names.append(shown(name))
    if not names:
        raise APIRefused(422, "no file was sent")
    told = names[0] if len(names) == 1 else f"{len(names)} files"
    return _back(visit, path, f"{told} came whole.")


async def _begin_upload(visit: BrowserVisit) -> Response:
    path, form = _needed(visit), visit.form
    path = child(path, form.get("name", ""))
    size, uploads = form.get("size", ""), visit.console.uploads
    if not size.isascii() or not size.isdecimal() or len(size) > 16:
        raise APIRefused(422, "the size is missing")
    number = await uploads.begin(visit.own, path, int(size), replaces="replace" in form)
    return JSONResponse({"id": number, "written": 0}, 201)


async def _show_upload(visit: BrowserVisit) -> Response:
    upload = visit.console.uploads.find(visit.own, visit.part("id"))
    return JSONResponse({"written": upload.written, "busy": upload.busy})


async def _append(visit: BrowserVisit) -> Response:
    offset = _number(visit.asked("offset", "0"))
    pieces = patient(visit.request)
    written = await visit.console.uploads.append(visit.own, visit.part("id"), offset, pieces)
    return JSONResponse({"written": written})


async def _finish_upload(visit: BrowserVisit) -> Response:
    written = await visit.console.uploads.finish(visit.own, visit.part("id"))
    return JSONResponse({"written": written})


async def _cancel_upload(visit: BrowserVisit) -> Response:
    await visit.console.uploads.cancel(visit.own, visit.part("id"))
    return JSONResponse({"written": 0})


_UPLOAD = f"{_PAGE}/uploads/{{id}}"

PAGES = (
    ConsolePage(method="GET", path=_PAGE, roles=ALL, answer=_list, title="Files"),
    ConsolePage(method="GET", path=f"{_PAGE}/view", roles=ALL, answer=_view),
    ConsolePage(method="GET", path=f"{_PAGE}/download", roles=ALL, answer=_download),
    ConsolePage(method="GET", path=f"{_PAGE}/image", roles=ALL, answer=_image),
    ConsolePage(method="GET", path=f"{_PAGE}/zip", roles=ALL, answer=_zip),
    ConsolePage(method="POST", path=f"{_PAGE}/folder", roles=ALL, answer=_make),
    ConsolePage(method="POST", path=f"{_PAGE}/rename", roles=ALL, answer=_rename),
    ConsolePage(method="POST", path=f"{_PAGE}/remove", roles=ALL, answer=_remove),
    ConsolePage(method="POST", path=f"{_PAGE}/upload", roles=ALL, answer=_upload, takes="files"),
    ConsolePage(method="POST", path=f"{_PAGE}/uploads", roles=ALL, answer=_begin_upload),
    ConsolePage(method="GET", path=_UPLOAD, roles=ALL, answer=_show_upload),
    ConsolePage(method="POST", path=_UPLOAD, roles=ALL, answer=_append, takes="bytes"),
    ConsolePage(method="POST", path=f"{_UPLOAD}/finish", roles=ALL, answer=_finish_upload),
    ConsolePage(method="POST", path=f"{_UPLOAD}/cancel", roles=ALL, answer=_cancel_upload),
)
