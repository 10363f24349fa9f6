"""The console in Chromium: what each role sees and does, and what the browser says of the pages."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Dialog, Locator

from interop.console.browsing import VisitedPage, Visitors, axe
from interop.console.served import PASSWORD, ServedConsole
from interop.programs import check, require

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

FIRST_PAGE = 200_000
"""Bytes that the first page behind the sign-in may have, with all that it loads."""


def test_a_wrong_password_is_told_from_the_right_one(visitors: Visitors) -> None:
    with visitors.page() as somebody:
        somebody.sign_in("ada", "wrong words")
        assert somebody.page.get_by_role("alert").inner_text() != ""
        assert somebody.page.input_value("[name=name]") == "ada"
        assert somebody.page.input_value("[name=password]") == ""
        somebody.expect(401)
    with visitors.page("ada") as ada:
        ada.open("/")
        assert ada.page.url.endswith("/now")
        assert "ada, admin" in ada.page.inner_text("header")


def test_an_admin_makes_a_second_factor_which_is_asked_for_then(visitors: Visitors) -> None:
    with visitors.page("ada") as ada:
        ada.open("/users")
        ada.fill(password=PASSWORD)
        ada.page.fill("#new-name", "fay")
        ada.page.uncheck("[name=must_change]")
        ada.press("Add")
        ada.page.click("summary:has-text('Settings')")
        ada.page.select_option("[name='setting.role']", "user")
        ada.press("Save")
        ada.page.click("summary:has-text('Second factor')")
        ada.press("Make a second factor")
        assert ada.page.get_by_role("img").is_visible(), "the QR code"
        secret = ada.page.inner_text("dd code >> nth=0")
    with visitors.page() as fay:
        fay.sign_in("fay")
        assert fay.page.get_by_role("alert").is_visible()
        fay.expect(401)
        fay.sign_in("fay", code=pyotp.TOTP(secret).now())
        assert fay.page.url.endswith("/you")
        assert "Codes of an authenticator app: yes" in fay.text()


def _typed(client: subprocess.Popen[bytes], line: str) -> None:
    assert client.stdin is not None
    client.stdin.write(line.encode() + b"\n")
    client.stdin.flush()


def test_a_session_of_ssh_is_watched_while_it_runs_and_ended_by_a_click(
    served: ServedConsole, visitors: Visitors
) -> None:
    with visitors.page("ada") as ada, served.terminal() as client:
        ada.open("/now")
        ada.page.get_by_role("link", name=re.compile("Watch the session .* of alice")).click()
        ada.page.get_by_text("ada through").wait_for()
        # What appears is the sum, so it is output of the shell and not the echo of the line.
        _typed(client, "echo typed-$((20 + 3))")
        ada.page.get_by_text("typed-23").wait_for()
        ada.open("/now")
        ada.press("End the connection")
        assert "is being ended" in ada.page.get_by_role("status").first.inner_text()
        client.wait(timeout=30)
        ada.page.get_by_text("Nobody is connected.").wait_for()


def test_an_admin_joins_a_session_of_ssh_and_types(
    served: ServedConsole, visitors: Visitors
) -> None:
    with visitors.page("ada") as ada, served.terminal() as client:
        ada.open("/now")
        ada.page.get_by_role("link", name=re.compile("Watch the session .* of alice")).click()
        ada.page.get_by_role("link", name="Join and type").click()
        ada.page.get_by_text("has joined this session").wait_for()
        ada.page.keyboard.type("echo joined-$((20 + 4)); printf '\\033]0;<b>title</b>\\007'\n")
        ada.page.locator(".xterm-rows").get_by_text("joined-24").wait_for()
        ada.page.locator("#title", has_text="<b>title</b>").wait_for()
        _check(ada, axe())
        ada.page.keyboard.press("Shift+Escape")
        assert ada.page.evaluate("document.activeElement.id") == "leave"
        ada.page.locator("textarea").focus()
        ada.page.keyboard.type("exit 5\n")
        assert client.wait(timeout=30) == 5
        ada.page.get_by_text("The session has ended with the exit status 5.").wait_for()


def _at_prompt(visited: VisitedPage) -> Locator:
    """Return the lines of a terminal when its shell has asked for a command."""
    rows = visited.page.locator(".xterm-rows")
    rows.get_by_text(re.compile(r"[$#]")).first.wait_for()
    return rows


def test_a_user_has_a_shell_which_outlives_the_connection_of_its_page(visitors: Visitors) -> None:
    with visitors.page("uma") as uma:
        uma.open("/terminal")
        rows = _at_prompt(uma)
        uma.page.keyboard.type("kept=25; echo shell-$((20 + 5))\n")
        rows.get_by_text("shell-25").wait_for()
        _check(uma, axe())
        uma.page.evaluate("socket.close()")
        uma.page.get_by_text("The connection is lost: trying again.").wait_for()
        uma.page.locator("#state:empty").wait_for(state="attached")
        uma.page.keyboard.type("echo again-$kept\n")
        rows.get_by_text("again-25").wait_for()
        uma.page.keyboard.type("exit 6\n")
        uma.page.get_by_text("The shell has ended with the exit status 6.").wait_for()


def test_a_program_writes_to_the_clipboard_once_that_is_switched_on(visitors: Visitors) -> None:
    with visitors.page("uma") as uma:
        uma.page.add_init_script(
            "window.copied = [];"
            "navigator.clipboard.writeText = (text) => {"
            " window.copied.push(text); return Promise.resolve(); };"
        )
        uma.open("/terminal")
        copy = "printf '\\033]52;c;%s\\007' $(printf {0} | base64); echo {0}-$((20 + 6))\n"
        rows = _at_prompt(uma)
        uma.page.keyboard.type(copy.format("one"))
        rows.get_by_text("one-26").wait_for()
        uma.page.check("#clipboard")
        uma.page.locator("textarea").focus()
        uma.page.keyboard.type(copy.format("two"))
        rows.get_by_text("two-26").wait_for()
        assert uma.page.evaluate("window.copied") == ["two"]
        uma.page.keyboard.type("exit\n")
        uma.page.get_by_text("The shell has ended").wait_for()


def test_an_auditor_sees_the_connections_and_ends_none(
    served: ServedConsole, visitors: Visitors
) -> None:
    with served.terminal("cat"), visitors.page("otto") as otto:
        otto.open("/now")
        otto.page.get_by_role("link", name=re.compile("Watch .* of alice")).wait_for()
        assert otto.page.get_by_role("button", name="End the connection").count() == 0
        for path in ("/users", "/users/alice", "/groups/staff", "/bans"):
            otto.open(path)
            forms = otto.page.locator("main form[method=post]")
            assert forms.count() == 0, path


def test_an_admin_changes_users_groups_and_bans_by_forms(visitors: Visitors) -> None:
    with visitors.page("ada") as ada:
        ada.open("/groups")
        ada.fill(name="guests")
        ada.press("Add")
        ada.page.click("summary:has-text('Settings')")
        ada.page.fill("[name='setting.max_sessions']", "2")
        ada.press("Save")
        assert "max sessions\n2" in ada.text()
        ada.open("/users")
        ada.page.fill("#new-name", "greta")
        ada.page.fill("#new-groups", "guests")
        ada.press("Add")
        assert "greta was added." in ada.text()
        ada.open("/groups/guests")
        ada.page.get_by_role("link", name="greta").click()
        ada.page.click("summary:has-text('or remove')")
        ada.press("Disable the user")
        assert "greta is disabled" in ada.text()
        ada.page.click("summary:has-text('or remove')")
        ada.page.fill("#remove", "greta")
        ada.press("Remove")
        assert "greta was removed." in ada.text()
        ada.open("/bans")
        ada.fill(network="192.0.2.0/24", count="2", reason="noise")
        ada.page.select_option("[name=unit]", "hours")
        ada.press("Add")
        assert "noise" in ada.page.inner_text("tbody")
        ada.press("Remove 192.0.2.0/24")
        assert "There are none." in ada.page.inner_text("tbody")


def test_what_is_removed_is_asked_about_first(visitors: Visitors) -> None:
    with visitors.page("ada") as ada:
        ada.open("/groups")
        ada.fill(name="passing")
        ada.press("Add")
        asked: list[str] = []

        def decline(dialog: Dialog) -> None:
            asked.append(dialog.message)
            dialog.dismiss()

        ada.page.once("dialog", decline)
        ada.page.click("summary:has-text('Remove')")
        ada.page.get_by_role("button", name="Remove the group").click()
        assert asked == ["Remove this group?"]
        ada.page.once("dialog", lambda dialog: dialog.accept())
        ada.press("Remove the group")
        assert "The group passing was removed." in ada.text()


def test_the_audit_is_searched_and_exported(
    served: ServedConsole, visitors: Visitors, tmp_path: Path
) -> None:
    with served.terminal("true") as client:
        client.wait(timeout=30)
    with visitors.page("otto") as otto:
        otto.open("/audit")
        otto.fill(user="alice")
        otto.page.select_option("[name=event]", "login")
        otto.press("Search")
        rows = otto.page.locator("tbody tr")
        assert rows.count() >= 1
        assert "publickey" in rows.first.inner_text()
        for kind in ("CSV", "JSON, one a line"):
            with otto.page.expect_download() as waiting:
                otto.page.get_by_role("link", name=kind).click()
            waiting.value.save_as(tmp_path / kind)
        assert "publickey" in (tmp_path / "CSV").read_text()
        (first, *_) = (tmp_path / "JSON, one a line").read_text().splitlines()
        assert (json.loads(first)["user"], json.loads(first)["event"]) == ("alice", "login")


def test_a_recording_is_played_also_from_a_moment_on(
    served: ServedConsole, visitors: Visitors
) -> None:
    with served.terminal("echo first-$((40 + 2)); sleep 1; echo second-$((40 + 3))") as client:
        assert b"second-43" in client.communicate(timeout=30)[0]
    with visitors.page("otto") as otto:
        otto.open("/recordings?user=alice")
        otto.page.get_by_role("link", name="Play the recording").first.click()
        otto.page.get_by_role("link", name="8", exact=True).click()
        otto.page.wait_for_url("**?speed=8")
        otto.page.locator(".ap-overlay-start").click()
        otto.page.get_by_text("second-43").wait_for()
        otto.page.goto(f"{otto.page.url}#t=0.9")
        otto.page.reload()
        otto.page.get_by_text("first-42").wait_for()
        assert otto.page.get_by_text("second-43").count() == 0


def test_a_recording_is_searched_beside_what_was_done_with_files(
    served: ServedConsole, visitors: Visitors
) -> None:
    with tempfile.TemporaryDirectory() as short:
        command = "echo begun; read word; echo needle-$((40 + 4))"
        with served.terminal(command, master=f"{short}/m") as client:
            assert client.stdout is not None
            assert client.stdout.readline() == b"begun\r\n"
            sftp = [require("sftp"), "-F", "none", "-b", "-", "-o", f"ControlPath={short}/m"]
            check([*sftp, "alice@127.0.0.1"], input=b"mkdir made-by-sftp\n")
            _typed(client, "go")
            assert b"needle-44" in client.communicate(timeout=30)[0]
    with visitors.page("otto") as otto:
        otto.open("/recordings?user=alice")
        otto.page.get_by_role("link", name="Play the recording").first.click()
        otto.page.locator(".moments").get_by_text("made-by-sftp").wait_for()
        otto.fill(text="needle")
        otto.press("Search")
        found = otto.page.get_by_role("listitem").filter(has_text="needle-44")
        found.get_by_role("link").click()
        otto.page.wait_for_url("**#t=*")
        otto.page.locator(".ap-term-text").get_by_text("needle-44").wait_for()
        _check(otto, axe())


PAGES = {
    "user": ["/files", "/terminal", "/you"],
    "auditor": ["/now", "/users", "/users/alice", "/groups", "/groups/staff", "/bans", "/audit"],
}
PAGES["auditor"] += ["/audit/day?user=alice", "/recordings", *PAGES["user"]]
PAGES["admin"] = PAGES["auditor"]
"""The pages of each role, with what those who may change something have on it."""


def _check(visited: VisitedPage, examiner: str = "") -> None:
    """Check the layout of a page, and with axe-core's source what it says of it, too."""
    path = visited.page.url
    visited.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert visited.overflow() <= 0, f"{path} is wider than a phone"
    if examiner:
        assert visited.barriers(examiner) == [], path


def test_pages_of_strangers_fit_a_phone_and_have_no_barriers(visitors: Visitors) -> None:
    with visitors.page() as somebody:
        somebody.open("/sign-in")
        _check(somebody, axe())
        somebody.open("/nowhere", 404)
        _check(somebody, axe())
        somebody.expect(404)


@pytest.mark.parametrize(("name", "role"), [("uma", "user"), ("otto", "auditor"), ("ada", "admin")])
def test_each_page_of_a_role_fits_a_phone_and_has_no_barriers(
    served: ServedConsole, visitors: Visitors, name: str, role: str
) -> None:
    # An auditor's pages are those of an admin without the forms.
    examiner = "" if role == "auditor" else axe()
    with served.terminal("cat"), visitors.page(name) as visited:
        menu = set()
        for path in PAGES[role]:
            visited.open(path)
            menu |= set(
                visited.page.locator("nav a").evaluate_all("all => all.map(a => a.pathname)")
            )
            _check(visited, examiner)
        assert menu <= set(PAGES[role]), "each page of the menu is looked at"
        if role != "user":
            visited.open("/now")
            # A shell of the page Terminal is there for a while, too.
            of_alice = re.compile("Watch the session .* of alice")
            visited.page.get_by_role("link", name=of_alice).click()
            visited.page.get_by_text(f"{name} through").wait_for()
            _check(visited, examiner)


def test_the_first_page_is_small(visitors: Visitors) -> None:
    with visitors.page("ada") as ada:
        sizes: dict[str, int] = {}
        ada.page.on(
            "requestfinished",
            lambda one: sizes.update({one.url: one.sizes()["responseBodySize"]}),
        )
        ada.open("/now")
        ada.page.get_by_role("heading", name="Now").wait_for()
        loaded = [url for url in sizes if "/static/" in url]
        assert len(loaded) >= 2, "the style and the script"
        assert sum(sizes.values()) < FIRST_PAGE
