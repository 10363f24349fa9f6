"""``nacre-sshd --config``: what sshd_config has no words for, in a file of TOML.

Its names are those of ``nacre serve --config`` that say nothing of users, addresses and keywords.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nacre.cli.serve.audit import audit_options
from nacre.cli.serve.config_file import config_file, config_option, read_config
from nacre.cli.serve.edge import edge_options
from nacre.cli.serve.hooks import hook_options
from nacre.cli.serve.recording import recording_options
from nacre.cli.serve.sessions import SessionOptions, session_options
from nacre.errors import ConfigurationError

if TYPE_CHECKING:
    from nacre.daemon.audit.events import AuditPlan
    from nacre.daemon.edge_settings import EdgeSettings
    from nacre.daemon.hooks.plan import HooksWanted
    from nacre.daemon.recorder.plan import RecordingPlan


class ServiceOptions(SessionOptions):
    """Arguments of :class:`~nacre.daemon.daemon.Daemon`."""

    state: Path
    gate_user: str | None
    edge: EdgeSettings
    recording: RecordingPlan | None
    audit: AuditPlan
    hooks: HooksWanted | None


@click.command("nacre-sshd")
@config_option
@click.option("--state", type=click.Path(path_type=Path))
@click.option("--gate-user")
@session_options
@edge_options
@recording_options
@audit_options
@hook_options
@click.pass_obj
def _said(
    found: dict[str, Any], /, state: Path | None, sessions: SessionOptions, **others: Any
) -> None:
    from nacre.daemon.state import default_path

    path = (state or default_path()).absolute()
    found.update(state=path, **sessions, **others)


class ServiceFile:
    """A file of these options.

    :ivar options: what it says.
    """

    def __init__(self, path: str) -> None:
        """Read the file.

        :raises ConfigurationError: it can't be read, or is wrong; the message names the line.
        """
        found: Any = {}
        try:
            # The context is that of later calls too, so it is not left.
            self._context = _said.make_context("nacre-sshd", ["--config", path], obj=found)
            _said.invoke(self._context)
        except click.UsageError as error:
            raise ConfigurationError(error.message) from None
        self.options: ServiceOptions = found
        began = config_file(self._context)
        assert began is not None
        self._began = self._now = began

    def read_again(self) -> None:
        """Read the file again: what has changed there holds after the next start.

        :raises ConfigurationError: it can't be read, or is wrong.
        """
        try:
            self._now = read_config(self._began.path, self._context)
        except click.UsageError as error:
            raise ConfigurationError(error.message) from None

    def needs_restart(self) -> tuple[str, ...]:
        """Return the names whose values have changed, and do not hold yet."""
        return self._began.changed(self._now)
