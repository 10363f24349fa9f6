"""``nacre trace``: connect to a host and print each message, phase by phase."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nacre.cli.common.arguments import parse
from nacre.cli.common.connect import dial_and_log_in
from nacre.cli.common.log import Log, open_log
from nacre.cli.common.passing import Passing
from nacre.cli.common.program import close_or_abort, run_client
from nacre.cli.common.start import FAILURE, complain
from nacre.cli.ssh.command import answered, configured, show_config
from nacre.cli.ssh.session import Plan, plan
from nacre.cli.ssh.standard import READ
from nacre.cli.trace.tracing import Record, Tracer
from nacre.client.target import Target
from nacre.config.client.config import ClientConfig
from nacre.config.client.files import Config
from nacre.errors import ConfigurationError, NacreError
from nacre.protocol.events import Event
from nacre.value import replace

if TYPE_CHECKING:
    from nacre.cli.trace.capture import Capture
    from nacre.cli.trace.page import TracePage


def run(program: str, words: Sequence[str]) -> int:
    """Run the program on its command line; return the exit status."""
    try:
        arguments = parse(words, ["json", "html=", "pcap=", "keylog="])
        if arguments.show_help:
            from nacre.cli.help.pages import print_help

            return print_help(program, "trace")
        status = answered(program, arguments)
        if status is not None:
            return status
        if not arguments.host:
            raise ConfigurationError("no host given: give [user@]host")
        files, config = configured(arguments)
        if arguments.show_config:
            return show_config(arguments, config)
        if config.forwards or arguments.join is not None:
            raise ConfigurationError(
                "nacre trace forwards nothing: leave -L, -R, -D, -A and -W out"
            )
        target = Target.of(arguments.host, config)
        planned = replace(
            plan(config, arguments.command, target.tokens(), _silent), read_input=False
        )
    except ConfigurationError as error:
        return complain(program, error)
    show = _show_json if "json" in arguments.flags else Painter(_coloured()).show
    try:
        outputs = Outputs(arguments.values, target, show)
        file = open_log(arguments.log_file)
    except OSError as error:
        what = "the log file" if error.filename == arguments.log_file else "a file to write"
        print(f"{program}: can't open {what}: {error}", file=sys.stderr)
        return FAILURE
    with file:
        facility = config.syslog_facility if arguments.syslog else None
        log = Log(config.log_level, file, facility)
        log.describe(config)
        try:
            status = run_client(_trace(target, config, files, planned, log, outputs), target, log)
        finally:
            told = outputs.close()
        if told is not None:
            print(f"{program}: {told}", file=sys.stderr)
            return FAILURE
        return status


command = Passing("trace", run)


def _silent(text: str) -> None:
    pass


async def _trace(
    target: Target,
    config: ClientConfig,
    files: Config,
    planned: Plan,
    log: Log,
    outputs: Outputs,
) -> int:
    tracer = Tracer(asyncio.get_running_loop().time(), outputs.show)

    def trace(event: Event, time: float) -> None:
        tracer(event, time)
        if outputs.capture is not None:
            outputs.capture.note(event)

    try:
        connection = await dial_and_log_in(target, config, log, trace, files, outputs.capture)
        try:
            status = (
                0 if config.session_type == "none" else await _session(connection, planned, tracer)
            )
        finally:
            await close_or_abort(connection)
    except NacreError as error:
        tracer.result(None, str(error))
        raise
    tracer.result(status, None)
    return FAILURE if status is None else status


class Outputs:
    """Where a trace goes: standard output, and the files of ``--html``, ``--pcap``, ``--keylog``.

    :ivar capture: what is written for Wireshark, or None.
    :param paths: the values of these options.
    :param show: prints a record.
    :raises OSError: a file can't be opened.
    """

    def __init__(
        self, paths: Mapping[str, str], target: Target, show: Callable[[Record], None]
    ) -> None:
        self.capture: Capture | None = None
        self._path = paths.get("html")
        self._page: TracePage | None = None
        self._show = show
        if self._path is not None:
            from nacre.cli.trace.page import TracePage

            with open(self._path, "a"):
                pass  # a path that can't be written is told before the connection is made
            self._page = TracePage(target.name)
        if "pcap" in paths or "keylog" in paths:
            from nacre.cli.trace.capture import Capture

            self.capture = Capture(paths.get("pcap"), paths.get("keylog"), target.port)

    def show(self, record: Record) -> None:
        """Print a record, and keep it for the page."""
        if self._page is not None:
            self._page.add(record)
        self._show(record)

    def close(self) -> str | None:
        """Write and close the files; returns what to tell the user if that fails."""
        try:
            if self.capture is not None:
                self.capture.close()
            if self._page is not None and self._path is not None:
                with open(self._path, "w", encoding="utf-8") as file:
                    file.write(self._page.html())
        except OSError as error:
            return f"can't write a file: {error}"
        return None


async def _session(connection: Any, planned: Plan, tracer: Tracer) -> int | None:
    async with connection.process(
        planned.command,
        subsystem=planned.subsystem,
        env=dict(planned.environment),
        term=os.environ.get("TERM", "dumb") if planned.terminal else None,
    ) as process:
        tracer.started()
        process.stdin.write_eof()
        await asyncio.gather(_drain(process.stdout), _drain(process.stderr))
        status: int | None = await process.wait()
        return status


async def _drain(stream: Any) -> None:
    while await stream.read(READ):
        pass


def _print(line: str) -> None:
    try:
        print(line, flush=True)
    except BrokenPipeError:
        # The reader is gone (`nacre trace host | head`). The caller is the connection, which no
        # exception may pass through, and there is nothing to restore: end the process here.
        os._exit(FAILURE)


def _show_json(record: Record) -> None:
    _print(json.dumps(record))


def _coloured() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


class Painter:
    """Prints records as text.

    :param coloured: whether to use the colours of a terminal.
    """

    def __init__(self, coloured: bool) -> None:
        self._coloured = coloured

    def show(self, record: Record) -> None:
        """Print a record."""
        for line in self.lines(record):
            _print(line)

    def lines(self, record: Record) -> list[str]:
        """Return the lines of a record."""
        return _LINES[record["event"]](self, record)

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._coloured else text

    def _head(self, record: Record, text: str) -> str:
        return f"{record['time']:9.4f}  {text}"

    def phase(self, record: Record) -> list[str]:
        """Return the lines of a ``phase`` record."""
        return ["", self._paint(f"Phase {record['phase']}: {record['name']}", "1")]

    def version(self, record: Record) -> list[str]:
        """Return the lines of a ``version`` record."""
        before = [_indent(line) for line in record["before"]]
        return [
            *before,
            self._head(record, f"{self._arrow('out')} {record['client']}"),
            self._head(record, f"{self._arrow('in')} {record['server']}"),
            _indent(f"protocol {record['protocol']}"),
        ]

    def _arrow(self, direction: str) -> str:
        return self._paint("-->", "36") if direction == "out" else self._paint("<--", "32")

    def message(self, record: Record) -> list[str]:
        """Return the lines of a ``message`` record."""
        name = self._paint(f"{record['number']:3} {record['name']}", "1")
        lines = [self._head(record, f"{self._arrow(record['direction'])} {name}")]
        return lines + [_indent(f"{k}: {_text(v)}") for k, v in record["fields"].items()]

    def negotiated(self, record: Record) -> list[str]:
        """Return the lines of a ``negotiated`` record."""
        chosen = self._paint(record["chosen"], "33")
        return [_indent(f"{record['what']}: {chosen} ({record['why']})")]

    def strict_kex(self, record: Record) -> list[str]:
        """Return the lines of a ``strict kex`` record."""
        return [_indent(f"strict kex: {'on' if record['on'] else 'off'}")]

    def keys(self, record: Record) -> list[str]:
        """Return the lines of a ``keys`` record."""
        shown = [
            str(record[name]) for name in ("host_key", "bits", "fingerprint") if name in record
        ]
        key = " ".join(shown) or "none: GSSAPI proves the server's name"
        return [
            self._head(record, "new keys are in use"),
            _indent(f"host key: {self._paint(key, '33')}"),
            _indent(f"session id: {record['session_id']}"),
        ]

    def banner(self, record: Record) -> list[str]:
        """Return the lines of a ``banner`` record."""
        return [_indent(line) for line in record["text"].splitlines()]

    def authentication(self, record: Record) -> list[str]:
        """Return the lines of an ``authentication`` record."""
        tried = f"{record['method']} {record['detail']}".strip()
        outcome = self._paint(record["outcome"], "31" if record["outcome"] == "failure" else "32")
        rest = ", ".join(record["can_continue"])
        going_on = f"; can continue: {rest}" if rest else ""
        return [_indent(f"{record['user']}: {tried}: {outcome}{going_on}")]

    def channel(self, record: Record) -> list[str]:
        """Return the lines of a ``channel`` record."""
        return [_indent(f"channel {record['channel']} is open")]

    def request(self, record: Record) -> list[str]:
        """Return the lines of a ``request`` record."""
        granted = "granted" if record["success"] else self._paint("refused", "31")
        return [_indent(f"channel {record['channel']}: the request was {granted}")]

    def ended(self, record: Record) -> list[str]:
        """Return the lines of an ``ended`` record."""
        return [
            self._head(record, f"the connection ended: {record['error'] or 'closed by this side'}")
        ]

    def result(self, record: Record) -> list[str]:
        """Return the lines of a ``result`` record."""
        if record["error"] is not None:
            return []
        return ["", f"exit status: {record['exit_status']}"]


_LINES: dict[str, Callable[[Painter, Record], list[str]]] = {
    "authentication": Painter.authentication,
    "banner": Painter.banner,
    "channel": Painter.channel,
    "ended": Painter.ended,
    "keys": Painter.keys,
    "message": Painter.message,
    "negotiated": Painter.negotiated,
    "phase": Painter.phase,
    "request": Painter.request,
    "result": Painter.result,
    "strict kex": Painter.strict_kex,
    "version": Painter.version,
}
"""The methods that make the lines of each kind of record."""


def _indent(text: str) -> str:
    return " " * 15 + text


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
