"""How a recording is shown."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.replay.recorded import write_recording
from nacre.cli.replay import player as player_module
from nacre.cli.replay.opened import OpenedRecording
from nacre.cli.replay.player import Player, clock, play, print_cast, print_found, print_text

PIECES = [(1.0, b"one \x1b[1mbold\x1b[0m\r\n"), (3.0, b"tw\xff"), (65.0, b"o two\r\nthree")]


class Clock:
    """The time that a player waits in."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(player_module, "time", found)
    return found


@pytest.fixture
def opened(tmp_path: Path) -> OpenedRecording:
    return OpenedRecording(write_recording(tmp_path / "a.cast", PIECES), None)


@pytest.fixture
def cut(tmp_path: Path) -> OpenedRecording:
    path = write_recording(tmp_path / "whole.cast", PIECES)
    (tmp_path / "cut.cast").write_bytes(path.read_bytes()[:-30])
    return OpenedRecording(tmp_path / "cut.cast", None)


def printed(capfdbinary: pytest.CaptureFixture[bytes]) -> bytes:
    return capfdbinary.readouterr().out


OUTPUT = b"".join(data for _, data in PIECES)


def test_text_is_the_output_exactly(
    opened: OpenedRecording, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert print_text(opened) == 0
    assert printed(capfdbinary) == OUTPUT


def test_a_cast_is_what_other_players_read(
    opened: OpenedRecording, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert print_cast(opened) == 0
    assert printed(capfdbinary) == (tmp_path / "a.cast").read_bytes()


def test_events_of_a_connection_are_lines(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = write_recording(tmp_path / "a", [(61.5, b""), (62.0, b"\x1b")], kind="connection")
    assert print_text(OpenedRecording(path, None)) == 0
    assert printed(capfdbinary) == (
        b"0:01:01.500 event=file path=\n0:01:02.000 event=file path=\\x1b\n".replace(
            b"0:01:02", b"\x1b0:01:02"
        )
    )


def test_what_is_damaged_is_shown_up_to_there(
    cut: OpenedRecording, capfdbinary: pytest.CaptureFixture[bytes], clocked: Clock
) -> None:
    for show in (print_text, print_cast, lambda one: print_found(one, "x"), _play_fast):
        assert show(cut) == 1
        said = capfdbinary.readouterr()
        assert b"not whole" in said.err
    assert said.out == OUTPUT


def _play_fast(opened: OpenedRecording) -> int:
    return play(opened, 1000.0, None)


def test_a_search_tells_when_a_text_was_printed(
    opened: OpenedRecording, capfd: pytest.CaptureFixture[str]
) -> None:
    assert print_found(opened, "bold") == 0
    assert capfd.readouterr().out == "0:00:01.000 one bold\n"
    assert print_found(opened, "o two") == 0
    assert capfd.readouterr().out == "0:00:03.000 tw\N{REPLACEMENT CHARACTER}o two\n"
    assert print_found(opened, "three") == 0
    assert capfd.readouterr().out.startswith("0:01:05.000")
    assert print_found(opened, "missing") == 1


@pytest.mark.parametrize(
    ("speed", "limit", "seconds"), [(1.0, None, 65.0), (2.0, None, 32.5), (1.0, 2.0, 5.0)]
)
def test_it_plays_in_its_time(
    speed: float,
    limit: float | None,
    seconds: float,
    opened: OpenedRecording,
    clocked: Clock,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    assert play(opened, speed, limit) == 0
    assert printed(capfdbinary) == OUTPUT
    assert clocked.now == pytest.approx(seconds)


def test_ctrl_c_ends_it(opened: OpenedRecording, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    assert play(opened, 1.0, None) == 130


def test_a_clock() -> None:
    assert [clock(0.0), clock(3725.25)] == ["0:00:00.000", "1:02:05.250"]


class Keyed(Player):
    """A player whose keys come at times of the recording's play."""

    def __init__(self, opened: OpenedRecording, clock: Clock, keys: list[tuple[float, str]]):
        super().__init__(opened, 1.0, None, 0)
        self.clock = clock
        self.keys = list(keys)

    def _key(self, seconds: float | None) -> str | None:
        if self.keys and (seconds is None or self.clock.now + seconds >= self.keys[0][0]):
            at, key = self.keys.pop(0)
            self.clock.now = max(self.clock.now, at)
            return key
        assert seconds is not None
        self.clock.now += seconds
        return None


@pytest.mark.parametrize(
    ("keys", "seconds", "shown"),
    [
        ([(2.0, "pause"), (12.0, "pause")], 75.0, 1),
        ([(5.0, "forwards")], 60.0, 1),
        ([(0.5, "forwards")], 60.0, 1),
        ([(2.0, "back")], 67.0, 2),
        ([(10.0, "back")], 70.0, 2),
        ([(5.0, "faster")], 35.0, 1),
        ([(5.0, "slower")], 125.0, 1),
        ([(5.0, "quit")], 5.0, 1),
    ],
)
def test_keys(
    keys: list[tuple[float, str]],
    seconds: float,
    shown: int,
    opened: OpenedRecording,
    clocked: Clock,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    assert Keyed(opened, clocked, keys).run() == 0
    assert clocked.now == pytest.approx(seconds)
    out = printed(capfdbinary)
    assert out.count(b"one") == shown
    assert out.endswith(b"three\x1b[8;24;80t") is (keys[0][1] != "quit")


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_keys_are_read_from_the_terminal(
    opened: OpenedRecording, terminal: tuple[int, int]
) -> None:
    import tty

    master, slave = terminal
    tty.setcbreak(slave)
    player: Any = Player(opened, 1.0, None, slave)
    os.write(master, b"\x1b[C")
    assert player._key(None) == "forwards"
    assert player._key(0.0) is None
    os.write(master, b"?")
    assert player._key(0.0) is None
