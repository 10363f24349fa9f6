"""SSH in Python: a library, a server and the command-line tools.

Everything in ``__all__`` is public, and with ``nacre.blocking``, ``nacre.fleet``, ``nacre.testing``
and ``nacre.errors`` all that is: other modules may change in any release.
Start at :func:`connect` for a client, :func:`listen` for a server, ``nacre.blocking`` without
asyncio. docs/guide.md has a chapter on each; docs/architecture.md has the map of the packages.
A public name is imported from its home when it is first used, so ``import nacre`` stays cheap.
Tests: tests/test_exports.py for the names, tests/<package> for each package.
"""

from __future__ import annotations

# typing and importlib would take longer to load than all else that a shared connection needs.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from nacre._version import __version__ as __version__
    from nacre.agent.client import Agent as Agent
    from nacre.agent.keyring import AgentClient as AgentClient
    from nacre.agent.keyring import Keyring as Keyring
    from nacre.agent.server import AgentServer as AgentServer
    from nacre.agent.server import serve_agent as serve_agent
    from nacre.aio.channel import Channel as Channel
    from nacre.aio.channel import Sink as Sink
    from nacre.aio.connection import Trace as Trace
    from nacre.aio.maybe import Maybe as Maybe
    from nacre.aio.stream import Reader as Reader
    from nacre.aio.stream import Writer as Writer
    from nacre.aio.waiting import Later as Later
    from nacre.aio.waiting import Opening as Opening
    from nacre.client.connect import connect as connect
    from nacre.client.connection import Connection as Connection
    from nacre.client.connection import LoginAnswers as LoginAnswers
    from nacre.client.forwarding.devices import DeviceTunnel as DeviceTunnel
    from nacre.client.forwarding.listener import Listener as Listener
    from nacre.client.forwarding.tunnel import Tunnel as Tunnel
    from nacre.client.identities import Identities as Identities
    from nacre.client.options import Default as Default
    from nacre.client.process import Completed as Completed
    from nacre.client.process import Process as Process
    from nacre.client.route import Jump as Jump
    from nacre.client.route import Sock as Sock
    from nacre.client.secrets import Prompter as Prompter
    from nacre.client.trust.check import HostKeyAnnouncement as HostKeyAnnouncement
    from nacre.client.trust.check import HostKeyCheck as HostKeyCheck
    from nacre.client.trust.files import AnyHostKey as AnyHostKey
    from nacre.client.trust.files import Confirm as Confirm
    from nacre.client.trust.files import KnownHostsFile as KnownHostsFile
    from nacre.client.trust.files import NewHost as NewHost
    from nacre.client.trust.files import Strict as Strict
    from nacre.client.trust.sources import Location as Location
    from nacre.config.client.files import Config as Config
    from nacre.errors import AuthenticationFailed as AuthenticationFailed
    from nacre.errors import ChannelOpenFailed as ChannelOpenFailed
    from nacre.errors import ConfigurationError as ConfigurationError
    from nacre.errors import ConnectFailed as ConnectFailed
    from nacre.errors import ConnectionLost as ConnectionLost
    from nacre.errors import DeadlineExceeded as DeadlineExceeded
    from nacre.errors import DisconnectCode as DisconnectCode
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
    from nacre.keys import Presence as Presence
    from nacre.keys import PrivateKey as PrivateKey
    from nacre.keys import PublicKey as PublicKey
    from nacre.keys import dump_private as dump_private
    from nacre.keys import dump_public as dump_public
    from nacre.keys import generate as generate
    from nacre.keys import load_private as load_private
    from nacre.keys import load_public as load_public
    from nacre.keys.agents.constraints import Constraints as Constraints
    from nacre.keys.agents.destinations import DestinationConstraint as DestinationConstraint
    from nacre.keys.agents.destinations import DestinationEnd as DestinationEnd
    from nacre.keys.agents.destinations import DestinationKey as DestinationKey
    from nacre.keys.certificate import Certificate as Certificate
    from nacre.keys.certificate import CertifiedKey as CertifiedKey
    from nacre.keys.files import PrivateKeyFormat as PrivateKeyFormat
    from nacre.keys.files import PublicKeyFormat as PublicKeyFormat
    from nacre.keys.hosts.known_hosts import KnownHost as KnownHost
    from nacre.keys.hosts.known_hosts import Marker as Marker
    from nacre.keys.hosts.rotation import HostKeyRotation as HostKeyRotation
    from nacre.limits import Limits as Limits
    from nacre.protocol.asks import Answer as Answer
    from nacre.protocol.asks import AskAuthentication as AskAuthentication
    from nacre.protocol.asks import AskNewPassword as AskNewPassword
    from nacre.protocol.asks import AskPrompts as AskPrompts
    from nacre.protocol.asks import AskSignature as AskSignature
    from nacre.protocol.asks import Challenge as Challenge
    from nacre.protocol.asks import ClientHost as ClientHost
    from nacre.protocol.asks import Denied as Denied
    from nacre.protocol.asks import GiveUp as GiveUp
    from nacre.protocol.asks import KeyTerms as KeyTerms
    from nacre.protocol.asks import NewPassword as NewPassword
    from nacre.protocol.asks import PasswordExpired as PasswordExpired
    from nacre.protocol.asks import Prompt as Prompt
    from nacre.protocol.asks import Responses as Responses
    from nacre.protocol.asks import SessionProof as SessionProof
    from nacre.protocol.asks import Signature as Signature
    from nacre.protocol.asks import TryHostBased as TryHostBased
    from nacre.protocol.asks import TryKeyboardInteractive as TryKeyboardInteractive
    from nacre.protocol.asks import TryNone as TryNone
    from nacre.protocol.asks import TryPassword as TryPassword
    from nacre.protocol.asks import TryPublicKey as TryPublicKey
    from nacre.protocol.asks import UserRequirement as UserRequirement
    from nacre.protocol.events import AuthResult as AuthResult
    from nacre.protocol.events import Event as Event
    from nacre.protocol.gssapi import ContextAcceptor as ContextAcceptor
    from nacre.protocol.gssapi import SecurityContext as SecurityContext
    from nacre.protocol.options import Algorithms as Algorithms
    from nacre.protocol.options import Choice as Choice
    from nacre.protocol.options import Profile as Profile
    from nacre.protocol.options import algorithms as algorithms
    from nacre.protocol.requests import Env as Env
    from nacre.protocol.requests import Exec as Exec
    from nacre.protocol.requests import PtyRequest as PtyRequest
    from nacre.protocol.requests import Request as Request
    from nacre.protocol.requests import Shell as Shell
    from nacre.protocol.requests import Subsystem as Subsystem
    from nacre.protocol.requirement import Requirement as Requirement
    from nacre.protocol.tunnel import TunnelMode as TunnelMode
    from nacre.server.admission.startups import Startups as Startups
    from nacre.server.agent import AgentSocket as AgentSocket
    from nacre.server.listen import Server as Server
    from nacre.server.listen import listen as listen
    from nacre.server.peer import Log as Log
    from nacre.server.peer import ServerConnection as ServerConnection
    from nacre.server.policy import CertificateAuthority as CertificateAuthority
    from nacre.server.policy import Policy as Policy
    from nacre.server.policy import Secret as Secret
    from nacre.server.policy import Users as Users
    from nacre.server.serving import Serving as Serving
    from nacre.server.session import Session as Session
    from nacre.server.session import Terminal as Terminal
    from nacre.server.settings import FilesystemFactory as FilesystemFactory
    from nacre.server.settings import Handler as Handler
    from nacre.server.settings import ListenOptions as ListenOptions
    from nacre.server.settings import ReloadOptions as ReloadOptions
    from nacre.server.x11 import ForwardedDisplay as ForwardedDisplay
    from nacre.sftp.client.client import SFTPClient as SFTPClient
    from nacre.sftp.client.copies import TransferOptions as TransferOptions
    from nacre.sftp.client.file import SFTPFile as SFTPFile
    from nacre.sftp.client.file import SFTPTextFile as SFTPTextFile
    from nacre.sftp.client.options import Progress as Progress
    from nacre.sftp.client.options import SFTPOptions as SFTPOptions
    from nacre.sftp.client.results import DirEntry as DirEntry
    from nacre.sftp.filesystems.base import File as File
    from nacre.sftp.filesystems.base import Filesystem as Filesystem
    from nacre.sftp.filesystems.base import Upload as Upload
    from nacre.sftp.filesystems.fsspec import FsspecFilesystem as FsspecFilesystem
    from nacre.sftp.filesystems.local import LocalFile as LocalFile
    from nacre.sftp.filesystems.local import LocalFilesystem as LocalFilesystem
    from nacre.sftp.filesystems.memory import MemoryFilesystem as MemoryFilesystem
    from nacre.sftp.protocol.attributes import Attributes as Attributes
    from nacre.sftp.protocol.attributes import Entry as Entry
    from nacre.sftp.protocol.attributes import FileDetails as FileDetails
    from nacre.sftp.protocol.extensions import FileSystemStatus as FileSystemStatus
    from nacre.sftp.protocol.messages import OpenFlag as OpenFlag
    from nacre.sftp.server.journal import Recorder as Recorder
    from nacre.sftp.server.service import SessionLike as SessionLike
    from nacre.sftp.server.service import serve_sftp as serve_sftp
    from nacre.tunnels.device import TunnelDevice as TunnelDevice
    from nacre.tunnels.unix import UnixSockets as UnixSockets

_HOMES = {
    "nacre._version": ("__version__",),
    "nacre.agent.client": ("Agent",),
    "nacre.agent.keyring": (
        "AgentClient",
        "Keyring",
    ),
    "nacre.agent.server": (
        "AgentServer",
        "serve_agent",
    ),
    "nacre.aio.channel": (
        "Channel",
        "Sink",
    ),
    "nacre.aio.connection": ("Trace",),
    "nacre.aio.maybe": ("Maybe",),
    "nacre.aio.stream": (
        "Reader",
        "Writer",
    ),
    "nacre.aio.waiting": (
        "Later",
        "Opening",
    ),
    "nacre.client.connect": ("connect",),
    "nacre.client.options": ("Default",),
    "nacre.client.connection": (
        "Connection",
        "LoginAnswers",
    ),
    "nacre.client.identities": ("Identities",),
    "nacre.client.process": (
        "Completed",
        "Process",
    ),
    "nacre.client.route": (
        "Jump",
        "Sock",
    ),
    "nacre.client.secrets": ("Prompter",),
    "nacre.client.forwarding.devices": ("DeviceTunnel",),
    "nacre.client.forwarding.listener": ("Listener",),
    "nacre.client.forwarding.tunnel": ("Tunnel",),
    "nacre.client.trust.check": ("HostKeyAnnouncement", "HostKeyCheck"),
    "nacre.client.trust.files": (
        "AnyHostKey",
        "Confirm",
        "KnownHostsFile",
        "NewHost",
        "Strict",
    ),
    "nacre.client.trust.sources": ("Location",),
    "nacre.config.client.files": ("Config",),
    "nacre.errors": (
        "AuthenticationFailed",
        "ChannelOpenFailed",
        "ConfigurationError",
        "ConnectFailed",
        "ConnectionLost",
        "DeadlineExceeded",
        "DisconnectCode",
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
        "Presence",
        "PrivateKey",
        "PublicKey",
        "dump_private",
        "dump_public",
        "generate",
        "load_private",
        "load_public",
    ),
    "nacre.keys.certificate": (
        "Certificate",
        "CertifiedKey",
    ),
    "nacre.keys.agents.constraints": ("Constraints",),
    "nacre.keys.agents.destinations": (
        "DestinationConstraint",
        "DestinationEnd",
        "DestinationKey",
    ),
    "nacre.keys.files": (
        "PrivateKeyFormat",
        "PublicKeyFormat",
    ),
    "nacre.keys.hosts.known_hosts": (
        "KnownHost",
        "Marker",
    ),
    "nacre.keys.hosts.rotation": ("HostKeyRotation",),
    "nacre.limits": ("Limits",),
    "nacre.protocol.asks": (
        "Answer",
        "AskAuthentication",
        "AskNewPassword",
        "AskPrompts",
        "AskSignature",
        "Challenge",
        "ClientHost",
        "Denied",
        "GiveUp",
        "KeyTerms",
        "NewPassword",
        "PasswordExpired",
        "Prompt",
        "Responses",
        "SessionProof",
        "Signature",
        "TryHostBased",
        "TryKeyboardInteractive",
        "TryNone",
        "TryPassword",
        "TryPublicKey",
        "UserRequirement",
    ),
    "nacre.protocol.events": (
        "AuthResult",
        "Event",
    ),
    "nacre.protocol.gssapi": ("ContextAcceptor", "SecurityContext"),
    "nacre.protocol.options": (
        "Algorithms",
        "Choice",
        "Profile",
        "algorithms",
    ),
    "nacre.protocol.requests": (
        "Env",
        "Exec",
        "PtyRequest",
        "Request",
        "Shell",
        "Subsystem",
    ),
    "nacre.protocol.requirement": ("Requirement",),
    "nacre.protocol.tunnel": ("TunnelMode",),
    "nacre.server.agent": ("AgentSocket",),
    "nacre.server.listen": (
        "Server",
        "listen",
    ),
    "nacre.server.peer": (
        "Log",
        "ServerConnection",
    ),
    "nacre.server.policy": (
        "CertificateAuthority",
        "Policy",
        "Secret",
        "Users",
    ),
    "nacre.server.serving": ("Serving",),
    "nacre.server.session": (
        "Session",
        "Terminal",
    ),
    "nacre.server.settings": (
        "FilesystemFactory",
        "Handler",
        "ListenOptions",
        "ReloadOptions",
    ),
    "nacre.server.admission.startups": ("Startups",),
    "nacre.server.x11": ("ForwardedDisplay",),
    "nacre.sftp.client.client": ("SFTPClient",),
    "nacre.sftp.client.copies": ("TransferOptions",),
    "nacre.sftp.client.file": (
        "SFTPFile",
        "SFTPTextFile",
    ),
    "nacre.sftp.client.options": (
        "Progress",
        "SFTPOptions",
    ),
    "nacre.sftp.client.results": ("DirEntry",),
    "nacre.sftp.filesystems.base": (
        "File",
        "Filesystem",
        "Upload",
    ),
    "nacre.sftp.filesystems.fsspec": ("FsspecFilesystem",),
    "nacre.sftp.filesystems.local": (
        "LocalFile",
        "LocalFilesystem",
    ),
    "nacre.sftp.filesystems.memory": ("MemoryFilesystem",),
    "nacre.sftp.protocol.attributes": (
        "Attributes",
        "Entry",
        "FileDetails",
    ),
    "nacre.sftp.protocol.extensions": ("FileSystemStatus",),
    "nacre.sftp.protocol.messages": ("OpenFlag",),
    "nacre.sftp.server.journal": ("Recorder",),
    "nacre.sftp.server.service": (
        "SessionLike",
        "serve_sftp",
    ),
    "nacre.tunnels.device": ("TunnelDevice",),
    "nacre.tunnels.unix": ("UnixSockets",),
}
"""Where each public name lives; it is imported when it is first used."""

_PLACES = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*_PLACES]


def __getattr__(name: str) -> object:
    home = _PLACES.get(name)
    if home is None:
        raise AttributeError(f"module 'nacre' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
