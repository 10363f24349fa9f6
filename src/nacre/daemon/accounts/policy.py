"""What users may do whose sessions run as accounts of this system."""

from __future__ import annotations

import os
from functools import partial
from io import FileIO
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from nacre.aio.maybe import Maybe
from nacre.config.server.rules import ServerRules
from nacre.daemon.accounts.accounts import (
    DEFAULT_CONFIG,
    Login,
)
from nacre.daemon.accounts.candidate import Candidate, Candidates
from nacre.daemon.accounts.chroot import refuses_root
from nacre.daemon.accounts.rights import Forwarding
from nacre.daemon.recording.recordings import Recordings
from nacre.errors import (
    AccountError,
    ConfigurationError,
    ConnectionLost,
    DisconnectCode,
    StateError,
)
from nacre.keys import PublicKey
from nacre.keys.certificate import Certificate
from nacre.protocol.options import Profile
from nacre.protocol.requests import Exec, PtyRequest, Request, Subsystem
from nacre.scp.command import parse_scp
from nacre.server.admission.user_threads import UserThreads
from nacre.server.policy import Policy
from nacre.server.session import Session
from nacre.sftp.server.restrictions import INTERNAL
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.nodes.lease import NodeLease
    from nacre.protocol.tunnel import TunnelMode
    from nacre.server.peer import Client
    from nacre.tunnels.device import TunnelDevice
    from nacre.tunnels.metered import TransferMeter
    from nacre.tunnels.unix import UnixSockets

CERTIFY = b"nacre-certificate"
"""The command by which a user gets a certificate; the server answers it itself."""

DEFAULT_RULES = ServerRules(DEFAULT_CONFIG)


class AccountPolicy(Policy):
    """A policy whose users' sessions run as accounts of this system.

    :ivar threads: call what a user's files can hang.
    :ivar recordings: records sessions and forwards; None where nothing is recorded.
    :ivar lease: tells other servers of the same store of the connections; None without others.
    """

    recordings: Recordings | None = None
    lease: NodeLease | None = None

    def __init__(
        self,
        rules: ServerRules,
        profile: Profile = "default",
        threads: UserThreads | None = None,
    ) -> None:
        """Judge by these rules.

        :param threads: those that several policies share; None for some of its own.
        """
        self._candidates = Candidates(rules, profile)
        self._profile = profile
        self.threads = UserThreads() if threads is None else threads
        self._granted: WeakKeyDictionary[Session, Login] = WeakKeyDictionary()

    def close(self) -> None:
        """End the threads."""
        self.threads.close()

    @property
    def rules(self) -> ServerRules:
        """The configuration, with its Match blocks."""
        return self._candidates.rules

    async def login(self, user: str, connection: Client) -> Login:
        """Return what a logged-in user's sessions run as.

        :raises AccountError: the user or the account no longer exists, or may not be used.
        """
        raise NotImplementedError

    async def certify(self, user: str, connection: Client, key: PublicKey | None) -> Certificate:
        """Return a certificate for a user who has logged in (:mod:`nacre.daemon.authority`).

        :param key: the key to certify; None for the one that the user has logged in with.
        :raises NacreError: the user gets none; the message says why, and is for the user.
        """
        raise AccountError(
            "certificates are issued to the users of the store alone, and not with --users system"
        )

    async def ledger(self, user: str, connection: Client, group: str | None) -> FileIO:
        """Return a user's ledger, or that of a group of the user, opened anew for one session.

        :raises AccountError, OSError: there is none.
        """
        raise AccountError(
            "quotas are for the users of the store alone, and not for --users system"
        )

    def meter(self, login: Login, connection: Client) -> TransferMeter | None:
        """Return what counts a connection's data, for a user whose rates or transfers are limited.

        It is the same for all sessions and forwards of the connection.
        """
        limits = () if login.files is None else login.files.limits
        limits = tuple(one for one in limits if one.up or one.down)
        if limits and connection.meter is None:
            from nacre.daemon.accounts.metering import LedgerMeter

            def fail(reason: str) -> None:
                connection.record("refused", request="transfer", reason=safe(reason))
                connection.fail(ConnectionLost(reason), DisconnectCode.BY_APPLICATION, reason)

            ledger = partial(self.ledger, connection.user, connection)
            in_thread = partial(self.threads.run, connection.user)
            connection.meter = LedgerMeter(limits, ledger, in_thread, fail)
        return connection.meter

    def candidate(self, user: str, connection: Client) -> Candidate:
        """Return what is known of the user of a connection. May block the first time."""
        return self._candidates.find(user, connection) or self._begin(user, connection)

    def _begin(self, user: str, connection: Client) -> Candidate:
        """Look up the configuration for a user name that is new on the connection."""
        return self._candidates.begin(user, connection)

    def _banner(self, candidate: Candidate, connection: Client) -> str | None:
        try:
            return self._candidates.banner_of(candidate)
        except ConfigurationError as error:
            connection.record("error", what="a user gets no banner", error=str(error))
            return ""

    def authenticated(self, user: str, methods: tuple[str, ...], connection: Client) -> Maybe[None]:
        """Let the user's configuration hold for the connection, and tell other nodes of it."""
        if self.lease is not None:
            self.lease.note(connection, user, methods)
        candidate = self._candidates.find(user, connection)
        if candidate is None:
            return None
        candidate.settle(methods)
        if candidate.changed:
            config = candidate.config
            connection.accept_env = config.accept_env
            connection.set_keepalive(config.keepalive, config.client_alive_count_max)
        return None

    async def _may_forward(self, connection: Client) -> Forwarding:
        candidate = self.candidate(connection.user, connection)
        if candidate.forwarding is None:
            try:
                login = await self.login(connection.user, connection)
            except AccountError as error:
                connection.record("refused", request="forwarding", reason=str(error))
                login = None
            if login is not None and login.files is not None and login.files.limits:
                self.meter(login, connection)
            candidate.forwarding = Forwarding(login, candidate.config)
        return candidate.forwarding

    async def _may_forward_recorded(self, connection: Client) -> Forwarding:
        """Return what may be forwarded once that is recorded; without a recording nothing may."""
        rights = await self._may_forward(connection)
        if self.recordings is None or not rights.recorded:
            return rights
        try:
            await self.recordings.attend(connection)
        except StateError as error:
            reason = f"it can't be recorded: {safe(str(error))}"
            connection.record("refused", request="forwarding", reason=reason)
            return Forwarding(None, self.candidate(connection.user, connection).config)
        return rights

    async def direct_connection(self, host: str, port: int, connection: Client) -> bool:
        """Grant what the configuration and the user's key allow."""
        return (await self._may_forward_recorded(connection)).may_connect(host, port)

    async def remote_listen(self, host: str, port: int, connection: Client) -> str | None:
        """Grant what the configuration and the user's key allow."""
        return (await self._may_forward_recorded(connection)).where_to_listen(host, port)

    async def direct_unix_connection(self, path: str, connection: Client) -> bool | UnixSockets:
        """Grant what the configuration and the user's key allow, with the account's rights."""
        rights = await self._may_forward_recorded(connection)
        return rights.unix if rights.may_connect_to(path) else False

    async def remote_unix_listen(self, path: str, connection: Client) -> bool | UnixSockets:
        """Grant what the configuration and the user's key allow, with the account's rights."""
        rights = await self._may_forward_recorded(connection)
        return rights.unix if rights.may_listen_at() else False

    async def agent_forwarding(self, session: Session) -> bool:
        """Grant what the configuration and the user's key allow."""
        return (await self._may_forward(session.connection)).agent

    async def tunnel_device(
        self, mode: TunnelMode, unit: int | None, connection: Client
    ) -> TunnelDevice | None:
        """Open what the configuration, the user's key and the account's rights allow."""
        try:
            rights = await self._may_forward_recorded(connection)
            if connection.meter is not None:
                raise AccountError("the user has a rate, which does not hold for tunnel devices")
            return await rights.open_device(mode, unit)
        except (AccountError, OSError) as error:
            connection.record("refused", request="tunnel", reason=safe(str(error)))
        return None

    async def x11_forwarding(self, session: Session) -> bool:
        """Grant what the configuration and the user's key allow, where there is a xauth."""
        if not (await self._may_forward(session.connection)).x11:
            return False
        program = self.candidate(session.user, session.connection).config.xauth_location
        if program is not None:
            usable = partial(os.access, program, os.X_OK)
            if await self.threads.run(session.user, usable):
                return True
        reason = f"there is no program {program}: XAuthLocation names xauth"
        session.connection.record("refused", request="x11", reason=reason)
        return False

    async def session_request(self, session: Session, request: Request) -> bool:
        """Grant what the user's services allow; the reason of a refusal is logged."""
        try:
            login = await self.login(session.user, session.connection)
        except AccountError as error:
            reason: str | None = str(error)
        else:
            self._granted[session] = login
            reason = _refusal(login, request)
            if reason is None and login.root is not None:
                reason = await self.threads.run(session.user, partial(refuses_root, login.root))
        if reason is not None:
            session.connection.record("refused", request=request.NAME, reason=reason)
        return reason is None

    def granted(self, session: Session) -> Login:
        """Return the login with which the session's latest request was decided."""
        return self._granted[session]


def _refusal(login: Login, request: Request) -> str | None:
    if isinstance(request, PtyRequest):
        if not login.config.permit_tty:
            return "PermitTTY is no"
        if not login.key.pty:
            return f"{login.name} may have no terminal with this key"
    if isinstance(request, Subsystem):
        return _subsystem_refusal(login, request.name)
    if login.service != "sftp":
        return None
    if login.forced is None:
        if isinstance(request, Exec) and request.command == CERTIFY:
            return None  # no program is run for it
        allowed = isinstance(request, Exec) and parse_scp(request.command) is not None
    else:
        allowed = _is_internal(login.forced)
    return None if allowed else f"{login.name} may use sftp and scp only"


def _subsystem_refusal(login: Login, name: str) -> str | None:
    command = login.subsystem(name)
    if login.service == "shell":
        return f"{login.name} may use a shell only, and no subsystem"
    if command is None:
        return f"there is no subsystem {safe(name, 64)}"
    command = command if login.forced is None else login.forced
    if _is_internal(command):
        return None if login.files is not None else f"{login.name} may use no files"
    confined = login.service == "sftp" or (login.files is not None and login.files.root is not None)
    if confined:
        return f"{login.name} is confined to files, and the subsystem would run a program"
    return None


def _is_internal(command: str) -> bool:
    return command.split()[:1] == [INTERNAL]
