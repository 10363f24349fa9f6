"""Shows a recording: in its time, at once, or where a text was printed."""

from __future__ import annotations

import json
import os
import select
import sys
import termios
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click

from nacre.cli.common.modes import TerminalModes
from nacre.cli.control.screen import CLEAR, RESTORE, resized
from nacre.cli.replay.lines import lines_of
from nacre.cli.replay.opened import OpenedRecording
from nacre.daemon.recording.cast import NOTE, OUTPUT, RESIZE, CastEvent
from nacre.errors import StateError
from nacre.wire.text import safe

DAMAGED = 1
"""The exit status for a recording that is not whole, and for a search that finds nothing."""

INTERRUPTED = 130

STEP = 5.0
"""Seconds that an arrow goes forwards or back."""

_KEYS = {
    b" ": "pause",
    b"q": "quit",
    b"\x03": "quit",
    b"\x1b[C": "forwards",
    b"\x1b[D": "back",
    b"\x1b[A": "faster",
    b"\x1b[B": "slower",
}


def print_cast(opened: OpenedRecording) -> int:
    """Print the lines of asciicast v3; returns the exit status."""

    def lines() -> Iterator[bytes]:
        for line in opened.lines():
            yield line + b"\n"

    return _print_all(lines())


def print_text(opened: OpenedRecording) -> int:
    """Print the output exactly, or the events of a connection; returns the exit status."""
    return _print_all(_shown(opened, event) for event in opened.events())


def _print_all(pieces: Iterable[bytes]) -> int:
    try:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
    except StateError as error:
        sys.stdout.buffer.flush()
        return _damaged(error)
    sys.stdout.buffer.flush()
    return 0


def _damaged(error: StateError) -> int:
    click.echo(f"the recording is not whole: {error}", err=True)
    return DAMAGED


def _shown(opened: OpenedRecording, event: CastEvent) -> bytes:
    """Return what an event shows: output, or a line of what a connection has done."""
    if event.code == OUTPUT:
        return event.data
    if event.code == NOTE and opened.is_of_connection:
        return f"{clock(event.at)} {_words(event.data)}\n".encode()
    return b""


def _words(data: bytes) -> str:
    try:
        fields: dict[str, Any] = json.loads(data)
        return " ".join(f"{safe(str(key))}={safe(str(one))}" for key, one in fields.items())
    except (ValueError, AttributeError, RecursionError):
        return safe(data)


def clock(seconds: float) -> str:
    """Return a time of a recording: hours, minutes and seconds."""
    whole, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(whole), 60)
    return f"{hours}:{minutes:02}:{rest:06.3f}"


# --- search ---


def print_found(opened: OpenedRecording, wanted: str) -> int:
    """Print each line that has a text, with its time, without control sequences.

    Returns the exit status: also 1 if there is no such line.
    """
    found = False
    try:
        for at, line in text_lines(opened):
            if wanted in line:
                found = True
                click.echo(f"{clock(at)} {safe(line)}")
    except StateError as error:
        return _damaged(error)
    return 0 if found else DAMAGED


def text_lines(opened: OpenedRecording) -> Iterator[tuple[float, str]]:
    """Return the lines of the output, each with the time at which it began."""
    return lines_of((event.at, _shown(opened, event)) for event in opened.events())


# --- play ---


def play(opened: OpenedRecording, speed: float, idle_limit: float | None) -> int:
    """Play a recording on standard output, with keys from the terminal; returns the exit status."""
    keyboard = sys.stdin.fileno() if sys.stdin.isatty() and sys.stdout.isatty() else None
    modes: AbstractContextManager[object] = nullcontext()
    if keyboard is not None:
        modes = TerminalModes(keyboard, _cbreak)
    player = Player(opened, speed, idle_limit, keyboard)
    try:
        with modes:
            try:
                return player.run()
            except StateError as error:
                return _damaged(error)
            finally:
                if keyboard is not None:
                    _write(RESTORE)
    except KeyboardInterrupt:
        return INTERRUPTED


def _cbreak(attributes: Any) -> None:
    attributes[3] &= ~(termios.ICANON | termios.ECHO)


class Player:
    """Plays in the time of the recording.

    :param keyboard: the terminal whose keys are commands, or None.
    """

    def __init__(
        self,
        opened: OpenedRecording,
        speed: float,
        idle_limit: float | None,
        keyboard: int | None,
    ) -> None:
        self._opened = opened
        self._speed = speed
        self._idle_limit = idle_limit
        self._keyboard = keyboard
        self._paused = False
        self._at = 0.0
        self._target: float | None = None

    def run(self) -> int:
        """Play to the end; returns the exit status.

        :raises StateError: at the first damage.
        """
        while True:
            goes_back = self._play_from_begin()
            if not goes_back:
                return 0
            _write(CLEAR)

    def _play_from_begin(self) -> bool:
        """Play; tell whether to begin again, to go to a time before."""
        self._at = 0.0
        for event in self._opened.events():
            while self._target is None or event.at > self._target:
                if self._target is not None:
                    self._at, self._target = self._target, None
                command = self._wait(event.at)
                if command is None:
                    break
                if command != "forwards":
                    return command == "back"
            self._at = event.at
            self._show(event)
        self._target = None
        return False

    def _show(self, event: CastEvent) -> None:
        if event.code in (OUTPUT, NOTE):
            _write(_shown(self._opened, event))
        elif event.code == RESIZE and self._keyboard is not None and self._target is None:
            columns, _, rows = event.data.decode("ascii", "replace").partition("x")
            if columns.isdigit() and rows.isdigit():
                _write(resized(int(columns), int(rows)))

    def _wait(self, until: float) -> str | None:
        """Wait until a time of the recording; return None, or what a key has said instead."""
        while True:
            left = max(0.0, until - self._at)
            if self._idle_limit is not None:
                left = min(left, self._idle_limit)
            began = time.monotonic()
            command = self._key(None if self._paused else left / self._speed)
            passed = 0.0 if self._paused else (time.monotonic() - began) * self._speed
            self._at = min(until, self._at + passed)
            if command is None:
                return None
            if command in ("quit", "back", "forwards"):
                step = {"back": -STEP, "forwards": STEP}.get(command, 0.0)
                self._target = max(0.0, self._at + step)
                return command
            self._adjust(command)

    def _adjust(self, command: str) -> None:
        if command == "pause":
            self._paused = not self._paused
        elif command == "faster":
            self._speed = min(1000.0, self._speed * 2)
        elif command == "slower":
            self._speed = max(0.01, self._speed / 2)

    def _key(self, seconds: float | None) -> str | None:
        """Return the command of the key that is pressed within some seconds, or None."""
        if self._keyboard is None:
            time.sleep(seconds or 0.0)
            return None
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._keyboard], [], [], left)[0]:
                return None
            pressed = os.read(self._keyboard, 16)
            if not pressed:
                return "quit"
            if (command := _KEYS.get(pressed)) is not None:
                return command


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
