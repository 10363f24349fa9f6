"""Calls of the C library."""

from __future__ import annotations

import os
import sys

import pytest

from nacre.daemon.sandbox.kernel import call


def test_a_function_is_called_with_numbers_and_memory() -> None:
    assert call("getpid") == os.getpid()
    assert call("strlen", b"four") == 4


def test_a_function_that_does_not_exist_has_failed() -> None:
    assert call("nacre_has_no_such_function") == -1


def test_a_python_without_ctypes_can_call_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_ctypes", None)
    assert call("getpid") == -1
