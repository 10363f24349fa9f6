"""A session of ``nacre ssh``: local streams and terminal, connected to a remote process.

Two tasks run: one feeds standard input to the process, the other prints its output and waits for
its exit status. The second ends the session; an escape (``~.``) ends it from the first.
"""

from __future__ import annotations

import asyncio
import os
import signal
import termios
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from nacre.cli.common.modes import RawTerminal
from nacre.cli.common.start import FAILURE
from nacre.cli.ssh.escapes import OWN_ONLY, Controls, EndedByEscape, Escape, Escapes
from nacre.cli.ssh.standard import READ, StandardInput, StandardOutput
from nacre.cli.ssh.terminal import Size, encode_modes, size
from nacre.config.client.config import ClientConfig
from nacre.config.syntax.tokens import expand
from nacre.errors import (
    ConfigurationError,
    NacreError,
    RequestFailed,
    StreamClosed,
)
from nacre.value import value
from nacre.wire.codec import Buffer

if TYPE_CHECKING:
    from nacre.aio.stream import Reader
    from nacre.cli.ssh.keystrokes import Keystrokes
    from nacre.client.connection import Connection
    from nacre.client.process import Process

STDIN, STDOUT, STDERR = 0, 1, 2


@value
class Plan:
    """The remote process to start.

    :ivar command: the command line; None for a shell.
    :ivar subsystem: the subsystem to start in place of a command.
    :ivar environment: variables to send.
    :ivar terminal: whether to request a terminal.
    :ivar escape: the escape character, or None.
    :ivar keystroke_interval: seconds between packets while the user types; 0 for none.
    :ivar read_input: whether to read standard input; if not (``-n``), EOF is sent at once.
    :ivar agent: whether the process may use the agent that the connection forwards.
    :ivar x11: whether it may use the display that the connection forwards.
    """

    command: bytes | None
    subsystem: str | None
    environment: Mapping[str, str]
    terminal: bool
    escape: bytes | None
    read_input: bool
    keystroke_interval: float = 0.0
    agent: bool = True
    x11: bool = True


@value
class LocalEnd:
    """Where a session is used.

    :ivar descriptors: standard input, output and error.
    :ivar term: the type of the terminal there.
    :ivar ours: whether they are this program's own. Others are those of a client of the shared
        connection: it makes its terminal raw itself, and they are closed at the end.
    :ivar opened: called when the process has started.
    :ivar no_terminal: called when the server gives no terminal.
    """

    descriptors: tuple[int, int, int]
    term: str
    ours: bool = True
    opened: Callable[[], None] = lambda: None
    no_terminal: Callable[[], None] = lambda: None


def here() -> LocalEnd:
    """Return the place of this program's own session."""
    return LocalEnd((STDIN, STDOUT, STDERR), os.environ.get("TERM", "dumb"))


class TerminalSession:
    """Runs a plan on a connection.

    :param notice: gets messages for the user.
    :param place: where it is used; None for this program's own descriptors.
    :param controls: what escapes act on besides the session; None for those of other programs.
    :param resizes: tells the sizes of terminals; sessions at the same time share it.
    :ivar quit: whether the user ended the session by an escape.
    """

    def __init__(
        self,
        connection: Connection,
        plan: Plan,
        notice: Callable[[str], None],
        place: LocalEnd | None = None,
        resizes: Resizes | None = None,
        controls: Controls | None = None,
    ) -> None:
        self.quit = False
        self._place = place = place or here()
        stdin, stdout, stderr = place.descriptors
        self._stdin = stdin
        self._incomplete = False
        self._refused = False
        self._connection = connection
        self._plan = plan
        self._notice = notice
        self._resizes = resizes or Resizes()
        self._controls = controls
        self._terminal = plan.terminal and os.isatty(stdin)
        raw = self._terminal and place.ours
        self._keystrokes: Keystrokes | None = None
        self._raw = RawTerminal(stdin, self._resizes.send) if raw else None
        self._output = StandardOutput(stdout)
        self._errors = StandardOutput(stderr)

    async def run(self) -> int:
        """Run the session to its end; return the exit status of this program.

        :raises NacreError: the session could not start, or the connection was lost.
        """
        with ExitStack() as stack:
            if not self._place.ours:
                stack.callback(os.close, self._stdin)
                stack.callback(self._output.close)
                stack.callback(self._errors.close)
            process = await self._start()
            stack.callback(process.close)
            self._place.opened()
            if self._refused:
                self._place.no_terminal()
            if self._terminal and self._plan.read_input:
                if self._raw is not None:
                    stack.enter_context(self._raw)
                stack.enter_context(self._resizes.to(process, self._stdin))
            status = await self._pump(process)
            return FAILURE if self._incomplete else status

    async def _start(self) -> Process:
        plan = self._plan
        if plan.terminal:
            try:
                return await self._open(terminal=True)
            except RequestFailed as error:
                self._notice(f"PTY allocation request failed: {error}")
                self._refused = True
        return await self._open(terminal=False)

    async def _open(self, *, terminal: bool) -> Process:
        plan = self._plan
        return await self._connection.process(
            plan.command,
            subsystem=plan.subsystem,
            env=dict(plan.environment),
            term=self._place.term if terminal else None,
            size=size(self._stdin)[:2] if self._terminal else (80, 24),
            modes=self._modes(),
            agent=plan.agent,
            x11=plan.x11,
        )

    def _modes(self) -> bytes:
        if self._raw is not None:
            return encode_modes(self._raw.attributes)
        return encode_modes(termios.tcgetattr(self._stdin)) if self._terminal else b""

    async def _pump(self, process: Process) -> int:
        feeding = asyncio.create_task(self._feed(process))
        ending = asyncio.create_task(self._finish(process))
        ending.add_done_callback(lambda _: feeding.cancel())
        tasks = (feeding, ending)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            if not ending.done():
                feeding.result()
            return ending.result()
        except EndedByEscape:
            self.quit = True
            return FAILURE
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _finish(self, process: Process) -> int:
        # All that was received of both streams is shown, whatever ends one of them.
        shown = await asyncio.gather(
            self._show(process, process.stdout, self._output),
            self._show(process, process.stderr, self._errors),
            return_exceptions=True,
        )
        try:
            for error in shown:
                if error is not None:
                    raise error
            status = await process.wait()
        except NacreError as error:
            # A status that says success would say so of output that was cut off.
            if not process.exit_status:
                raise
            self._notice(str(error))
            status = process.exit_status
        # A signal ended the process: there is no status.
        return FAILURE if status is None else status

    async def _show(self, process: Process, stream: Reader, output: StandardOutput) -> None:
        while chunks := await stream.read_chunks(READ):
            try:
                await output.write(*chunks)
            except OSError as error:
                # The reader of our output is gone (`ssh host ... | head`), or a disk is full.
                process.close()
                if not isinstance(error, BrokenPipeError):
                    self._notice(f"the output can't be written: {error.strerror}")
                    self._incomplete = True
                return

    async def _feed(self, process: Process) -> None:
        try:
            if self._plan.read_input:
                await self._feed_input(process)
        except StreamClosed:
            return
        process.stdin.write_eof()

    async def _feed_input(self, process: Process) -> None:
        source = StandardInput(self._stdin, contended=not self._place.ours)
        write = self._writer(process)
        interactive = self._terminal and self._plan.escape is not None
        escapes = Escapes(self._plan.escape or b"~", self._absent) if interactive else None
        with closing(source):
            while data := await _read(source):
                for part in escapes.feed(bytes(data)) if escapes else (data,):
                    if not isinstance(part, Escape):
                        await write(part)
                    elif escapes is not None:
                        await self._act(part, process, escapes, source)
        if self._keystrokes is not None:
            await self._keystrokes.flush()

    def _writer(self, process: Process) -> Callable[[Buffer], Awaitable[None]]:
        """Return what sends input: at once, or keystrokes of a terminal at fixed intervals."""
        interval, connection = self._plan.keystroke_interval, self._connection
        if not self._terminal or not interval or not connection.engine.pings:
            return process.stdin.write
        from nacre.cli.ssh.keystrokes import Keystrokes

        keystrokes = self._keystrokes = Keystrokes(process.stdin.write, connection.chaff, interval)
        return keystrokes.send

    @property
    def _absent(self) -> frozenset[Escape]:
        return OWN_ONLY if self._controls is None else frozenset()

    async def _act(
        self, escape: Escape, process: Process, escapes: Escapes, source: StandardInput
    ) -> None:
        from nacre.cli.ssh.actions import Scene, act

        scene = Scene(
            self._connection, process, escapes, source, self._print, self._raw, self._controls
        )
        await act(escape, scene)

    async def _print(self, text: str) -> None:
        await self._errors.write(text.encode())


def plan(
    config: ClientConfig,
    command: str | None,
    tokens: Mapping[str, str],
    notice: Callable[[str], None],
) -> Plan:
    """Return the plan for a configuration and a command line.

    :param command: the words behind the host; None for none.
    :param tokens: the values of percent tokens, for RemoteCommand.
    :param notice: gets messages for the user.
    :raises ConfigurationError: a subsystem is requested without its name, the command line and
        RemoteCommand both name a command, or RemoteCommand has a token that is not possible.
    """
    subsystem = config.session_type == "subsystem"
    if subsystem and command is None:
        raise ConfigurationError("You must specify a subsystem to invoke.")
    if (
        config.fork_after_authentication
        and config.session_type == "default"
        and (command is None and config.remote_command is None)
    ):
        raise ConfigurationError(
            "Cannot fork into background without a command to execute: give one, or -N"
        )
    line = command
    if config.remote_command is not None:
        if command is not None:
            raise ConfigurationError(
                "Cannot execute command-line and remote command: leave the command out, or add "
                "-o RemoteCommand=none"
            )
        line = expand(config.remote_command, tokens)
    return Plan(
        command=None if subsystem or line is None else os.fsencode(line),
        subsystem=line if subsystem else None,
        environment=environment(config, os.environ),
        terminal=_wants_terminal(config, line, notice),
        escape=config.escape_char,
        keystroke_interval=config.obscure_keystroke_timing / 1000,
        read_input=not (config.stdin_null or config.fork_after_authentication),
    )


def _wants_terminal(config: ClientConfig, line: str | None, notice: Callable[[str], None]) -> bool:
    wanted = config.request_tty
    if wanted == "force":
        return True
    if wanted == "no" or (wanted == "auto" and line is not None) or config.session_type == "none":
        return False
    if os.isatty(STDIN) and not (config.stdin_null or config.fork_after_authentication):
        return True
    notice("Pseudo-terminal will not be allocated because stdin is not a terminal.")
    return False


def environment(config: ClientConfig, variables: Mapping[str, str]) -> dict[str, str]:
    """Return those of the variables that SendEnv selects; those of SetEnv override them."""
    taken: dict[str, str] = {}
    for pattern in config.send_env:
        taken.update((k, v) for k, v in variables.items() if fnmatchcase(k, pattern))
    # If SetEnv has a name twice, the first value counts.
    return taken | dict(reversed(config.set_env))


async def _read(source: StandardInput) -> Buffer:
    try:
        return await source.read()
    except OSError:
        # The terminal is gone, or standard input is closed: treat it as the end of input.
        return b""


class Resizes:
    """Sends each new size of a terminal to the process that runs there.

    A client of the shared connection sends SIGWINCH on to the master, which can't tell whose it is.
    """

    def __init__(self) -> None:
        self._sizes: dict[Process, tuple[int, Size]] = {}
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def to(self, process: Process, terminal: int) -> Iterator[None]:
        """Send the terminal's sizes to ``process`` while this is entered."""
        if not self._sizes:
            self._loop.add_signal_handler(signal.SIGWINCH, self._resize)
        self._sizes[process] = terminal, size(terminal)
        try:
            yield
        finally:
            del self._sizes[process]
            if not self._sizes:
                self._loop.remove_signal_handler(signal.SIGWINCH)

    def send(self) -> None:
        """Send the present size: it may have changed while the program was stopped."""
        self._loop.call_soon_threadsafe(self._resize)

    def _resize(self) -> None:
        for process, (terminal, before) in self._sizes.items():
            with suppress(OSError):  # a client's terminal may be gone
                if (now := size(terminal)) != before:
                    self._sizes[process] = terminal, now
                    process.resize(*now)
