"""The process of a library, with a library of C; a real one is used in tests/interop."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nacre.agent.library import Outcome, Task
from nacre.wire.codec import WireReader, string, text, u8, u32

SOURCE = r"""
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct option { char *name; char *value; uint8_t required; };
struct signature {
    uint8_t flags; uint32_t counter; uint8_t *r; size_t r_len; uint8_t *s; size_t s_len;
};
struct enrollment {
    uint8_t flags; uint8_t *key; size_t key_len; uint8_t *handle; size_t handle_len;
    uint8_t *sig; size_t sig_len; uint8_t *cert; size_t cert_len; uint8_t *data; size_t data_len;
};
struct resident {
    uint32_t kind; size_t slot; char *application; struct enrollment key; uint8_t flags;
    uint8_t *user; size_t user_len;
};
uint32_t sk_api_version(void) { printf("noise"); fflush(stdout); return 0x000a0005; }
int sk_sign(uint32_t kind, const uint8_t *data, size_t size, const char *application,
            const uint8_t *handle, size_t handle_len, uint8_t flags, const char *pin,
            struct option **options, struct signature **made) {
    if (!pin) return -3;
    *made = calloc(1, sizeof(**made));
    (*made)->flags = flags; (*made)->counter = kind;
    (*made)->r = (uint8_t *)strdup(pin); (*made)->r_len = strlen(pin);
    (*made)->s = memcpy(malloc(handle_len), handle, handle_len); (*made)->s_len = handle_len;
    return options[0] ? -1 : 0;
}
int sk_enroll(uint32_t kind, const uint8_t *challenge, size_t size, const char *application,
              uint8_t flags, const char *pin, struct option **options,
              struct enrollment **made) {
    static char told[200];
    *made = calloc(1, sizeof(**made));
    for (; *options; options++) {
        if ((*options)->required) return -2;
        sprintf(told + strlen(told), "%s=%s;", (*options)->name, (*options)->value);
    }
    (*made)->key = (uint8_t *)strdup(application); (*made)->key_len = strlen(application);
    (*made)->handle = (uint8_t *)told; (*made)->handle_len = strlen(told);
    (*made)->data = memcpy(malloc(size), challenge, size); (*made)->data_len = size;
    (*made)->cert = (uint8_t *)challenge; (*made)->cert_len = (size_t)-1;
    return 0;
}
int sk_load_resident_keys(const char *pin, struct option **options, struct resident ***made,
                          size_t *count) {
    *made = calloc(2, sizeof(**made));
    for (*count = 0; *count < 2; ++*count) {
        struct resident *one = (*made)[*count] = calloc(1, sizeof(*one));
        one->kind = *count; one->application = *count ? "ssh:b" : "ssh:a"; one->flags = 0x25;
        one->key.key = (uint8_t *)"point"; one->key.key_len = 5;
        one->user = (uint8_t *)"me"; one->user_len = 2;
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    path = tmp_path_factory.mktemp("library") / "sk.so"
    command = [compiler, "-shared", "-fPIC", "-w", "-x", "c", "-o", str(path), "-"]
    subprocess.run(command, input=SOURCE.encode(), check=True, timeout=60)
    return path


def ask(library: Path, task: int, fields: bytes) -> WireReader:
    """Return the answer of the process."""
    program = [sys.executable, "-I", "-m", "nacre.agent.library"]
    request = text(str(library)) + u8(task) + fields
    done = subprocess.run(program, input=request, stdout=subprocess.PIPE, check=True, timeout=60)
    return WireReader(done.stdout)


def sign(pin: bytes) -> bytes:
    return u32(1) + string(b"data") + text("ssh:") + string(b"h\0e") + u8(5) + string(pin)


PLAIN = string(b"")


def test_a_signature(library: Path) -> None:
    answer = ask(library, Task.SIGN, sign(b"\x01secret"))
    assert (answer.u8(), answer.fixed(4)) == (Outcome.CALLED, bytes(4))
    assert (answer.u8(), answer.u32()) == (5, 1)
    assert (answer.string(), answer.string(), answer.remaining) == (b"secret", b"h\0e", 0)


def test_an_error(library: Path) -> None:
    answer = ask(library, Task.SIGN, sign(b""))
    assert answer.rest() == u8(Outcome.CALLED) + (-3).to_bytes(4, "big", signed=True)


def test_a_new_key(library: Path) -> None:
    fields = u32(0) + string(b"chal\0lenge") + text("ssh:x") + u8(1) + PLAIN
    answer = ask(library, Task.ENROLL, fields + text("device") + text("/d") + text("user") + PLAIN)
    assert (answer.u8(), answer.fixed(4)) == (Outcome.CALLED, bytes(4))
    assert [answer.string() for _ in range(5)] == [
        b"ssh:x",
        b"device=/d;user=;",
        b"",  # its size can't be right
        b"",
        b"chal\0lenge",
    ]


def test_kept_keys(library: Path) -> None:
    answer = ask(library, Task.RESIDENT, PLAIN)
    assert (answer.u8(), answer.fixed(4)) == (Outcome.CALLED, bytes(4))
    for number, application in enumerate((b"ssh:a", b"ssh:b")):
        assert (answer.u32(), answer.string(), answer.u8()) == (number, application, 0x25)
        assert [answer.string() for _ in range(3)] == [b"point", b"", b"me"]
    assert not answer.remaining
