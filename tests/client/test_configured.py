"""What a configuration means for a connection, and that the library heeds it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import nacre
from gss.fake_library import fake_library
from nacre.client import configured
from nacre.client.options import NO_OPTIONS, identities_of
from nacre.client.target import Target
from nacre.config.client import files
from nacre.config.client.config import ClientConfig
from nacre.config.client.files import parse
from nacre.config.destination import Destination
from nacre.errors import ConfigurationError
from nacre.gss.initiator import ContextInitiator
from nacre.keys.certificate import Certificate, CertifiedKey
from parties import handle
from party_fixtures import host_key  # noqa: F401

KEY = nacre.generate("ssh-ed25519")
SECRET = "open sesame"


def test_methods() -> None:
    every = ["publickey", "password", "keyboard-interactive"]
    assert configured.methods(ClientConfig(), every) == every
    assert configured.methods(parse(["PasswordAuthentication=no"]), every) == [every[0], every[2]]
    assert configured.methods(parse(["PubkeyAuthentication=no"]), every) == every[1:]
    asked = parse(["PreferredAuthentications=gssapi-with-mic,password,publickey"])
    found = configured.methods(asked, asked.preferred_authentications)
    assert found == ["password", "publickey"]


def test_methods_of_gssapi_are_off_until_they_are_asked_for() -> None:
    order = ClientConfig().preferred_authentications
    assert not {"gssapi-keyex", "gssapi-with-mic"} & set(configured.methods(ClientConfig(), order))
    on = parse(["GSSAPIAuthentication=yes"])
    assert configured.methods(on, order)[:1] == ["gssapi-with-mic"]
    both = parse(["GSSAPIAuthentication=yes", "GSSAPIKeyExchange=yes"])
    assert configured.methods(both, order)[:2] == ["gssapi-keyex", "gssapi-with-mic"]


def test_what_the_words_of_gssapi_mean() -> None:
    target = Target("web", "web.example.org", 22, "alice")
    assert configured.initiator(target, ClientConfig()) is None
    plain = configured.initiator(target, parse(["GSSAPIAuthentication=yes"]))
    assert plain == ContextInitiator(host="web.example.org")
    every = parse(
        [
            *("GSSAPIKeyExchange=yes", "GSSAPIKexAlgorithms=gss-nistp256-sha256-"),
            *("GSSAPIDelegateCredentials=yes", "GSSAPIClientIdentity=a@X", "GSSAPITrustDns=yes"),
        ]
    )
    kex = "gss-nistp256-sha256-toWM5Slw5Ew8Mqkay+al2g=="
    expected = ContextInitiator(
        host="web.example.org", kex=(kex,), delegate=True, principal="a@X", trust_dns=True
    )
    assert configured.initiator(target, every) == expected
    named = parse(["GSSAPIAuthentication=yes", "GSSAPIServerIdentity=a.b", "GSSAPITrustDns=yes"])
    assert configured.initiator(target, named) == ContextInitiator(host="a.b")


@pytest.mark.parametrize(
    ("wanted", "on", "delegates"),
    [(None, True, False), (True, True, False), ("delegate", True, True), (False, False, False)],
)
def test_what_a_caller_says_of_gssapi_counts(
    wanted: Any,
    on: bool,
    delegates: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", fake_library())
    config = parse(["GSSAPIAuthentication=yes", "GSSAPIKeyExchange=yes"])
    found = configured.with_gssapi(wanted, config)
    assert (found.gssapi_authentication, found.gssapi_key_exchange) == (on, on)
    assert found.gssapi_delegate_credentials is delegates


@pytest.mark.parametrize(
    ("keys", "gssapi", "first"),
    [
        (None, None, "gssapi-with-mic"),
        ([KEY], None, "publickey"),  # its first request is a signed one
        ([KEY], True, "gssapi-with-mic"),
    ],
)
def test_keys_that_are_given_come_before_a_ticket_that_is_not(
    keys: list[nacre.PrivateKey] | None, gssapi: Any, first: str
) -> None:
    options: Any = {**NO_OPTIONS, "keys": keys, "gssapi": gssapi}
    config = parse(["GSSAPIAuthentication=yes"])
    target = Target("a", "a", 22, "alice")
    trust = nacre.AnyHostKey()
    found = identities_of(target, config, options, ("ssh-ed25519",), trust, lambda: None)
    assert found._methods[0] == first
    assert found._sign_first is (first == "publickey")


async def test_gssapi_without_its_library_is_an_error_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    with pytest.raises(ConfigurationError, match=r"nacre\[gssapi\]"):
        await nacre.connect("localhost", 1, gssapi=True, config=None)


def test_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/default")
    monkeypatch.setenv("OTHER", "/other")
    tokens = {"d": "/home/me"}
    assert configured.agent_path("SSH_AUTH_SOCK", tokens) == "/default"
    assert configured.agent_path("$OTHER", tokens) == "/other"
    assert configured.agent_path("%d/agent", tokens) == "/home/me/agent"
    assert configured.agent_path("none", tokens) is None
    monkeypatch.delenv("OTHER")
    assert configured.agent_path("$OTHER", tokens) is None


def test_a_proxy_command_gets_no_name_that_a_shell_acts_on() -> None:
    target = Target("a;reboot", "a;reboot", 22, "alice")
    with pytest.raises(ConfigurationError, match="can't be the name of a host"):
        configured.proxy(target, "nc %h %p")
    assert configured.proxy(Target("a", "a.example", 23, "b"), "nc %h %p")[1] == "nc a.example 23"


def test_no_name_adds_a_jump_host(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Host h\n  ProxyJump gate,%r@gw\n")
    found = nacre.Config.load(tmp_path / "config")
    target, config = configured.look_up(found, Destination("h", "a@elsewhere,b"))
    way = configured.jumps(target, config, found)
    assert [(place.user, place.name) for place, _ in way][1] == ("a@elsewhere,b", "gw")
    assert len(way) == 2


def test_jump_hosts_of_the_first_one_come_before_it(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "Host c\n ProxyJump a,b\nHost a\n ProxyJump x\n Port 2222\nHost b\n ProxyJump y\n"
    )
    found = nacre.Config.load(tmp_path / "config")
    target, config = configured.look_up(found, Destination("c"))
    way = configured.jumps(target, config, found)
    assert [(place.name, place.port) for place, _ in way] == [("x", 22), ("a", 2222), ("b", 22)]
    (tmp_path / "loop").write_text("Host c\n ProxyJump a\nHost a\n ProxyJump c\n")
    found = nacre.Config.load(tmp_path / "loop")
    with pytest.raises(ConfigurationError, match=r"ProxyJump leads to .*c port 22 twice"):
        configured.jumps(*configured.look_up(found, Destination("c")), found)


# --- the library, with a server in this process ---


@pytest.fixture
async def server(host_key: nacre.PrivateKey) -> AsyncIterator[nacre.Server]:  # noqa: F811
    users: dict[str, nacre.PublicKey | str] = {"alice": KEY.public, "bob": SECRET}
    async with nacre.listen(host_keys=[host_key], policy=nacre.Users(users), handler=handle) as one:
        yield one


@pytest.fixture
def write(
    server: nacre.Server,
    host_key: nacre.PrivateKey,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Path]:
    """Return a function that writes the user's file; ``Host web`` leads to the server."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(files, "USER_FILE", "~/.ssh/config")
    place = tmp_path / ".ssh"
    place.mkdir(mode=0o700)
    (place / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {host_key.public}\n")
    (place / "web_key").write_bytes(nacre.dump_private(KEY))
    (place / "web_key").chmod(0o600)

    def write(more: str) -> Path:
        lines = (
            f"Host web\n Hostname 127.0.0.1\n Port {server.port}\n User alice\n",
            " IdentityFile ~/.ssh/web_key\n",
            more,
        )
        (place / "config").write_text("".join(lines))
        return place

    return write


async def test_a_list_of_certificates_alone_asks_for_no_plain_key(
    write: Callable[[str], Path],
    host_key: nacre.PrivateKey,  # noqa: F811
) -> None:
    """The server's key is on record; the authority of its certificate is not."""
    made = Certificate.issue(host_key.public, KEY, kind="host", principals=["127.0.0.1"])
    shown = [CertifiedKey(made, host_key), host_key]
    async with nacre.listen(host_keys=shown, policy=nacre.Users({"alice": KEY.public})) as server:
        place = write(" HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com\n")
        (place / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {host_key.public}\n")
        with pytest.raises(nacre.HostKeyUnknown, match="counts only if HostKeyAlgorithms has"):
            await nacre.connect("web", port=server.port)
        write(" HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com,ssh-ed25519\n")
        async with nacre.connect("web", port=server.port) as ssh:
            assert "ssh-ed25519-cert-v01@openssh.com" in str(ssh.algorithms)


async def test_a_name_that_only_the_users_file_knows(write: Callable[[str], Path]) -> None:
    write(" ServerAliveInterval 7\n Ciphers aes256-ctr\n Compression yes\n")
    async with nacre.connect("web") as ssh:
        assert (ssh.user, ssh.host) == ("alice", "127.0.0.1")
        assert ssh.algorithms is not None
        assert str(ssh.algorithms).count("aes256-ctr") == 2
        assert (await ssh.run("exit 3")).exit_status == 3


async def test_what_the_caller_gives_counts_before_the_files(write: Callable[[str], Path]) -> None:
    place = write(" PasswordAuthentication no\n KbdInteractiveAuthentication no\n")
    async with nacre.connect("web", user="bob", password=SECRET) as ssh:
        assert ssh.user == "bob"
    (place / "none").touch()
    with pytest.raises(nacre.HostKeyUnknown):
        await nacre.connect("web", known_hosts=place / "none")
    with pytest.raises(nacre.ConnectFailed):
        await nacre.connect("web", 1)


async def test_without_files_the_name_is_the_host(
    server: nacre.Server, write: Callable[[str], Path]
) -> None:
    write("")
    with pytest.raises(nacre.ConnectFailed, match="can't find the host web"):
        await nacre.connect("web", config=None)


async def test_one_file_in_place_of_the_usual_ones(write: Callable[[str], Path]) -> None:
    place = write("")
    (place / "other").write_text((place / "config").read_text().replace("web\n", "other\n"))
    for config in (place / "other", str(place / "other"), nacre.Config.load(place / "other")):
        async with nacre.connect("other", config=config) as ssh:
            assert ssh.user == "alice"


async def test_errors_name_the_file_and_the_line(write: Callable[[str], Path]) -> None:
    place = write("Prot 2\n")
    with pytest.raises(ConfigurationError, match=f"{place}/config line 6: Bad configuration"):
        await nacre.connect("web")
    write("RefuseConnection moved\n")
    with pytest.raises(ConfigurationError, match=f"{place}/config line 6: moved"):
        await nacre.connect("web")


async def test_host_keys_as_the_file_says_and_no_one_is_asked(write: Callable[[str], Path]) -> None:
    place = write(" UserKnownHostsFile ~/.ssh/empty_%n\n")
    with pytest.raises(nacre.HostKeyUnknown):
        await nacre.connect("web")
    write(" UserKnownHostsFile ~/.ssh/empty_%n\n StrictHostKeyChecking accept-new\n")
    async with nacre.connect("web"):
        assert (place / "empty_web").read_text().startswith("[127.0.0.1]:")


async def test_jumps_and_proxies_of_the_file(write: Callable[[str], Path]) -> None:
    place = write(" ProxyJump hop\nHost hop\n Hostname 127.0.0.1\n User bob\n Port 1\n")
    with pytest.raises(nacre.ConnectFailed) as caught:
        await nacre.connect("web")
    assert caught.value.hop == "[hop]:1"
    write(f" ProxyCommand touch {place}/ran-%n\n")
    with pytest.raises(nacre.NacreError):
        await nacre.connect("web")
    assert (place / "ran-web").exists()


async def test_connect_timeout_bounds_all_of_the_login(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(" ConnectTimeout 1\n ProxyCommand sleep 60\n")
    with pytest.raises(nacre.DeadlineExceeded, match="took more than 1 seconds"):
        await nacre.connect("web")


async def test_names_of_new_hosts_are_hashed(write: Callable[[str], Path]) -> None:
    place = write(
        " UserKnownHostsFile ~/.ssh/new\n StrictHostKeyChecking accept-new\n HashKnownHosts yes\n"
    )
    async with nacre.connect("web"):
        assert (place / "new").read_text().startswith("|1|")
    async with nacre.connect("web", known_hosts=place / "new"):
        pass


def test_where_to_look_for_the_key() -> None:
    target = Target("a", "a", 22, "alice", alias="b")
    lines = ["CheckHostIP=yes", "HostKeyAlias=b", "RequiredRSASize=3000", "HashKnownHosts=yes"]
    how = configured.known_hosts(target, parse([*lines, "CASignatureAlgorithms=ssh-ed25519"]))
    assert (how["check_address"], how["alias"], how["hashed"]) == (True, "b", True)
    assert (how["rsa_bits"], how["ca_signatures"]) == (3000, ("ssh-ed25519",))
    assert "rsa-sha2-512" in configured.known_hosts(target, ClientConfig())["ca_signatures"]


async def test_the_interface_to_connect_from(write: Callable[[str], Path]) -> None:
    write(" BindInterface lo\n")
    async with nacre.connect("web"):
        pass
    write(" BindInterface none0\n")
    with pytest.raises(nacre.ConnectFailed):
        await nacre.connect("web")


async def test_devices_of_keyboard_interactive(
    write: Callable[[str], Path],
    host_key: nacre.PrivateKey,  # noqa: F811
) -> None:
    asked: list[str] = []

    class Asking(nacre.Policy):
        async def keyboard_interactive(
            self,
            user: str,
            submethods: str,
            responses: tuple[str, ...] | None,
            connection: nacre.ServerConnection,
        ) -> bool:
            asked.append(submethods)
            return True

    async with nacre.listen(host_keys=[host_key], policy=Asking()) as one:
        place = write(
            " KbdInteractiveDevices pam,bsdauth\n PreferredAuthentications keyboard-interactive\n"
        )
        (place / "known_hosts").write_text(f"[127.0.0.1]:{one.port} {host_key.public}\n")
        async with nacre.connect("web", one.port, password=SECRET, keys=[]):
            pass
    assert asked == ["pam,bsdauth"]


async def test_unknown_keywords_may_be_ignored(write: Callable[[str], Path]) -> None:
    write(" IgnoreUnknown UseKey*\n UseKeychain yes\n")
    async with nacre.connect("web") as ssh:
        assert ssh.user == "alice"
