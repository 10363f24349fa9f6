"""A configuration in the form of ``ssh -G`` and ``sshd -T``: a line for each value."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from typing import Any

from nacre.config.client.config import ClientConfig
from nacre.config.client.words import SCHEMA
from nacre.config.kinds import ALGORITHM_KINDS
from nacre.config.schema import Keyword, Shown, told
from nacre.config.syntax.tokens import expand, expand_path
from nacre.config.values import all_algorithms
from nacre.errors import ConfigurationError
from nacre.protocol.options import choose
from nacre.value import replace

_IDENTITIES = ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk", "xmss", "dsa")
_SILENT = ("Host", "Match", "Include")
_SPELT = {"CanonicalizePermittedCNAMEs": "canonicalizePermittedcnames"}
"""Keywords that ssh(1) does not print in lower case."""


def client_lines(
    original: str, host: str, config: ClientConfig, tokens: dict[str, str], *, origins: bool
) -> Iterator[str]:
    """Yield the lines of ``-G``.

    :param original: the host as the user gave it; ``host``: the name to connect to.
    :param tokens: the values of percent tokens.
    :param origins: whether each line tells where its value was written.
    """
    settings = config.settings
    yield from told("host", original, (), origins)
    for word in SCHEMA.words:
        found = settings.get(word.name, ())
        if word.name in _SILENT or (word.own and not found):
            continue
        try:
            shown = _special(word, host, config, tokens)
        except ConfigurationError as error:
            raise found[0].origin.error(f"{word.name}: {error}") from None
        name = _SPELT.get(word.name, word.name.lower())
        yield from told(name, shown, found, origins)


def _special(word: Keyword, host: str, config: ClientConfig, tokens: dict[str, str]) -> Shown:
    """Return what is printed for a keyword, where it is not simply its value."""
    match word.name:
        case "Hostname":
            return host
        case "User":
            return config.user or getpass.getuser()
        case "PreferredAuthentications" | "IdentityAgent" if word.name not in config.settings:
            return None
        case "IdentityFile" if not config.settings.get("IdentityFile"):
            return [f"~/.ssh/id_{name}" for name in _IDENTITIES]
        case "IdentityFile" | "CertificateFile":
            return list(dict.fromkeys(s.value[0] for s in config.settings.get(word.name, ())))
        case "LocalForward" | "RemoteForward" | "DynamicForward":
            return list(_forwards(word, config, tokens))
        case "UserKnownHostsFile":
            paths = [expand_path(path, tokens) for path in config.user_known_hosts_files]
            return " ".join(paths) or "none"
        case "ControlPath" | "IdentityAgent" if (value := _value(config, word)) is not None:
            return expand_path(value, tokens)
        case "ForwardAgent" if config.forward_agent not in (None, "SSH_AUTH_SOCK"):
            return expand_path(str(config.forward_agent), tokens)
        case "ProxyUseFdpass" if _value(config, SCHEMA["ProxyJump"]) not in (None, "none"):
            return "no"
        case "Tunnel" if config.clear_all_forwardings:
            return "false"
        case "RemoteCommand" if config.remote_command is not None:
            return expand(config.remote_command, tokens)
        case "UpdateHostKeys":
            return word.kind.show(config.updates_host_keys)
        case "VersionAddendum" if config.settings.get(word.name):
            return word.kind.show(_value(config, word))  # without a text for "none"
        case name if name in ALGORITHM_KINDS:
            return _algorithms(config, word)
    if word.default and word.name not in config.settings:
        return word.default
    if word.field:
        return _of_field(word, getattr(config, word.field))
    values = config.settings.get(word.name)
    if values is None:
        return None
    if word.gathers:
        return [line for setting in values for line in word.kind.show(setting.value) or ()]
    return word.kind.show(values[0].value)


def _forwards(word: Keyword, config: ClientConfig, tokens: dict[str, str]) -> Iterator[str]:
    """Yield forwardings; paths of Unix sockets may have tokens."""
    for one in getattr(config, word.field):
        path, host_path = (expand(text, tokens) for text in (one.path, one.host_path))
        yield from word.kind.show((replace(one, path=path, host_path=host_path),)) or ()
    if word.name == "DynamicForward":  # ssh(1) lists those to a socket here too
        for one in config.local_forwards:
            if one.host_path:
                yield replace(one, path=expand(one.path, tokens)).listen


def _of_field(word: Keyword, value: Any) -> Shown:
    if value is None and word.kind.show(None) in (None, "None"):
        return None
    shown = word.kind.show(value)
    return None if shown in ("", (), []) else shown


def _value(config: ClientConfig, word: Keyword) -> Any:
    found = config.settings.get(word.name)
    return found[0].value if found else None


def _algorithms(config: ClientConfig, word: Keyword) -> str:
    kind = ALGORITHM_KINDS[word.name]
    default = choose(kind, None, config.profile)
    return ",".join(all_algorithms(kind, _value(config, word), default))
