"""Files in ``nacre console`` beside ``nacre serve``: files, rights and events as by sftp."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from interop.api_client import address_of
from interop.daemons import RUN_AS, State, start_nacre
from interop.programs import manage
from interop.test_console import PASSWORD, Person, console, key_file

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

PIECE = 4 << 20
CONTENT = os.urandom(64 << 10) * 160


@pytest.fixture
def state(tmp_path: Path, keys: dict[str, Path]) -> State:
    """Return a state with an admin who has files, which has a key for sftp."""
    state = State(tmp_path / "state")
    (tmp_path / "files").mkdir()
    words = ["user", "add", "ada", "--password-stdin", "--role", "admin", "--service", "sftp"]
    words += ["--root", str(tmp_path / "files"), "--quota-bytes", "20M"]
    words += ["--rights", "/:*", "--rights", "/kept:list,download"]
    words += ["--run-as", RUN_AS[1]] if RUN_AS else []
    manage(*words, "--state", state.path, typed=f"{PASSWORD}\n")
    return state


def send(ada: Person, name: str, content: bytes) -> None:
    """Upload a file in pieces, as the page does."""
    csrf = ada.field("/you", "csrf")
    fields = {"csrf": csrf, "name": name, "size": str(len(content))}
    begun = ada.http.post("/files/uploads?path=/", data=fields)
    assert begun.status_code == 201, begun.text
    path = f"/files/uploads/{begun.json()['id']}"
    for at in range(0, len(content), PIECE):
        piece, headers = content[at : at + PIECE], {"X-CSRF": csrf}
        sent = ada.http.post(f"{path}?offset={at}", content=piece, headers=headers)
        assert sent.status_code == 200, sent.text
    assert ada.http.post(f"{path}/finish", data={"csrf": csrf}).status_code == 200


@pytest.mark.parametrize(
    "processes",
    [[], ["--gates", "0"], ["--workers", "2"]],
    ids=["gates", "no-gates", "workers"],
)
def test_files_of_the_console_are_those_of_sftp(
    state: State, tmp_path: Path, processes: list[str]
) -> None:
    home = tmp_path / "files"
    (home / "kept").mkdir()
    (home / "kept" / "letter.txt").write_text("dear")
    with (
        start_nacre(state, "--api", "127.0.0.1:0", "--audit", *processes) as server,
        console(
            *("--api", f"http://{address_of(server)}", "--key-file", key_file(state, tmp_path))
        ) as ada,
    ):
        assert ada.sign_in("ada", PASSWORD).status_code == 303
        assert "kept/" in ada.http.get("/files").text
        server.wait_for(r"event=vouched .*name=ada address=127\.0\.0\.1")
        send(ada, "big.bin", CONTENT)
        stored = (home / "big.bin").read_bytes()
        assert hashlib.sha256(stored).digest() == hashlib.sha256(CONTENT).digest()
        assert ada.http.get("/files/download?path=/big.bin").content == CONTENT
        refused = ada.post("/files/rename?path=/kept/letter.txt", name="other")
        assert refused.status_code == 403, "the right to rename is missing"
        with zipfile.ZipFile(io.BytesIO(ada.http.get("/files/zip?path=/kept").content)) as made:
            assert made.read("letter.txt") == b"dear"
        csrf = ada.field("/you", "csrf")
        files = [("file", ("huge.bin", bytes(30_000_000)))]
        sent = ada.http.post("/files/upload?path=/", data={"csrf": csrf}, files=files)
        assert (sent.status_code, "quota" in sent.text) == (422, True)
        kept = (home / "huge.bin").stat().st_size + len(CONTENT)
        assert kept < 20 << 20, "what had come stays, as by sftp"
        words = ["audit", "--json", "--user", "ada", "--event", "file", "--state", state.path]
        events = [json.loads(line) for line in manage(*words).splitlines()]
        uploads = [one for one in events if one["fields"].get("path") == "/big.bin"]
        written = [one["fields"]["written"] for one in uploads if one["fields"].get("written")]
        assert written == [len(CONTENT)], "one event for one upload"
        words = ["who", "--json", "--state", state.path]
        assert b'"keyboard-interactive"' in manage(*words)
