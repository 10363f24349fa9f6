"""SSH in Python: a library, a server and the command-line tools.

Everything in ``__all__`` is public, and with ``nacre.blocking``, ``nacre.testing`` and
``nacre.errors`` all that is: other modules may change in any release.
Start at :func:`connect` for a client, :func:`listen` for a server, ``nacre.blocking`` without
asyncio. docs/guide.md has a chapter on each; docs/architecture.md has the map of the packages.
A public name is imported from its home when it is first used, so ``import nacre`` stays cheap.
Tests: tests/test_exports.py for the names, tests/<package> for each package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nacre._version import __version__ as __version__
    from nacre.aio.stream import Reader as Reader
    from nacre.aio.stream import Writer as Writer
    from nacre.client.connect import connect as connect
    from nacre.client.connection import Connection as Connection
    from nacre.client.identities import Identities as Identities
    from nacre.client.process import Completed as Completed
    from nacre.client.process import Process as Process
    from nacre.client.tcpip import Listener as Listener
    from nacre.client.tcpip import Tunnel as Tunnel
    from nacre.client.trust import AnyHostKey as AnyHostKey
    from nacre.client.trust import KnownHostsFile as KnownHostsFile
    from nacre.errors import AuthenticationFailed as AuthenticationFailed
    from nacre.errors import ChannelOpenFailed as ChannelOpenFailed
    from nacre.errors import ConfigurationError as ConfigurationError
    from nacre.errors import ConnectFailed as ConnectFailed
    from nacre.errors import ConnectionLost as ConnectionLost
    from nacre.errors import DeadlineExceeded as DeadlineExceeded
    from nacre.errors import Disconnected as Disconnected
    from nacre.errors import HostKeyChanged as HostKeyChanged
    from nacre.errors import HostKeyError as HostKeyError
    from nacre.errors import HostKeyRevoked as HostKeyRevoked
    from nacre.errors import HostKeyUnknown as HostKeyUnknown
    from nacre.errors import KeyFormatError as KeyFormatError
    from nacre.errors import LocalProtocolError as LocalProtocolError
    from nacre.errors import NacreError as NacreError
    from nacre.errors import NoCommonAlgorithm as NoCommonAlgorithm
    from nacre.errors import NotUsableHere as NotUsableHere
    from nacre.errors import OutputTooLarge as OutputTooLarge
    from nacre.errors import PassphraseRequired as PassphraseRequired
    from nacre.errors import PeerSilent as PeerSilent
    from nacre.errors import ProcessFailed as ProcessFailed
    from nacre.errors import ProtocolError as ProtocolError
    from nacre.errors import RemoteProtocolError as RemoteProtocolError
    from nacre.errors import RequestFailed as RequestFailed
    from nacre.errors import SFTPError as SFTPError
    from nacre.errors import StreamClosed as StreamClosed
    from nacre.errors import UnusableKey as UnusableKey
    from nacre.errors import VersionError as VersionError
    from nacre.keys import PrivateKey as PrivateKey
    from nacre.keys import PublicKey as PublicKey
    from nacre.keys import dump_private as dump_private
    from nacre.keys import generate as generate
    from nacre.keys import load_private as load_private
    from nacre.keys import load_public as load_public
    from nacre.limits import Limits as Limits
    from nacre.protocol.asks import Challenge as Challenge
    from nacre.protocol.asks import PasswordExpired as PasswordExpired
    from nacre.protocol.asks import Prompt as Prompt
    from nacre.protocol.asks import UserRequirement as UserRequirement
    from nacre.protocol.options import Algorithms as Algorithms
    from nacre.protocol.options import algorithms as algorithms
    from nacre.server.agent import AgentSocket as AgentSocket
    from nacre.server.listen import Server as Server
    from nacre.server.listen import listen as listen
    from nacre.server.peer import ServerConnection as ServerConnection
    from nacre.server.policy import Policy as Policy
    from nacre.server.policy import Users as Users
    from nacre.server.session import Session as Session
    from nacre.server.session import Terminal as Terminal
    from nacre.sftp.client.client import SFTPClient as SFTPClient
    from nacre.sftp.client.file import SFTPFile as SFTPFile
    from nacre.sftp.filesystems.base import File as File
    from nacre.sftp.filesystems.base import Filesystem as Filesystem
    from nacre.sftp.filesystems.base import Upload as Upload
    from nacre.sftp.filesystems.fsspec import FsspecFilesystem as FsspecFilesystem
    from nacre.sftp.filesystems.local import LocalFilesystem as LocalFilesystem
    from nacre.sftp.filesystems.memory import MemoryFilesystem as MemoryFilesystem
    from nacre.sftp.protocol.attributes import Attributes as Attributes
    from nacre.sftp.protocol.attributes import Entry as Entry
    from nacre.sftp.protocol.messages import OpenFlag as OpenFlag
    from nacre.sftp.server.service import serve_sftp as serve_sftp

_HOMES = {
    "nacre._version": ("__version__",),
    "nacre.aio.stream": ("Reader", "Writer"),
    "nacre.client.connect": ("connect",),
    "nacre.client.connection": ("Connection",),
    "nacre.client.identities": ("Identities",),
    "nacre.client.process": ("Completed", "Process"),
    "nacre.client.tcpip": ("Listener", "Tunnel"),
    "nacre.client.trust": ("AnyHostKey", "KnownHostsFile"),
    "nacre.errors": (
        "AuthenticationFailed",
        "ChannelOpenFailed",
        "ConfigurationError",
        "ConnectFailed",
        "ConnectionLost",
        "DeadlineExceeded",
        "Disconnected",
        "HostKeyChanged",
        "HostKeyError",
        "HostKeyRevoked",
        "HostKeyUnknown",
        "KeyFormatError",
        "LocalProtocolError",
        "NacreError",
        "NoCommonAlgorithm",
        "NotUsableHere",
        "OutputTooLarge",
        "PassphraseRequired",
        "PeerSilent",
        "ProcessFailed",
        "ProtocolError",
        "RemoteProtocolError",
        "RequestFailed",
        "SFTPError",
        "StreamClosed",
        "UnusableKey",
        "VersionError",
    ),
    "nacre.keys": (
        "PrivateKey",
        "PublicKey",
        "dump_private",
        "generate",
        "load_private",
        "load_public",
    ),
    "nacre.limits": ("Limits",),
    "nacre.protocol.asks": ("Challenge", "PasswordExpired", "Prompt", "UserRequirement"),
    "nacre.protocol.options": ("Algorithms", "algorithms"),
    "nacre.server.agent": ("AgentSocket",),
    "nacre.server.listen": ("Server", "listen"),
    "nacre.server.peer": ("ServerConnection",),
    "nacre.server.policy": ("Policy", "Users"),
    "nacre.server.session": ("Session", "Terminal"),
    "nacre.sftp.client.client": ("SFTPClient",),
    "nacre.sftp.client.file": ("SFTPFile",),
    "nacre.sftp.filesystems.base": ("File", "Filesystem", "Upload"),
    "nacre.sftp.filesystems.fsspec": ("FsspecFilesystem",),
    "nacre.sftp.filesystems.local": ("LocalFilesystem",),
    "nacre.sftp.filesystems.memory": ("MemoryFilesystem",),
    "nacre.sftp.protocol.attributes": ("Attributes", "Entry"),
    "nacre.sftp.protocol.messages": ("OpenFlag",),
    "nacre.sftp.server.service": ("serve_sftp",),
}
"""Where each public name lives; it is imported when it is first used."""

_PLACES = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*_PLACES]


def __getattr__(name: str) -> object:
    home = _PLACES.get(name)
    if home is None:
        raise AttributeError(f"module 'nacre' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
