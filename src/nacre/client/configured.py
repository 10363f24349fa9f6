"""What a configuration means: the arguments of the parts of a connection.

:func:`nacre.connect` and the programs use these functions, so that a keyword of ssh_config(5) means
the same in both. Few modules load with this one: the programs load it before they dial.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

from nacre.aio.dial import DialOptions, Report
from nacre.client.target import Target
from nacre.config.syntax.lexer import words
from nacre.config.syntax.tokens import expand, expand_path
from nacre.config.values import own_algorithms
from nacre.errors import ConfigurationError
from nacre.protocol.options import choose
from nacre.value import replace
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.agent.client import Agent
    from nacre.client.keeping import Confirm
    from nacre.client.proxy import ProxyCommand
    from nacre.client.trust.files import Strict
    from nacre.client.trust.sources import Listing
    from nacre.client.userkeys import Keep
    from nacre.config.client.config import ClientConfig
    from nacre.config.client.files import Config
    from nacre.config.destination import Destination
    from nacre.gss.initiator import ContextInitiator
    from nacre.keys import PublicKey

_COMMAND_TIME = 20.0
"""Seconds that KnownHostsCommand may take."""


class KnownHostsOptions(TypedDict):
    """Arguments of :class:`nacre.KnownHostsFile`."""

    paths: Sequence[str]
    global_paths: Sequence[str]
    strict: Strict
    hashed: bool
    alias: str | None
    check_address: bool
    trust_loopback: bool
    fingerprint_hash: str
    command: Listing | None
    update: Literal["yes", "no", "ask"]
    dns: Literal["yes", "no", "ask"]
    revoked: str | None
    ca_signatures: Sequence[str]
    rsa_bits: int


def known_hosts(target: Target, config: ClientConfig) -> KnownHostsOptions:
    """Return where to look for the host's key, and what to do with an unknown one."""
    tokens = target.tokens()
    ca_signatures = own_algorithms("CA signature", config.ca_signature_algorithms)
    revoked = config.revoked_host_keys
    return {
        "paths": [expand_path(name, tokens) for name in config.user_known_hosts_files],
        "global_paths": config.global_known_hosts_files,
        "strict": config.strict_host_key_checking,
        "hashed": config.hash_known_hosts,
        "alias": config.host_key_alias,
        "check_address": config.check_host_ip,
        "trust_loopback": config.no_host_authentication_for_localhost,
        "fingerprint_hash": config.fingerprint_hash.lower(),
        "command": _listing(config.known_hosts_command, tokens),
        "dns": config.verify_host_key_dns,
        "update": config.updates_host_keys,
        "revoked": None if revoked is None else expand_path(revoked, tokens),
        "ca_signatures": choose("CA signature", ca_signatures, config.profile),
        "rsa_bits": config.required_rsa_size,
    }


def _listing(command: str | None, tokens: dict[str, str]) -> Listing | None:
    """Return what runs KnownHostsCommand, if there is one."""
    if command is None:
        return None
    line = words(command)
    if not line or not os.path.isabs(line[0]):
        raise ConfigurationError(
            f"KnownHostsCommand {safe(command, 200)}: it must begin with the full path of a program"
        )

    def run(purpose: str, name: str, key: PublicKey | None) -> bytes:
        import subprocess

        about = {"H": name, "I": purpose, "t": "NONE", "f": "NONE", "K": "NONE"}
        if key is not None:
            base64 = str(key).split()[1]
            about |= {"t": key.type, "f": key.fingerprint(), "K": base64}
        try:
            done = subprocess.run(
                [expand(word, tokens | about, os.environ) for word in line],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                timeout=_COMMAND_TIME,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            # What it would have printed may revoke the key, so it can't be left out.
            raise ConfigurationError(f"KnownHostsCommand: {safe(str(error), 500)}") from error
        return done.stdout

    return run


class IdentityOptions(TypedDict):
    """Arguments of :class:`nacre.Identities`."""

    files: Sequence[str | os.PathLike[str]] | None
    certificates: Sequence[str]
    agent: Agent | None
    identities_only: bool
    methods: Sequence[str]
    submethods: str
    prompts: int
    keep: Keep | None
    key_provider: str | None


def identities(
    target: Target,
    config: ClientConfig,
    confirm: Confirm | None = None,
    debug: Callable[[str], None] = lambda text: None,
) -> IdentityOptions:
    """Return how to log in: with which keys, by which methods.

    :param confirm: asks the user whether to add a key to the agent.
    :param debug: gets what was added.
    """
    from nacre.agent.client import Agent

    tokens = target.tokens()
    files: list[str | os.PathLike[str]] = [
        expand_path(name, tokens) for name in config.identity_files
    ]
    path = agent_path(config.identity_agent, tokens)
    agent = None if path is None else Agent(path)
    keep = None
    if agent is not None and config.add_keys_to_agent != "false":
        from nacre.client.keeping import KeepInAgent

        keep = KeepInAgent(
            agent, config.add_keys_to_agent, confirm, debug, config.security_key_provider
        )
    return {
        "files": files if files or config.no_identity_files else None,
        "certificates": [expand_path(name, tokens) for name in config.certificate_files],
        "agent": agent,
        "identities_only": config.identities_only,
        "methods": methods(config, config.preferred_authentications),
        "submethods": config.kbd_interactive_devices,
        "prompts": config.password_prompts,
        "keep": keep,
        "key_provider": config.security_key_provider,
    }


def methods(config: ClientConfig, order: Sequence[str]) -> list[str]:
    """Return those of the methods that the configuration allows."""
    allowed = {
        "gssapi-keyex": config.gssapi_authentication and config.gssapi_key_exchange,
        "gssapi-with-mic": config.gssapi_authentication,
        "hostbased": config.hostbased_authentication,
        "publickey": config.pubkey_authentication,
        "password": config.password_authentication,
        "keyboard-interactive": config.kbd_interactive,
    }
    return [name for name in order if allowed.get(name)]


def with_gssapi(wanted: bool | Literal["delegate"] | None, config: ClientConfig) -> ClientConfig:
    """Return the configuration with what a caller says of GSSAPI.

    :param wanted: whether to log in by it, or with delegation; None changes nothing.
    :raises ConfigurationError: it is wanted, and its library is missing.
    """
    if wanted is None:
        return config
    if not wanted:
        return replace(config, gssapi_authentication=False, gssapi_key_exchange=False)
    from nacre.gss.context import library

    library()
    delegate = wanted == "delegate"
    return replace(config, gssapi_authentication=True, gssapi_delegate_credentials=delegate)


def initiator(target: Target, config: ClientConfig) -> ContextInitiator | None:
    """Return what makes the security contexts of GSSAPI, or None if it is switched off."""
    if not config.gssapi_authentication and not config.gssapi_key_exchange:
        return None
    from nacre.crypto.kex.gss import methods
    from nacre.gss.initiator import ContextInitiator

    return ContextInitiator(
        host=config.gssapi_server_identity or target.host,
        kex=methods(config.gssapi_kex_algorithms) if config.gssapi_key_exchange else (),
        delegate=config.gssapi_delegate_credentials,
        principal=config.gssapi_client_identity,
        trust_dns=config.gssapi_trust_dns and config.gssapi_server_identity is None,
    )


def agent_path(name: str, tokens: dict[str, str]) -> str | None:
    """Return the path of the socket that IdentityAgent or ForwardAgent names, or None."""
    if name.lower() == "none":
        return None
    if name == "SSH_AUTH_SOCK":
        return os.environ.get(name) or None
    if name.startswith("$"):
        return os.environ.get(name[1:].strip("{}")) or None
    return expand_path(name, tokens)


def dialing(config: ClientConfig, report: Report | None = None) -> DialOptions:
    """Return how to reach the host.

    :param report: see :class:`~nacre.aio.dial.DialOptions`.
    """
    return DialOptions(
        family=config.address_family,
        bind=config.bind_address,
        interface=config.bind_interface,
        attempts=config.connection_attempts,
        timeout=config.connect_timeout,
        keepalive=config.tcp_keep_alive,
        report=report,
    )


def way_tokens(target: Target) -> dict[str, str]:
    """Return the tokens of ProxyCommand and ProxyJump (ssh_config(5), TOKENS)."""
    every = target.tokens()
    return {name: every[name] for name in "hnpr"}


def proxy(target: Target, command: str) -> tuple[ProxyCommand, str]:
    """Return the proxy command of a host, not yet started, and its text.

    :param command: ProxyCommand.
    :raises ConfigurationError: the name of the host or the user could do harm in a shell, or the
        command has a token that is not possible.
    """
    from nacre.client.proxy import ProxyCommand
    from nacre.config.destination import check_for_shell

    check_for_shell((target.name, target.host), target.user)
    text = expand(command, way_tokens(target))
    return ProxyCommand(text), text


Looked: TypeAlias = "tuple[Target, ClientConfig]"
"""A host, and what its configuration says."""


def look_up(files: Config, destination: Destination) -> Looked:
    """Return what the files say for a host. This blocks: commands may run, and names be looked up.

    :raises ConfigurationError: a file has an error, or refuses the connection.
    """
    from nacre.config.destination import options

    config = files.lookup(destination.host, options(destination))
    config.check()
    return Target.of(destination.host, config), config


def jumps(target: Target, config: ClientConfig, files: Config) -> list[Looked]:
    """Return the jump hosts of a host in the order in which to visit them. This blocks.

    The first of them may have jump hosts of its own. The others are reached through the one before,
    whatever their configuration says.

    :raises ConfigurationError: they are too many, or one comes twice, or is the host itself.
    """
    from nacre.config.destination import check_count, parse

    visited = {_place(target)}
    way: list[Looked] = []
    while config.proxy_jump is not None:
        # A name may have a comma, which must not make a jump host of what follows.
        tokens = way_tokens(target)
        texts = [expand(text, tokens) for text in config.proxy_jump.split(",")]
        check_count(len(texts) + len(way))
        before = [look_up(files, parse("ProxyJump", text.strip())) for text in texts]
        for place, _ in before:
            if _place(place) in visited:
                raise ConfigurationError(
                    f"ProxyJump leads to {place.destination} port {place.port} twice: leave it out "
                    "of the jump hosts of the hosts before, or give that host ProxyJump=none"
                )
            visited.add(_place(place))
        way[:0] = before
        target, config = before[0]
    return way


def _place(target: Target) -> tuple[str, int, str]:
    """Return what tells a host on the way from others.

    That is its name and not its address: behind a jump host, the same address is another host.
    """
    return target.name.lower(), target.port, target.user
