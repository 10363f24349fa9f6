"""What one server sends to the next."""

from __future__ import annotations

import json
import os
import socket

import pytest

from nacre.daemon.handover.estate import MOST, NOTHING, Estate, receive
from nacre.daemon.sockets import Address, ListeningSockets, Passed
from nacre.errors import StateError


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def test_all_of_it_arrives_with_its_descriptors() -> None:
    ours, theirs = pair()
    with ours, theirs, ListeningSockets() as sockets, ListeningSockets() as metrics:
        api = ListeningSockets()
        api.change([Address("127.0.0.1", 0, told_by="--api")])
        sockets.change([Address("127.0.0.1", 0), Address("127.0.0.2", 0)])
        metrics.change([Address("127.0.0.1", 0, told_by="--metrics")])
        more = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
        estate = Estate(
            sockets=Passed(*sockets.pack()),
            asking=more[0],
            metrics=Passed(*metrics.pack()),
            api=Passed(*api.pack()),
            control=more[1],
            counts=more[2],
            parts=[(0, 2), (4, 1)],
            first=300,
            limits={"RLIMIT_NOFILE": (1024, 4096)},
        )
        estate.send(ours)
        found = receive(theirs)
        assert (found.parts, found.first, found.limits) == (
            [(0, 2), (4, 1)],
            300,
            {"RLIMIT_NOFILE": (1024, 4096)},
        )
        with ListeningSockets() as again:
            again.adopt(found.sockets)
            assert again.addresses == sockets.addresses
            assert [one.getsockname() for one in again.all] == [
                one.getsockname() for one in sockets.all
            ]
        for passed, sent in ((found.metrics, metrics), (found.api, api)):
            (listener,) = passed.descriptors
            with socket.socket(fileno=listener) as sock:
                assert sock.getsockname() == sent.all[0].getsockname()
        api.close()
        assert found.control is not None
        assert found.counts is not None
        for descriptor in (found.asking, found.control, found.counts):
            assert not os.get_inheritable(descriptor)
            assert os.path.samestat(os.fstat(descriptor), os.stat(os.devnull))
            os.close(descriptor)
        for descriptor in more:
            os.close(descriptor)


def test_one_with_too_many_sockets_is_refused() -> None:
    ours, theirs = pair()
    with ours, theirs:
        estate = Estate(sockets=Passed(b"[]", [0] * MOST), asking=0, limits={})
        with pytest.raises(StateError, match="too many sockets"):
            estate.send(ours)


def test_a_successor_that_has_ended_is_an_error() -> None:
    ours, theirs = pair()
    theirs.close()
    with ours, pytest.raises(StateError, match="ended at once"):
        Estate(sockets=NOTHING, asking=0, limits={}).send(ours)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"rubbish",
        b"{}",
        b"[]",
        json.dumps({"addresses": "[]", "sockets": 1, "metrics_addresses": "[]"}).encode(),
    ],
)
def test_what_is_none_is_refused(header: bytes) -> None:
    ours, theirs = pair()
    with ours, theirs:
        socket.send_fds(ours, [header], [0])
        with pytest.raises(StateError, match="can't be read"):
            receive(theirs)


def test_a_descriptor_that_is_missing_is_noticed() -> None:
    ours, theirs = pair()
    with ours, theirs:
        estate = Estate(sockets=Passed(b"[]", [0]), asking=0, limits={})
        sent: list[bytes] = []
        estate.send(ours)
        data, descriptors, _, _ = socket.recv_fds(theirs, 65536, 10)
        sent.append(data)
        for one in descriptors:
            os.close(one)
        socket.send_fds(ours, sent, [0])
        with pytest.raises(StateError, match="a descriptor is missing"):
            receive(theirs)
