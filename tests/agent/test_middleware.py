"""The library is made of C here; a real one is used in tests/interop."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.soft_key import SoftKey
from nacre.agent import middleware
from nacre.agent.middleware import enroll, resident, sign
from nacre.errors import UnusableKey
from nacre.keys.families.security_key import ECDSA, ED25519, AlreadyKept, PinRequired, SecurityFlags
from nacre.wire.codec import string, text, u8, u32

KEY = SoftKey().private

HEAD = """
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <unistd.h>
struct answer {
    uint8_t flags; uint32_t counter; uint8_t *r; size_t r_len; uint8_t *s; size_t s_len;
};
uint32_t sk_api_version(void) { return VERSION; }
int sk_sign(uint32_t kind, const uint8_t *data, size_t size, const char *application,
            const uint8_t *handle, size_t handle_size, uint8_t flags, const char *pin,
            void **options, struct answer **made) {
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Return the path of a library whose ``sk_sign`` has this body."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    directory = tmp_path_factory.mktemp("libraries")

    def make(body: str, version: str = "0x000a0001") -> str:
        number = len(list(directory.iterdir()))
        source, library = directory / f"{number}.c", directory / f"{number}.so"
        source.write_text(HEAD.replace("VERSION", version) + body + "\n}\n")
        command = [compiler, "-shared", "-fPIC", "-w", "-o", str(library), str(source)]
        subprocess.run(command, check=True, timeout=60)
        return str(library)

    return make


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ("return -1;", UnusableKey, "it could not sign .error -1."),
        ("return pin ? -4 : -3;", PinRequired, "PIN is missing"),
        ("return -77;", UnusableKey, "it could not sign .error -77."),
        ("return 0;", UnusableKey, "did not sign: its answer can't"),
        ("abort();", UnusableKey, "did not sign: its answer can't"),
        ('printf("much"); fflush(stdout); return -4;', UnusableKey, "is not there"),
        (
            "*made = calloc(1, sizeof(**made)); (*made)->r = calloc(1, 64); (*made)->r_len = 64; "
            "return 0;",
            UnusableKey,
            "does not verify",
        ),
        (
            "*made = calloc(1, sizeof(**made)); (*made)->r = calloc(1, 64); (*made)->r_len = -1; "
            "return 0;",
            UnusableKey,
            "does not verify",
        ),
    ],
)
@pytest.mark.slow
async def test_libraries_that_do_not_sign(
    build: Callable[..., str], body: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        await sign(build(body), KEY, b"data", None)


async def test_the_pin_is_passed(build: Callable[..., str]) -> None:
    library = build('return pin && !strcmp(pin, "12") ? -4 : -3;')
    with pytest.raises(UnusableKey, match="is not there"):
        await sign(library, KEY, b"data", "12")
    with pytest.raises(PinRequired):
        await sign(library, KEY, b"data", "")


async def test_another_version(build: Callable[..., str]) -> None:
    with pytest.raises(UnusableKey, match="another version of the interface than 10"):
        await sign(build("return 0;", version="0x00090000"), KEY, b"data", None)


async def test_what_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no library")
    for name in ("missing", "text"):
        with pytest.raises(UnusableKey, match="can't be loaded"):
            await sign(str(tmp_path / name), KEY, b"data", None)


async def test_a_library_that_hangs_is_ended(
    build: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "SECONDS", 0.5)
    library = build("sleep(1000); return 0;")
    with pytest.raises(UnusableKey, match=r"did not sign within 0\.5 seconds"):
        await sign(library, KEY, b"data", None)
    monkeypatch.undo()
    task = asyncio.create_task(sign(library, KEY, b"data", None))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


CALLED = u8(0) + u32(0)
POINT = KEY.public.inner.blob[-32:]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], list[bytes]]:
    """Set what the process answers; the list gets the requests."""

    def set_answer(data: bytes) -> list[bytes]:
        requests: list[bytes] = []

        async def run(request: bytes) -> bytes:
            requests.append(request)
            return data

        monkeypatch.setattr(middleware, "_run", run)
        return requests

    return set_answer


NEEDS = SecurityFlags.TOUCH | SecurityFlags.RESIDENT


async def test_a_new_key(answer: Callable[[bytes], list[bytes]]) -> None:
    parts = (POINT, b"handle", b"certificate", b"signature", b"data")
    requests = answer(CALLED + b"".join(map(string, parts)))
    made = await enroll(
        "/l.so",
        ED25519,
        application="ssh:é",
        user="me",
        flags=NEEDS | SecurityFlags.FORCE,
        challenge=b"challenge",
        pin="12",
        device="/d",
    )
    assert requests == [
        text("/l.so")
        + u8(2)
        + u32(1)
        + string(b"challenge")
        + text("ssh:é")
        + u8(0x31)
        + string(b"\x0112")
        + b"".join(map(text, ("device", "/d", "user", "me")))
    ]
    assert (made.key.flags, made.key.handle) == (NEEDS, b"handle")
    assert made.key.public.application == "ssh:é".encode()
    assert made.attestation == (
        text("ssh-sk-attest-v01") + b"".join(map(string, parts[2:])) + u32(0) + string(b"")
    )


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (u8(0) + (-5).to_bytes(4, "big", signed=True), AlreadyKept, "keeps a key for this"),
        (u8(0) + (-2).to_bytes(4, "big", signed=True), UnusableKey, "lacks what the key needs"),
        (CALLED + 5 * string(b"short"), UnusableKey, "its answer can't be used"),
        (CALLED + string(POINT), UnusableKey, "its answer can't be used"),
        (b"", UnusableKey, "its answer can't be used"),
    ],
    ids=["kept", "unsupported", "no point", "short", "nothing"],
)
async def test_no_new_key(
    answer: Callable[[bytes], list[bytes]], data: bytes, error: type[Exception], says: str
) -> None:
    answer(data)
    with pytest.raises(error, match=says):
        await enroll("/l.so", ED25519, application="ssh:", flags=NEEDS, challenge=b"c")


async def test_kept_keys(answer: Callable[[bytes], list[bytes]]) -> None:
    point = SoftKey(ECDSA).public.inner.blob[-65:]
    rest = string(b"handle") + string(b"me\0\0")
    answer(
        CALLED
        + b"".join((u32(0), text("ssh:a"), u8(5), string(point), rest))
        + b"".join((u32(7), text("ssh:b"), u8(5), string(b"?"), rest))  # of a type to come
        + b"".join((u32(1), text("ssh:c"), u8(1), string(POINT), rest))
    )
    found = await resident("/l.so")
    assert [(key.public.type, key.public.application, user) for key, user in found] == [
        (ECDSA, b"ssh:a", "me"),
        (ED25519, b"ssh:c", "me"),
    ]
    assert found[0][0].flags == NEEDS | SecurityFlags.VERIFY
