"""A template of one test alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nacre.daemon.processes.template import Template


@pytest.fixture
def template() -> Iterator[Template]:
    made = Template()
    yield made
    made.close()
