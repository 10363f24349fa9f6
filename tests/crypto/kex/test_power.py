from __future__ import annotations

import sys
import threading
from os import urandom

import pytest

from nacre.crypto.kex.groups import modp
from nacre.crypto.kex.power import power


@pytest.mark.parametrize("library", [True, False], ids=["gmpy2", "pow"])
def test_both_ways_agree_with_the_definition(
    library: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not library:
        monkeypatch.setitem(sys.modules, "gmpy2", None)
    prime, base = modp(2048), int.from_bytes(urandom(256), "big")
    for exponent in (1, 2, int.from_bytes(urandom(64), "big") | 1):
        assert power(base, exponent, prime) == pow(base, exponent, prime)
    assert power(0, 5, 15) == 0
    assert power(2, 10, 1023) == 1


def test_the_library_computes_without_the_interpreters_lock() -> None:
    """Only then this thread counts while the other computes, which one call would prevent."""
    gmpy2 = pytest.importorskip("gmpy2")
    assert not gmpy2.get_context().allow_release_gil, "nothing is changed for others"
    prime, exponent = modp(8192), (1 << 8000) + 1
    begun, done, counted = threading.Event(), threading.Event(), 0

    def work() -> None:
        begun.set()
        power(3, exponent, prime)
        done.set()

    before, thread = sys.getswitchinterval(), threading.Thread(target=work)
    # With the lock held, this thread has it back only when the call is over.
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        begun.wait(30)
        while not done.is_set():
            counted += 1
        thread.join()
    finally:
        sys.setswitchinterval(before)
    assert counted > 100
