"""What an operator wants recorded, and where: ``nacre serve --record``."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nacre.config.values import LogLevel
from nacre.crypto.sealing import load_seal_public
from nacre.daemon.recorder.recorder import SessionRecorder
from nacre.daemon.recorder.recorder_process import RecorderSettings
from nacre.daemon.recording.directory import KeptRecordings, kept_recordings, open_directory
from nacre.daemon.separate.rights import recorder_rights
from nacre.errors import ConfigurationError, KeyFormatError


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingPlan:
    """What ``nacre serve`` was told.

    :ivar directory: where recordings are written.
    :ivar key: the file of the public key that they are sealed for; None to write plain ones.
    :ivar user: the account of the recorder, under root; None for ``nacre``.
    :ivar keep: seconds after which a recording is removed; None to keep all.
    """

    directory: Path
    key: Path | None = None
    user: str | None = None
    keep: float | None = None

    def rights(self) -> tuple[int, int] | None:
        """Return the account and group of the recorder; None for the server's.

        :raises ConfigurationError: there is no such account.
        """
        return recorder_rights(self.user) if os.geteuid() == 0 else None

    def kept(self) -> AbstractContextManager[KeptRecordings]:
        """Open the directory up to the end of a context, for a process that reads recordings."""
        return kept_recordings(self.directory, self.rights())

    def open(self, log_level: LogLevel) -> Callable[[], SessionRecorder]:
        """Open the directory, and return what makes the recorder of each process that serves.

        :raises NacreError: the directory, the key or the account can't be used.
        """
        rights = self.rights()
        recipient = None if self.key is None else _public(self.key)
        settings = RecorderSettings(
            rights=rights, recipient=recipient, keep=self.keep, log_level=log_level
        )
        return partial(SessionRecorder, open_directory(self.directory, rights), settings)


def _public(path: Path) -> bytes:
    try:
        return load_seal_public(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"--record-key {path}: {error.strerror}") from error
    except KeyFormatError as error:
        raise ConfigurationError(f"--record-key {path}: {error}") from error
