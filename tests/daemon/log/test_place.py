"""Where the log goes to."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nacre.daemon.log.journal import SystemJournal
from nacre.daemon.log.place import LogPlace
from nacre.daemon.log.server_log import StandardError
from nacre.daemon.log.syslog import Syslog
from nacre.errors import StateError

PROGRAM = """
import os, sys
from nacre.daemon.log.place import LogPlace
place = LogPlace(file=sys.argv[1])
place.open()
os.write(2, b"one\\n")
os.rename(sys.argv[1], sys.argv[1] + ".1")
os.write(2, b"two\\n")
place.open()
os.write(2, b"three\\n")
"""


def test_destinations() -> None:
    assert isinstance(LogPlace().destination("AUTH"), StandardError)
    assert isinstance(LogPlace(where="syslog").destination("AUTH"), Syslog)
    assert isinstance(LogPlace(where="journal").destination("AUTH"), SystemJournal)
    assert (LogPlace().apart, LogPlace(where="journal").apart) == (False, True)
    places = LogPlace(), LogPlace(form="json"), LogPlace(where="syslog")
    assert [place.plain for place in places] == [True, False, False]


def test_a_file_that_was_renamed_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("zero\n")
    subprocess.run([sys.executable, "-c", PROGRAM, str(file)], check=True, timeout=50)
    assert (tmp_path / "log.1").read_text() == "zero\none\ntwo\n"
    assert file.read_text() == "three\n"
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600


def test_a_file_that_can_not_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"log file .*missing/log"):
        LogPlace(file=str(tmp_path / "missing" / "log")).open()
