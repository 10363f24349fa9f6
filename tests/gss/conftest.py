from __future__ import annotations

import sys
from types import ModuleType

import pytest

from gss.fake_library import fake_library


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in for the library, whether it is installed or not."""
    made = fake_library()
    monkeypatch.setitem(sys.modules, "gssapi", made)
    return made
