from __future__ import annotations

import pytest

import nacre
from cli.quick.scripted_master import ScriptedMaster
from nacre.client.sharing import messages as m
from nacre.errors import ConfigurationError, ConnectFailed


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([m.Failure(0, "unsupported request")], "does not carry connections: unsupported request"),
        ([m.Done(0)], "it has another answer"),
        ([], "the master ended the connection"),
    ],
)
async def test_a_master_that_does_not_carry(answer, said):
    with ScriptedMaster({m.Proxy: answer}) as master, pytest.raises(ConnectFailed, match=said):
        await nacre.connect("host", control=master.path, config=None)


async def test_another_version():
    refused = pytest.raises(ConnectFailed, match="another version")
    with ScriptedMaster({}, m.Hello(5, b"")) as master, refused:
        await nacre.connect("host", control=master.path, config=None)


async def test_a_path_needs_a_master(tmp_path):
    with pytest.raises(ConnectFailed, match=r"no master answers at .*: No such file"):
        await nacre.connect("host", control=tmp_path / "m", config=None)


async def test_auto_goes_on_without_a_master(tmp_path):
    """The connection is then made as ever: here it fails as such."""
    config = tmp_path / "config"
    config.write_text("Host shared\nControlPath %d/%n-none\nHost *\nProxyCommand false\n")
    for host in ("shared", "other"):
        with pytest.raises(nacre.NacreError) as caught:
            await nacre.connect(host, control="auto", config=config)
        assert "master" not in str(caught.value)
    config.write_text("ControlPath %q\n")
    with pytest.raises(ConfigurationError, match="%q"):
        await nacre.connect("host", control="auto", config=config)


async def test_a_connection_that_is_carried():
    with ScriptedMaster({m.Proxy: [m.Proxied(0)]}) as master:
        async with nacre.connect("host", user="alice", control=master.path, config=None) as ssh:
            assert (ssh.host, ssh.user, ssh.methods) == ("host", "alice", ())
            with pytest.raises(nacre.LocalProtocolError):
                await ssh.keepalive()
