"""Entering a sandbox, on kernels that have all of it and on those that do not."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from daemon.sandbox.children import in_a_child
from nacre.daemon.sandbox import filter as system_calls
from nacre.daemon.sandbox import landlock, rules
from nacre.daemon.sandbox.filter import has_filters
from nacre.daemon.sandbox.kernel import call
from nacre.daemon.sandbox.landlock import CHANGE, version
from nacre.daemon.sandbox.rules import CONFINED, FILES
from nacre.daemon.sandbox.sandbox import Sandbox, lacking


def status() -> dict[str, str]:
    with open("/proc/self/status") as file:
        return {name: rest.strip() for name, _, rest in (line.partition(":") for line in file)}


@pytest.mark.skipif(not has_filters(), reason="this kernel has no seccomp(2)")
def test_a_process_in_a_sandbox_gains_no_rights_and_leaves_no_core_file() -> None:
    def attempt() -> int:
        Sandbox(FILES).enter()
        words = status()
        assert (words["NoNewPrivs"], words["Seccomp"]) == ("1", "2")
        assert call("prctl", 3, 0, 0, 0, 0) == 0  # PR_GET_DUMPABLE
        assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
        return int(not os.listdir("/"))

    assert in_a_child(attempt) == 0


@pytest.mark.skipif(not version(), reason="this kernel has no Landlock")
def test_a_root_is_all_that_it_reaches(tmp_path: Path) -> None:
    def attempt() -> int:
        Sandbox(CONFINED, ((str(tmp_path), CHANGE),)).enter()
        (tmp_path / "made").touch()
        try:
            os.listdir("/")
        except OSError as error:
            return error.errno or 0
        return 0

    assert in_a_child(attempt) == errno.EACCES
    assert (tmp_path / "made").exists()


def test_what_a_kernel_lacks_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_calls, "has_filters", lambda: False)
    monkeypatch.setattr(landlock, "version", lambda: 0)
    assert lacking() == "no filter of system calls (seccomp) and no Landlock (version 2)"

    def attempt() -> int:
        before = status()["Seccomp"]
        Sandbox(CONFINED, ((str(tmp_path), CHANGE),)).enter()
        words = status()
        assert (words["NoNewPrivs"], words["Seccomp"]) == ("1", before)
        return int(not os.listdir("/"))

    assert in_a_child(attempt) == 0


def test_another_kind_of_processor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "PROCESSORS", {})
    assert not has_filters()
    assert version() == 0


def test_what_is_lacking_is_what_the_kernel_does_not_have() -> None:
    assert ("seccomp" in lacking()) is not has_filters()
    assert ("Landlock" in lacking()) is (version() == 0)
