"""From the options of ``nacre serve`` to a recorder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nacre.config.values import LogLevel
from nacre.crypto.sealing import SealKey, dump_seal_public
from nacre.daemon.recorder.plan import RecordingPlan
from nacre.daemon.recorder.recorder import SessionRecorder
from nacre.errors import ConfigurationError

USER = "daemon" if os.geteuid() == 0 else None
KEY = SealKey.generate()


def test_each_process_that_serves_gets_a_recorder(tmp_path: Path) -> None:
    public = tmp_path / "key.pub"
    public.write_bytes(dump_seal_public(KEY.public))
    plan = RecordingPlan(directory=tmp_path / "recordings", key=public, user=USER, keep=5.0)
    make = plan.open(LogLevel.INFO)
    one, two = make(), make()
    assert isinstance(one, SessionRecorder)
    assert one is not two
    assert one._settings == two._settings
    assert (one._settings.recipient, one._settings.keep) == (KEY.public, 5.0)
    os.close(one._directory)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"nothing", "X25519"), (KEY.dump(), "it is a private key")],
)
def test_a_key_that_can_not_be_used_is_told(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    if content is not None:
        key.write_bytes(content)
    plan = RecordingPlan(directory=tmp_path / "recordings", key=key, user=USER)
    with pytest.raises(ConfigurationError, match=f"--record-key {key}: .*{reason}"):
        plan.open(LogLevel.INFO)
