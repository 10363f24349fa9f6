"""The process that starts the others, as the server starts it."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from nacre.cli.serve.edge import API_PROGRAM
from nacre.daemon.api.plan import APIPlan
from nacre.errors import StateError


def test_it_serves_until_the_server_ends(tmp_path: Path) -> None:
    plan = APIPlan(program=API_PROGRAM, addresses=(("127.0.0.1", 0),))
    with plan.open(tmp_path, None, audited=False) as opened:
        base = f"http://{opened.places[0]}"
        with httpx.Client(base_url=base, timeout=30, trust_env=False) as http:
            assert http.get("/openapi.json").json()["openapi"] == "3.1.0"
            # No server runs with this directory.
            assert http.get("/v1/health").status_code == 503
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{base}/v1/health", trust_env=False)


def test_a_certificate_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "pem").write_text("nonsense\n")
    file = tmp_path / "pem"
    plan = APIPlan(program=API_PROGRAM, addresses=(("127.0.0.1", 0),), certificate=file, key=file)
    with (
        pytest.raises(StateError, match="the certificate or its key can't be used"),
        plan.open(tmp_path, None, audited=False),
    ):
        pass
    assert os.listdir(tmp_path) == ["pem"]
