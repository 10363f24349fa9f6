"""What a connection through a master asks it to forward; real masters: tests/interop."""

from __future__ import annotations

import pytest

from cli.shared.scripted_master import ScriptedMaster
from nacre.client.sharing import messages as m
from nacre.client.sharing.forwards import SharedForwards
from nacre.errors import ConnectFailed, LocalProtocolError, RequestFailed
from nacre.protocol.tcpip import Endpoint
from parties import until

HERE = Endpoint("127.0.0.1", 22)
PLACES = {
    "a port": (Endpoint("localhost", 80), HERE, ("localhost", 80, "127.0.0.1", 22)),
    "all addresses": (Endpoint("", 80), HERE, ("*", 80, "127.0.0.1", 22)),
    "sockets": (
        Endpoint(path="/there"),
        Endpoint(path="/here"),
        ("/there", m.UNIX_SOCKET, "/here", m.UNIX_SOCKET),
    ),
}


@pytest.mark.parametrize(("listen", "leads", "fields"), PLACES.values(), ids=PLACES)
async def test_the_master_is_asked_and_asked_to_end_it(ssh, listen, leads, fields):
    answers = {m.OpenForward: [m.Done(0)], m.CloseForward: [m.Done(1)]}
    with ScriptedMaster(answers) as master:
        listener = await SharedForwards(ssh, master.path).remote(leads, listen)
        assert (listener.host, listener.port, listener.path) == (
            listen.host,
            listen.port,
            listen.path,
        )
        await listener.close()
        assert master.taken[1:] == [
            m.OpenForward(0, m.REMOTE, *fields),
            m.CloseForward(1, m.REMOTE, *fields),
        ]


async def test_the_port_is_told_and_the_end_of_the_connection_ends_it(ssh):
    with ScriptedMaster({m.OpenForward: [m.PortChosen(0, 4321)]}) as master:
        forwards = SharedForwards(ssh, master.path)
        listener = await forwards.remote_dynamic(None, Endpoint("localhost", 0))
        assert listener.port == 4321
        ssh.abort()
        fields = (m.REMOTE, "localhost", 0, m.SOCKS, 0)
        await until(lambda: master.taken[-1] == m.CloseForward(1, *fields))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (m.Failure(0, "port taken\x1b"), r"port taken\\x1b"),
        (m.Forbidden(0, "Permission denied"), "Permission denied"),
        (m.Alive(0, 1), "another answer"),
    ],
    ids=repr,
)
async def test_a_master_that_does_not(ssh, answer, said):
    with (
        ScriptedMaster({m.OpenForward: [answer]}) as master,
        pytest.raises(RequestFailed, match=said),
    ):
        await SharedForwards(ssh, master.path).remote(HERE, Endpoint("localhost", 80))


async def test_what_a_master_is_not_asked_for(ssh, tmp_path):
    forwards = SharedForwards(ssh, str(tmp_path / "none"))
    with pytest.raises(LocalProtocolError, match="PermitRemoteOpen"):
        await forwards.remote_dynamic([("*", 80)], HERE)
    with pytest.raises(ConnectFailed, match="no master answers"):
        await forwards.remote(HERE, HERE)
