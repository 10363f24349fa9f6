"""Jump hosts and proxy commands of a configuration."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import nacre
from cli.common.test_connect import silence_after
from client.test_route import PASS_KEY, RELAY, Passing
from nacre.cli.common.connect import dial_and_log_in
from nacre.cli.common.log import Log, open_log
from nacre.client.configured import jumps
from nacre.client.target import Target
from nacre.config import destination
from nacre.config.client.config import ClientConfig
from nacre.config.client.files import Config, parse
from nacre.errors import ConfigurationError, ConnectFailed, DeadlineExceeded, HostKeyUnknown
from nacre.keys import dump_private
from nacre.value import replace
from parties import until


class Files(Config):
    """Stands for configuration files.

    :param say: gets a host and the options for it; returns its configuration.
    """

    def __init__(self, say: Callable[[str, list[str]], ClientConfig]) -> None:
        self._say = say

    def lookup(
        self, host: str, options: Iterable[str] = (), *, command: str | None = None
    ) -> ClientConfig:
        return self._say(host, list(options))


class Jumps:
    """A host and two jump hosts before it.

    :ivar options: what each of the three gets, but for user and port.
    """

    def __init__(
        self, servers: list[nacre.Server], policies: list[Passing], directory: Path
    ) -> None:
        key = directory / "key"
        key.write_bytes(dump_private(PASS_KEY))
        key.chmod(0o600)
        self.servers = servers
        self.policies = policies
        self.log_file = directory / "log"
        self.options = [
            f"IdentityFile={key}",
            "IdentityAgent=none",
            "BatchMode=yes",
            "GlobalKnownHostsFile=none",
            f"UserKnownHostsFile={directory / 'known_hosts'}",
            "StrictHostKeyChecking=accept-new",
        ]
        self.names = [f"[127.0.0.1]:{server.port}" for server in servers]
        self.texts = [f"user{n}@127.0.0.1:{server.port}" for n, server in enumerate(servers[:-1])]

    def files(self, *options: str) -> Files:
        """Return the configuration of the jump hosts: ``options``, then ours."""
        return Files(lambda host, given: parse([*given, *options, *self.options]))

    async def connect(self, *options: str, files: Files | None = None) -> nacre.Connection:
        port = self.servers[-1].port
        jump = "ProxyJump=" + ",".join(self.texts)
        config = parse([*options, "User=user2", f"Port={port}", jump, *self.options])
        with open_log(str(self.log_file)) as file:
            log = Log(config.log_level, file)
            target = Target.of("127.0.0.1", config)
            return await dial_and_log_in(target, config, log, None, files or self.files())


@pytest.fixture
async def way(tmp_path: Path) -> AsyncIterator[Jumps]:
    policies = [Passing(f"user{number}") for number in range(3)]
    async with contextlib.AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(
                nacre.listen(
                    host_keys=[nacre.generate("ssh-ed25519")],
                    policy=policy,
                    log=lambda record: None,
                )
            )
            for policy in policies
        ]
        yield Jumps(servers, policies, tmp_path)


async def test_each_hop_has_a_configuration_of_its_own(way: Jumps) -> None:
    async with await way.connect("LogLevel=DEBUG1") as ssh:
        assert ssh.via is not None
        assert (ssh.via.user, ssh.via.name) == ("user1", way.names[1])
        assert [len(server.connections) for server in way.servers] == [1, 1, 1]
    await until(lambda: not any(len(server.connections) for server in way.servers))
    log = way.log_file.read_text()
    assert log.count("debug1: Connecting to the jump host 127.0.0.1 port") == 2


async def test_a_hop_by_a_name_of_its_own(way: Jumps) -> None:
    """HostName leads elsewhere; errors have the name that the user gave."""
    way.texts = [text.replace("127.0.0.1", "gate") for text in way.texts]
    async with await way.connect(files=way.files("HostName=127.0.0.1")) as ssh:
        assert ssh.via is not None
        assert ssh.via.name == f"[gate]:{way.servers[1].port}"
        assert ssh.via.host == "127.0.0.1"


async def test_options_of_the_host_are_not_those_of_hops(
    way: Jumps, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a configuration, hops get the defaults: no key is trusted unasked."""
    monkeypatch.setenv("HOME", str(tmp_path))
    port = way.servers[-1].port
    config = parse(["User=user2", f"Port={port}", f"ProxyJump={way.texts[0]}", *way.options])
    target = Target.of("127.0.0.1", config)
    with open_log(str(way.log_file)) as file, pytest.raises(HostKeyUnknown) as caught:
        await dial_and_log_in(target, config, Log(config.log_level, file))
    assert caught.value.hop == way.names[0]


async def test_the_first_hop_may_have_hops_and_the_others_not(way: Jumps) -> None:
    """As with ssh -J: only the first jump host is reached as its own configuration says."""
    first, second = way.texts
    way.texts = [second]
    plain, own = way.files(), way.files(f"ProxyJump={first}")
    files = Files(
        lambda host, given: (own if given[0] == 'User="user1"' else plain).lookup(host, given)
    )
    async with await way.connect(files=files) as ssh:
        assert ssh.via is not None
        assert ssh.via.via is not None
        assert ssh.via.via.name == way.names[0]
    way.texts = [first, second]
    async with await way.connect(files=files) as ssh:
        assert ssh.via is not None
        assert ssh.via.via is not None
        assert ssh.via.via.via is None


def of(name: str, **options: Any) -> tuple[Target, ClientConfig]:
    config = ClientConfig(user="u", **options)
    return Target.of(destination.parse("-J", name).host, config), config


def said(fields: Callable[[str], dict[str, Any]] = lambda name: {}) -> Files:
    """Return files that say ``fields`` for a host."""
    return Files(lambda name, given: ClientConfig(**{"user": "u", **fields(name)}))


@pytest.mark.parametrize("text", ["a,b,a", "host", "self", "circle"])
def test_a_way_that_comes_back_is_refused(text: str) -> None:
    jumping = {"self": "self", "circle": "other", "other": "circle"}
    target, config = of("host", proxy_jump=text)
    with pytest.raises(ConfigurationError, match="twice"):
        jumps(target, config, said(lambda name: {"proxy_jump": jumping.get(name)}))


def test_a_way_without_an_end_is_refused() -> None:
    target, config = of("0", proxy_jump="1")
    with pytest.raises(ConfigurationError, match="17 jump hosts: give at most 16"):
        jumps(target, config, said(lambda name: {"proxy_jump": str(int(name) + 1)}))


def test_the_same_address_behind_a_jump_host_is_another_host() -> None:
    target, config = of("host", proxy_jump="a,b")
    files = said(lambda name: {"user": name, "host_name": "127.0.0.1"})
    assert [place.user for place, _ in jumps(target, config, files)] == ["a", "b"]
    files = said(lambda name: {"host_name": "127.0.0.1"})
    assert [place.name for place, _ in jumps(target, config, files)] == ["a", "b"]


def test_tokens_of_proxy_jump() -> None:
    target, config = of("h", proxy_jump="%r-%n-%h-%p", host_name="%h.org", port=2222)
    assert [place.name for place, _ in jumps(target, config, said())] == ["u-h-h.org-2222"]


# --- what goes wrong names the hop ---

PHASES = {
    "line": 0,
    "KEXINIT": 20,
    "reply": 31,
    "NEWKEYS": 21,
    "SERVICE_ACCEPT": 6,
    "USERAUTH_SUCCESS": 52,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "bound", [["ConnectTimeout=1"], ["ServerAliveInterval=1", "ServerAliveCountMax=1"]],
    ids=["ConnectTimeout", "ServerAlive"],
)  # fmt: skip
@pytest.mark.parametrize("last", PHASES)
async def test_a_hop_that_falls_silent_is_named(
    last: str, bound: list[str], way: Jumps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its last message, the first hop says nothing more; after SUCCESS, to the channel."""
    silence_after(PHASES[last], monkeypatch)
    async with asyncio.timeout(20):
        with pytest.raises(DeadlineExceeded) as caught:
            await way.connect(*bound)
    assert caught.value.hop == way.names[0]


@pytest.mark.slow
async def test_one_time_is_for_all_hops(way: Jumps) -> None:
    """Each hop takes less than ConnectTimeout; all together take more."""
    for policy in way.policies:
        policy.delay = 0.6
    async with asyncio.timeout(20):
        with pytest.raises(DeadlineExceeded):
            await way.connect("ConnectTimeout=1")


# --- ProxyCommand ---


async def through(command: str, way: Jumps, *options: str) -> nacre.Connection:
    port = way.servers[-1].port
    words = [*options, "User=user2", f"Port={port}", f"ProxyCommand={command}", *way.options]
    config = parse(words)
    with open_log(str(way.log_file)) as file:
        target = Target.of("127.0.0.1", config)
        return await dial_and_log_in(target, config, Log(config.log_level, file))


def relay(*words: str) -> str:
    return " ".join([sys.executable, "-c", shlex.quote(RELAY), *words])


async def test_tokens_of_a_proxy_command(way: Jumps, tmp_path: Path) -> None:
    note = f"echo %n %h %p %r %% > {tmp_path}/note;"
    command = f"sh -c {shlex.quote(note + 'exec ' + relay('%p'))}"
    async with await through(command, way, "LogLevel=DEBUG1") as ssh:
        assert ssh.via is None
    port = way.servers[-1].port
    assert (tmp_path / "note").read_text() == f"127.0.0.1 127.0.0.1 {port} user2 %\n"
    assert "debug1: Executing proxy command: exec sh -c " in way.log_file.read_text()
    with pytest.raises(
        ConfigurationError, match="%u is not possible here; allowed: %% %h %n %p %r"
    ):
        await through("nc %u", way)


async def test_a_proxy_command_that_fails(way: Jumps) -> None:
    with pytest.raises(ConnectFailed, match="the proxy command 'exit 3' ended with status"):
        await through("exit 3", way)


@pytest.mark.parametrize("name", ["h;touch x", "-oProxyCommand=x", "$(x)", "a b"])
async def test_no_name_runs_anything(name: str, way: Jumps) -> None:
    config = replace(parse([f"ProxyCommand=touch {way.log_file}-%h"]), host_name=None)
    bad = Target(name, "h", 22, "u"), Target("h", name, 22, "u"), Target("h", "h", 22, "u;x")
    for target in bad:
        with open_log(str(way.log_file)) as file, pytest.raises(ConfigurationError):
            await dial_and_log_in(target, config, Log(config.log_level, file))
    assert len([*way.log_file.parent.glob("log*")]) == 1


async def test_the_first_hop_may_have_a_proxy_command(way: Jumps) -> None:
    async with await way.connect(files=way.files(f"ProxyCommand={relay('%p')}")) as ssh:
        assert ssh.via is not None
        assert await ssh.keepalive() >= 0
    with pytest.raises(ConnectFailed) as caught:
        await way.connect(files=way.files("ProxyCommand=false"))
    assert caught.value.hop == way.names[0]
