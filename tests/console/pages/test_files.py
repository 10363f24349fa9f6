"""A user's own files in the console, with an SSH server behind it."""

from __future__ import annotations

import io
import os
import re
import zipfile
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from console.file_server import FileServer
from console.world import Browser, World, at_home
from nacre.console.web import bodies

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>.txt".replace("/", "")
CONTENT = bytes(range(256)) * 4096


def upload(browser: Browser, path: str, *files: tuple[str, bytes], **fields: str) -> Any:
    """Send files as the form of the page does."""
    sent = [("file", (name, data, "application/octet-stream")) for name, data in files]
    data = {"csrf": browser.csrf(), **fields}
    return browser.client.post(f"/files/upload?path={path}", data=data, files=sent)


def begin(browser: Browser, path: str, name: str, size: int, **fields: str) -> Any:
    found = browser.post(f"/files/uploads?path={path}", name=name, size=str(size), **fields)
    return found.json()["id"] if found.status_code == 201 else found


def append(browser: Browser, number: str, offset: int, data: bytes, csrf: str | None = None) -> Any:
    headers = {"X-CSRF": browser.csrf() if csrf is None else csrf}
    path = f"/files/uploads/{number}?offset={offset}"
    return browser.client.post(path, content=data, headers=headers)


def detail(answer: Any) -> str:
    found = re.search(r'role="alert">([^<]*)<', answer.text)
    return unescape(found[1]) if found else ""


def test_a_user_sees_its_own_files_and_looks_into_them(uma: Browser, homes: Path) -> None:
    (homes / "uma" / "letter.txt").write_text("dear <b>reader</b>, ü")
    (homes / "uma" / "sub").mkdir()
    (homes / "otto" / "secret.txt").write_text("x")
    text = uma.get("/files").text
    assert '<a href="/files/view?path=/letter.txt">letter.txt</a>' in text
    assert '<a href="/files?path=/sub">sub/</a>' in text
    assert "secret" not in text
    shown = uma.get("/files/view?path=/letter.txt").text
    assert "dear &lt;b&gt;reader&lt;/b&gt;, ü" in shown
    assert uma.get("/files?path=/letter.txt").headers["location"] == "/files/view?path=/letter.txt"


def test_one_connection_serves_a_session(uma: Browser, world: World, server: FileServer) -> None:
    for _ in range(3):
        assert uma.get("/files").status_code == 200
    assert server.connections() == 1
    logins = [name for key, name in world.direct.calls if name == "own.logins.add"]
    assert logins == ["own.logins.add"]
    server.drop()
    assert uma.get("/files").status_code == 200, "it logs in again"


def test_files_are_made_renamed_and_removed(uma: Browser, homes: Path) -> None:
    home = homes / "uma"
    assert uma.told(uma.post("/files/folder?path=/", name="sub")) == "The folder sub was made."
    (home / "sub" / "inner").mkdir()
    (home / "sub" / "inner" / "a").write_text("a")
    assert uma.post("/files/folder?path=/", name="sub").status_code in (409, 422)
    told = uma.told(uma.post("/files/rename?path=/sub/inner/a", name="b ü"))
    assert told == "a is b ü now."
    assert (home / "sub" / "inner" / "b ü").read_text() == "a"
    assert uma.told(uma.post("/files/remove?path=/sub")) == "sub was removed."
    assert os.listdir(home) == []


def test_the_form_uploads_without_scripts(uma: Browser, homes: Path) -> None:
    answer = upload(uma, "/", ("one.bin", CONTENT), ("empty", b""), ("two ü.txt", b"two"))
    assert uma.told(answer) == "3 files came whole."
    home = homes / "uma"
    assert (home / "one.bin").read_bytes() == CONTENT
    assert (home / "empty").read_bytes() == b""
    assert (home / "two ü.txt").read_bytes() == b"two"
    refused = upload(uma, "/", ("one.bin", b"other"))
    assert refused.status_code == 409
    assert (home / "one.bin").read_bytes() == CONTENT
    assert upload(uma, "/", ("one.bin", b"other"), replace="yes").status_code == 303
    assert (home / "one.bin").read_bytes() == b"other"
    assert "no file was sent" in detail(upload(uma, "/"))


def test_an_upload_goes_on_where_it_was_cut_off(
    uma: Browser, homes: Path, server: FileServer
) -> None:
    number = begin(uma, "/", "big", len(CONTENT))
    assert append(uma, number, 0, CONTENT[:1000]).json() == {"written": 1000}
    behind = append(uma, number, 0, CONTENT[:1000])
    assert (behind.status_code, detail(behind)) == (409, "1000 bytes have come so far")
    assert uma.get(f"/files/uploads/{number}").json() == {"written": 1000, "busy": False}
    early = uma.post(f"/files/uploads/{number}/finish")
    assert early.status_code == 423
    assert append(uma, number, 1000, CONTENT[1000:]).json() == {"written": len(CONTENT)}
    assert append(uma, number, len(CONTENT), b"x").status_code == 422, "it is longer than it said"
    assert uma.post(f"/files/uploads/{number}/finish").status_code == 200
    assert (homes / "uma" / "big").read_bytes() == CONTENT
    assert uma.get(f"/files/uploads/{number}").status_code == 404
    opened = [one for one in server.records if one.get("op") == "open" or "written" in one]
    assert len({str(one.get("path")) for one in opened}) <= 1, "the server saw one file"


def test_an_upload_that_is_given_up_is_not_there_under_its_name(
    uma: Browser, world: World, homes: Path
) -> None:
    world.resources.store.change("uma", uploads="atomic", partial_uploads="remove")
    number = begin(uma, "/", "big", 10)
    append(uma, number, 0, b"12345")
    assert uma.post(f"/files/uploads/{number}/cancel").status_code == 200
    assert "big" not in os.listdir(homes / "uma")
    assert uma.post(f"/files/uploads/{number}/cancel").status_code == 404


def test_a_piece_of_an_upload_needs_the_key_of_the_session(uma: Browser, homes: Path) -> None:
    number = begin(uma, "/", "big", 10)
    for csrf in ("", "x" * 64):
        refused = append(uma, number, 0, b"12345", csrf)
        assert (refused.status_code, "another session" in refused.text) == (403, True)
    headers = {"X-CSRF": uma.csrf(), "Origin": "https://evil.test"}
    path = f"/files/uploads/{number}?offset=0"
    assert uma.client.post(path, content=b"12345", headers=headers).status_code == 403
    data, sent = {"csrf": "x"}, [("file", ("a", b"a"))]
    assert uma.client.post("/files/upload?path=/", data=data, files=sent).status_code == 403
    assert uma.client.post("/files/upload?path=/", data={}, files=sent).status_code == 403
    assert (homes / "uma" / "big").read_bytes() == b""
    assert os.listdir(homes / "uma") == ["big"]


def test_downloads_are_whole_or_in_parts(uma: Browser, homes: Path) -> None:
    (homes / "uma" / 'a ü".bin').write_bytes(CONTENT)
    path = "/files/download?path=/a%20%C3%BC%22.bin"
    whole = uma.get(path)
    assert whole.content == CONTENT
    said = whole.headers["content-disposition"]
    assert said == "attachment; filename=\"a __.bin\"; filename*=UTF-8''a%20%C3%BC%22.bin"
    assert whole.headers["content-type"] == "application/octet-stream"
    assert "sandbox" in whole.headers["content-security-policy"]
    part = uma.get(path, headers={"Range": "bytes=1000-1999", "If-Range": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, CONTENT[1000:2000])
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(CONTENT)}"
    changed = uma.get(path, headers={"Range": "bytes=1000-1999", "If-Range": '"x"'})
    assert (changed.status_code, len(changed.content)) == (200, len(CONTENT))
    assert uma.get(path, headers={"Range": f"bytes={len(CONTENT)}-"}).status_code == 416
    head = uma.client.head(path)
    assert (head.headers["content-length"], head.content) == (str(len(CONTENT)), b"")


def test_a_folder_comes_as_zip_with_names_that_lead_nowhere_else(
    uma: Browser, homes: Path, tmp_path: Path
) -> None:
    top = homes / "uma" / "top"
    (top / "sub").mkdir(parents=True)
    (top / "sub" / "a.bin").write_bytes(CONTENT)
    (top / "..\\..\\evil").write_text("x")
    (top / "C:evil").write_text("y")
    (top / os.fsdecode(b"\xff\n")).write_text("z")
    outside = tmp_path / "outside"
    outside.write_text("secret")
    (top / "link").symlink_to(outside)
    (top / "around").symlink_to(top)
    answer = uma.get("/files/zip?path=/top")
    assert answer.headers["content-disposition"].startswith('attachment; filename="top.zip"')
    with zipfile.ZipFile(io.BytesIO(answer.content)) as made:
        assert made.testzip() is None
        assert made.read("sub/a.bin") == CONTENT
        names = sorted(made.namelist())
    assert names == [".._.._evil", "C_evil", "__", "sub/", "sub/a.bin"]
    assert b"secret" not in answer.content


@pytest.mark.parametrize(
    "path",
    [
        *("/../otto/secret.txt", "/..%2Fotto%2Fsecret.txt", "/%2e%2e/otto/secret.txt", "otto"),
        *("/a%00b", "/sub/../../otto/secret.txt", "../otto/secret.txt", "/" + "a" * 5000),
        *("//../otto/secret.txt", "/./../otto/secret.txt"),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(uma: Browser, homes: Path, path: str) -> None:
    (homes / "otto" / "secret.txt").write_text("secret")
    (homes / "uma" / "sub").mkdir()
    for page in ("", "/view", "/download", "/image", "/zip"):
        answer = uma.get(f"/files{page}?path={path}")
        assert answer.status_code == 400, page
        assert "secret</pre>" not in answer.text
    for page in ("folder", "rename", "remove", "uploads"):
        answer = uma.post(f"/files/{page}?path={path}", name="x", size="1")
        assert answer.status_code == 400, page
    assert upload(uma, path, ("a", b"a")).status_code == 400
    assert (homes / "otto" / "secret.txt").read_text() == "secret"


def test_a_link_that_leads_out_of_the_root_leads_nowhere(uma: Browser, homes: Path) -> None:
    (homes / "otto" / "secret.txt").write_text("secret")
    (homes / "uma" / "out").symlink_to(homes / "otto")
    (homes / "uma" / "file").symlink_to(homes / "otto" / "secret.txt")
    for path in ("/files?path=/out", "/files/zip?path=/out", "/files/download?path=/file"):
        answer = uma.get(path)
        assert answer.status_code >= 400, path
        assert "secret" not in answer.text.replace("secret.txt", "")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/etc/x", "a\\b", "a\0b", "ä" * 200])
def test_a_new_name_is_one_name(uma: Browser, homes: Path, name: str) -> None:
    (homes / "uma" / "a").write_text("a")
    for page in ("folder?path=/", "rename?path=/a", "uploads?path=/"):
        answer = uma.post(f"/files/{page}", name=name, size="1")
        assert (answer.status_code, "a name has 1 to 255" in answer.text) == (422, True), page
    if name and "\0" not in name:
        assert upload(uma, "/", (name, b"x")).status_code == 422
    assert os.listdir(homes / "uma") == ["a"]


def test_names_and_texts_of_files_are_no_markup(uma: Browser, homes: Path) -> None:
    home = homes / "uma"
    (home / EVIL).write_text("<script>alert(2)</script>")
    (home / os.fsdecode(b"bad\xff")).write_text("bytes")
    (home / f"{EVIL}.d").mkdir()
    path = f"/files/view?path=/{EVIL.replace('<', '%3C')}"
    for page in ("/files", path, f"/files?path=/{EVIL}.d"):
        text = uma.get(page).text
        assert "&lt;script&gt;" in text, page
        assert "<script>alert" not in text, page
        assert "<img src=x" not in text, page
    link = re.search(r'href="(/files/view\?path=/bad[^"]+)"', uma.get("/files").text)
    assert link is not None
    assert "bytes" in uma.get(link[1]).text, "a name that is no UTF-8 leads to its file"
    gone = uma.get("/files?path=/<script>alert(3)</script>")
    assert "<script>alert" not in gone.text


def test_what_users_store_is_shown_as_image_or_text_alone(uma: Browser, homes: Path) -> None:
    home = homes / "uma"
    (home / "a.html").write_bytes(b"\x89PNG\r\n\x1a\n<script>alert(1)</script>")
    (home / "b.png").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    shown = uma.get("/files/image?path=/a.html")
    assert shown.headers["content-type"] == "image/png"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in shown.headers["content-security-policy"]
    assert uma.get("/files/image?path=/b.png").status_code == 415
    assert "&lt;svg" in uma.get("/files/view?path=/b.png").text
    assert (
        '<img class="preview" src="/files/image?path=/a.html"'
        in uma.get("/files/view?path=/a.html").text
    )
    (home / "binary").write_bytes(b"\0\1")
    assert "neither text nor an image" in uma.get("/files/view?path=/binary").text


def test_another_session_has_nothing_of_an_upload(uma: Browser) -> None:
    number = begin(uma, "/", "mine", 4)
    own = dict(uma.client.cookies)
    uma.client.cookies.clear()
    uma.sign_in("otto")
    assert uma.get(f"/files/uploads/{number}").status_code == 404
    assert append(uma, number, 0, b"evil").status_code == 404
    for what in ("finish", "cancel"):
        assert uma.post(f"/files/uploads/{number}/{what}").status_code == 404
    uma.client.cookies.clear()
    uma.client.cookies.update(own)
    assert append(uma, number, 0, b"mine").status_code == 200


def test_the_quota_of_the_user_holds(
    uma: Browser, world: World, homes: Path, server: FileServer
) -> None:
    """10 GB against a quota of 1 MB: what comes beyond is refused while it comes."""
    removed = {"uploads": "atomic", "partial_uploads": "remove"}
    world.resources.store.change("uma", quota_bytes=1_000_000, **removed)
    number = begin(uma, "/", "big", 10_000_000_000)
    assert append(uma, number, 0, bytes(500_000)).status_code == 200
    refused = append(uma, number, 500_000, bytes(1_000_000))
    assert refused.status_code == 422
    assert "quota" in detail(refused).lower()
    assert refused.headers["connection"] == "close"
    assert uma.get(f"/files/uploads/{number}").status_code == 404
    assert "big" not in os.listdir(homes / "uma")
    again = upload(uma, "/", ("big", bytes(2_000_000)))
    assert (again.status_code, "quota" in detail(again).lower()) == (422, True)
    assert "big" not in os.listdir(homes / "uma")


def test_who_is_disabled_loses_the_files_with_the_session(
    uma: Browser, world: World, monkeypatch: pytest.MonkeyPatch, server: FileServer
) -> None:
    monkeypatch.setattr("nacre.console.web.file_connections._AGAIN", 0.0)
    assert uma.get("/files").status_code == 200
    world.resources.store.change("uma", disabled=True)
    assert uma.get("/files").headers["location"] == "/sign-in"
    world.resources.store.change("uma", disabled=False)
    assert uma.get("/files").headers["location"] == "/sign-in", "the session has ended"


def test_a_body_that_does_not_come_is_given_up(
    uma: Browser, homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "SLOWEST", 1 << 60)
    monkeypatch.setattr(bodies, "PATIENCE", -1.0)
    number = begin(uma, "/", "slow", 10)
    answer = append(uma, number, 0, b"12345")
    assert (answer.status_code, "too slowly" in answer.text) == (408, True)
    assert answer.headers["connection"] == "close"


def test_a_server_with_another_key_gets_no_password(
    world: World, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.resources.ssh = type(server.ssh)(server.ssh.addresses, ("ssh-ed25519 AAAA",))
    with at_home(world, "uma") as browser:
        answer = browser.get("/files")
    assert (answer.status_code, "another host key" in detail(answer)) == (503, True)
    assert not [one for one in server.records if one["event"] == "vouched"]


def test_each_field_of_the_page_has_a_label(uma: Browser, homes: Path) -> None:
    for name in ("a", "b"):
        (homes / "uma" / name).write_text("x")
    text = uma.get("/files").text
    for field in re.findall(r"<input\b[^>]*>", text):
        if 'type="hidden"' not in field and 'type="checkbox"' not in field:
            named = re.search(r'\bid="([^"]+)"', field)
            assert named is not None, field
            assert f'for="{named[1]}"' in text, field
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
