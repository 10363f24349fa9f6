"""Claims: what a session asks its server, and what the server has let it do."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

from nacre.limits import MIB
from nacre.sftp.filesystems.quota import claim as module
from nacre.sftp.filesystems.quota.claim import (
    ACQUIRE,
    ANSWER,
    EXTEND,
    REFUSED,
    REQUEST_SIZE,
    Ahead,
    Claim,
    ClaimRequest,
    LedgerClaim,
    opened_claim,
    send_claim,
    since_start,
)
from nacre.sftp.filesystems.quota.ledger import Ledger, open_private
from nacre.sftp.filesystems.quota.limits import QuotaLimits
from nacre.sftp.protocol.status import ToldError


class Given:
    """A claim of a session, and its server's end."""

    def __init__(self, directory: Path) -> None:
        self.server, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.file = open_private(directory, "claim", 100)
        ledger = open_private(directory, "ledger", 100)
        send_claim(self.server, ledger.fileno(), self.file.fileno())
        ledger.close()
        self.ledger, claim = opened_claim(FileIO(theirs.detach(), "r+"))
        assert claim is not None
        self.claim: LedgerClaim = claim

    def answer_next(self, *numbers: int) -> list[ClaimRequest]:
        """Answer one request in a thread; what was asked is in the list then."""
        asked: list[ClaimRequest] = []

        def answer() -> None:
            request = ClaimRequest.decode(self.server.recv(REQUEST_SIZE))
            assert request is not None
            asked.append(request)
            Claim(1, 0, request.ahead).write(self.file.fileno())
            for number in (*numbers, request.number):
                self.server.send(ANSWER.pack(number))

        threading.Thread(target=answer, daemon=True).start()
        return asked


@pytest.fixture
def given(tmp_path: Path) -> Iterator[Given]:
    made = Given(tmp_path)
    yield made
    made.claim.close()
    made.ledger.close()
    made.file.close()
    made.server.close()


def test_a_claim_holds_until_its_time(given: Given) -> None:
    assert not given.claim.holds()
    Claim(7, since_start() + 60_000_000_000).write(given.file.fileno())
    assert given.claim.holds()
    Claim(7, since_start() - 1).write(given.file.fileno())
    assert not given.claim.holds()
    Claim(0, since_start() + 60_000_000_000).write(given.file.fileno())
    assert not given.claim.holds()


def test_a_claim_does_not_outlive_a_start_of_the_system(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Claim(7, since_start() + 60_000_000_000, Ahead(1, 2, 3, 4, 5))
    said.write(given.file.fileno())
    assert Claim.read(given.file.fileno()) == said
    assert given.claim.holds()
    monkeypatch.setattr(module, "_own_boot", lambda: b"of another start")
    assert Claim.read(given.file.fileno()) == Claim()
    assert given.claim.holds()  # it knows the server's start, and reads none itself
    said.write(given.file.fileno())
    assert Claim.read(given.file.fileno()) == said
    assert not given.claim.holds()


def test_no_program_inherits_a_ledger_or_its_claim(given: Given) -> None:
    for file in (given.ledger, given.claim._file):
        assert not os.get_inheritable(file.fileno())


def test_an_answer_to_an_earlier_question_is_none(given: Given) -> None:
    assert not given.claim.acquire(0.01)
    given.server.recv(REQUEST_SIZE)
    asked = given.answer_next(1)
    assert given.claim.acquire(30)
    assert [one.what for one in asked] == [ACQUIRE]


def test_figures_go_a_portion_further_than_the_database_knows(given: Given) -> None:
    given.claim.limit(QuotaLimits(transfer_up=160 * MIB, bytes=1))
    given.claim.holds()
    asked = given.answer_next()
    given.claim.cover(Ahead(3, 5, 6, 7, 8))
    assert asked == [(EXTEND, 1, Ahead(3, 5 + 10 * MIB, 0, 0, 0))]
    given.claim.cover(Ahead(3, 5 + 10 * MIB, 99, 99, 99))  # which asks nothing
    asked = given.answer_next()
    given.claim.cover(Ahead(4, 1, 0, 0, 0))
    assert [one.ahead for one in asked] == [Ahead(4, 1 + 10 * MIB, 0, 0, 0)]


def test_without_limits_of_transfers_nothing_is_asked(given: Given) -> None:
    given.claim.limit(QuotaLimits(bytes=10, rate_up=10))
    given.claim.holds()
    given.claim.cover(Ahead(3, 5, 6, 7, 8))


def test_what_a_group_stores_goes_a_portion_further(given: Given) -> None:
    given.claim.limit(QuotaLimits(group="team", bytes=1 << 40, files=20))
    given.claim.holds()
    asked = given.answer_next()
    given.claim.cover(Ahead(0, 1, 1, 5, 6))
    assert [one.ahead for one in asked] == [Ahead(0, 0, 0, 5 + 64 * MIB, 22)]


@pytest.mark.parametrize("changed", [False, True], ids=["nothing changed", "files changed"])
def test_a_transfer_that_is_refused_counts_only_if_files_were_changed(
    given: Given, changed: bool
) -> None:
    given.claim.limit(QuotaLimits(transfer_down=160 * MIB))
    Claim(7, since_start() + 600_000_000_000).write(given.file.fileno())
    ledger = Ledger(given.ledger, given.claim)
    given.server.send(ANSWER.pack(REFUSED | 1))  # to what is asked first

    def transfer() -> None:
        with ledger.held() as usage:
            if changed:
                ledger.mark(usage)
            usage.down += 1000

    with pytest.raises(ToldError, match="gives no answer"):
        transfer()
    assert ledger.read().down == (1000 if changed else 0)


def test_a_server_that_ends_is_an_error(given: Given) -> None:
    given.server.close()
    with pytest.raises(OSError, match=r"about to end|Broken pipe|reset"):
        given.claim.acquire(30)


def test_figures_that_go_further_never_go_back() -> None:
    assert Ahead(1, 9, 9, 9, 9).extended(Ahead(1, 3, 12, 1, 11)) == Ahead(1, 9, 12, 9, 11)
    assert Ahead(1, 9, 9, 9, 9).extended(Ahead(2, 3, 4, 1, 11)) == Ahead(2, 3, 4, 9, 11)


def test_the_period_that_is_asked_for_holds_also_if_it_began_earlier() -> None:
    daily, total = Ahead(86400, 9, 9, 9, 9), Ahead(0, 30, 40, 1, 1)
    assert daily.extended(total) == Ahead(0, 30, 40, 9, 9)
    assert total.extended(daily) == Ahead(86400, 9, 9, 9, 9)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        ClaimRequest(9, 1, Ahead()).encode(),
        ClaimRequest(EXTEND, 1, Ahead(up=-1)).encode(),
        ClaimRequest(EXTEND, 1, Ahead()).encode() + b"x",
    ],
)
def test_what_is_no_request_is_none(data: bytes) -> None:
    assert ClaimRequest.decode(data) is None


def test_a_file_is_a_ledger_without_a_claim(tmp_path: Path) -> None:
    file = open_private(tmp_path, "ledger", 100)
    assert opened_claim(file) == (file, None)
    file.close()


def test_a_socket_with_nothing_on_it_is_refused() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    with pytest.raises((OSError, ToldError), match="no ledger"):
        opened_claim(FileIO(theirs.detach(), "r+"))
