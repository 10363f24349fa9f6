"""The keys to install: those of a file, of the agent, or the newest default one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from nacre.agent.client import Agent
from nacre.cli.copy_id.arguments import CopyIdArguments
from nacre.errors import ConfigurationError, KeyFormatError, NacreError
from nacre.keys.base import PublicKey
from nacre.keys.files import MAXIMUM_SIZE, load_public
from nacre.value import value
from nacre.wire.text import safe

_CERTIFICATE = "-cert.pub"


@value
class NewKey:
    """A key to install.

    :ivar line: its line in ``authorized_keys``.
    :ivar private: the file of the private key; None if the agent has it, or nobody needs it.
    """

    key: PublicKey
    line: str
    private: Path | None = None


async def identities(
    arguments: CopyIdArguments, agent: Agent | None, inform: Callable[[str], None]
) -> list[NewKey]:
    """Return the keys to install.

    :param inform: gets a text that says where a key is from.
    :raises ConfigurationError: there is none, or its file can't be used.
    """
    if arguments.identity is None and agent is not None:
        found = await _of_agent(agent)
        if found:
            return found
    return [_of_file(arguments, inform)]


def _of_file(arguments: CopyIdArguments, inform: Callable[[str], None]) -> NewKey:
    name = arguments.identity or newest(Path.home() / ".ssh")
    if not name:
        raise ConfigurationError(
            "no key was found: make one with nacre keygen, or name its file with -i"
        )
    public = Path(name if name.endswith(".pub") else f"{name}.pub")
    private = None if arguments.forced else public.with_suffix("")
    try:
        with public.open("rb") as file:
            text = file.read(MAXIMUM_SIZE)
        key, _ = load_public(text)
        if private is not None:
            private.open("rb").close()
    except OSError as error:
        hint = "; -f needs no private key" if private and error.filename == str(private) else ""
        raise ConfigurationError(
            f"can't open the key file {safe(str(error.filename))}: {error.strerror}{hint}"
        ) from error
    except KeyFormatError as error:
        raise ConfigurationError(f"{safe(str(public))}: {error}") from error
    inform(f'the key to be installed is that of "{safe(str(public))}"')
    line = text.strip().splitlines()[0].decode("utf-8", "surrogateescape").strip()
    return NewKey(key, line, private)


async def _of_agent(agent: Agent) -> list[NewKey]:
    try:
        found = await agent.keys()
    except NacreError:
        return []
    return [NewKey(key, f"{key} {comment}".strip()) for key, comment in found if _plain(key)]


def _plain(key: PublicKey) -> bool:
    # A certificate in authorized_keys lets nobody in; its key may be with the agent too.
    return key.plain is key


def newest(folder: Path) -> str:
    """Return the public key file ``id*.pub`` that was changed last; empty if there is none."""
    found = [path for path in folder.glob("id*.pub") if not path.name.endswith(_CERTIFICATE)]
    return str(max(found, key=lambda path: path.stat().st_mtime)) if found else ""


def missing(wanted: Iterable[NewKey], text: bytes) -> list[NewKey]:
    """Return those keys that no line of an ``authorized_keys`` file has."""
    from nacre.keys.authorized_keys import AuthorizedKeys

    there = {entry.key for entry in AuthorizedKeys(text)}
    return [identity for identity in wanted if identity.key not in there]
