"""The policy of virtual users, asked directly."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from daemon.conftest import by_default
from nacre.aio.maybe import settled
from nacre.config.server.config import ServerConfig
from nacre.config.server.files import parse
from nacre.config.server.rules import Connecting, ServerRules
from nacre.crypto import password as password_module
from nacre.crypto.password import hash_password, needs_rehash, verify_password
from nacre.daemon.accounts.virtual import users as users_module
from nacre.daemon.accounts.virtual.policy import StorePolicy
from nacre.daemon.accounts.virtual.requirements import REQUIREMENTS, WITH_CODE
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import Group, StoredKey, StoredUser
from nacre.errors import AccountError, DisconnectCode
from nacre.keys import PublicKey, generate
from nacre.keys.certificate import Certificate
from nacre.keys.key_options import NO_OPTIONS, parse_options
from nacre.protocol.asks import KeyTerms
from nacre.protocol.requests import Exec, PtyRequest, Request, Shell, Subsystem

KEY = generate("ssh-ed25519").public
HASH = hash_password(b"secret", os.urandom)
RUN_AS = "root" if os.geteuid() == 0 else None
PTY = PtyRequest("xterm", 80, 24, 0, 0, b"")


class Connection:
    """What the policy needs of a connection: somewhere to say why not."""

    def __init__(self, protocol: str = "2.0", expected: str = "refused") -> None:
        self.protocol = protocol
        self.expected = expected
        self.accept_env: tuple[str, ...] | None = None
        self.keepalive: tuple[float | None, int] | None = None
        self.peer = self.local = ("192.0.2.1", 40000)
        self.methods = ("publickey",)
        self.looked_up: str | None = None
        self.reasons: list[object] = []
        self.failures: list[tuple[int, str]] = []
        self.at_end: list[Callable[[object], object]] = []

    def spawn(self, work: Any) -> Any:
        work.close()
        return SimpleNamespace(add_done_callback=self.at_end.append)

    def end(self) -> None:
        for callback in self.at_end:
            callback(None)

    def fail(self, error: Exception, code: int, description: str) -> None:
        self.failures.append((code, description))

    def record(self, event: str, **fields: object) -> None:
        assert event == self.expected
        self.reasons.append(fields.get("reason", fields.get("error")))

    def set_keepalive(self, interval: float | None, count: int) -> None:
        self.keepalive = (interval, count)


class Session:
    def __init__(self, user: str) -> None:
        self.user = user
        self.connection = Connection()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[UserStore]:
    store = UserStore(tmp_path / FILE)
    yield store
    store.close()


@pytest.fixture
def policy(store: UserStore) -> Iterator[Any]:
    policy = StorePolicy(store, RUN_AS)
    yield policy
    policy.close()


@pytest.mark.parametrize("auth", REQUIREMENTS)
async def test_requirement_is_the_users(store: UserStore, policy: Any, auth: str) -> None:
    store.add(StoredUser(name="alice", auth=auth))
    assert policy.requirement("alice", Connection()).requirement == by_default(auth)


@pytest.mark.parametrize("auth", REQUIREMENTS)
async def test_who_has_a_second_factor_needs_it(store: UserStore, policy: Any, auth: str) -> None:
    store.add(StoredUser(name="alice", auth=auth, second_factor="optional"))

    def required(name: str = "alice") -> object:
        return policy.requirement(name, Connection()).requirement

    assert required() == by_default(auth)
    store.factors.enrol("alice", bytes(20))
    assert required() == WITH_CODE[auth]
    assert required("ghost") == by_default(auth)
    store.change("alice", second_factor="required")
    store.factors.remove("alice")
    assert required() == WITH_CODE[auth]
    # Over SSH-1 the user is refused, whatever is shown.
    connection: Any = Connection("1.5")
    assert await policy.password("alice", "secret", connection) is False
    assert connection.reasons == ["the user's second factor needs SSH-2"]


def test_no_requirement_is_empty() -> None:
    assert all(methods for alternatives in REQUIREMENTS.values() for methods in alternatives)
    both = REQUIREMENTS["password-publickey"]
    assert all("publickey" in methods and len(methods) == 2 for methods in both)


async def test_unknown_users_look_like_known_ones(store: UserStore, policy: Any) -> None:
    names = [f"ghost{n}" for n in range(40)]

    def seen() -> list[Any]:
        return [policy.requirement(name, Connection()).requirement for name in names]

    assert set(seen()) == {by_default("any")}
    store.add(StoredUser(name="a", auth="publickey"))
    assert set(seen()) == {by_default("publickey")}
    store.add(StoredUser(name="b", auth="password"))
    first = seen()
    assert set(first) == {by_default("publickey"), by_default("password")}
    assert seen() == first


async def test_password(store: UserStore, policy: Any) -> None:
    store.add(StoredUser(name="alice", password=HASH))
    assert await policy.password("alice", "secret", Connection()) is True
    assert await policy.password("alice", "Secret", Connection()) is False
    assert await policy.password("alice", "", Connection()) is False
    assert await policy.password("ghost", "secret", Connection()) is False
    store.change("alice", disabled=True)
    assert await policy.password("alice", "secret", Connection()) is False


@pytest.mark.slow
async def test_the_log_tells_what_the_client_is_not_told(store: UserStore) -> None:
    config = parse(["DenyUsers=banned", "PubkeyAuthentication=no"])
    policy: Any = StorePolicy(store, RUN_AS, rules=ServerRules(config))
    key = [StoredKey(KEY, "")]
    store.add(StoredUser(name="alice", password=HASH), key)
    store.add(StoredUser(name="empty"), key)
    store.add(StoredUser(name="disabled", password=HASH, disabled=True), key)
    store.add(StoredUser(name="banned", password=HASH), key)
    store.add(StoredUser(name="keys", password=HASH, auth="publickey"), key)
    reasons = {
        "alice": "wrong password",
        "ghost": "unknown user",
        "empty": "the user has no password",
        "disabled": "the user is disabled",
        "banned": "DenyUsers lists the user",
        "keys": "the methods that the user needs are switched off",
    }
    for name, reason in reasons.items():
        connection: Any = Connection()
        right = "wrong" if name == "alice" else "secret"
        assert await policy.password(name, right, connection) is False
        assert connection.reasons == [reason]
        methods = policy.requirement(name, connection).requirement
        assert all("publickey" not in alternative for alternative in methods)
        connection.reasons.clear()
        if name not in ("alice", "empty"):
            assert policy.public_key(name, KEY, "ssh-ed25519", True, connection) is False
            assert connection.reasons == [reason]
            assert await policy.rsa_key(name, 1, connection) is None
    policy.close()


async def test_every_password_costs_one_hash(
    store: UserStore, policy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(StoredUser(name="alice", password=HASH))
    store.add(StoredUser(name="keys-alone"))
    store.add(StoredUser(name="disabled", password=HASH, disabled=True))
    costs: list[str] = []

    def verify(stored: str, given: bytes) -> bool:
        costs.append("verify")
        return verify_password(stored, given)

    def unknown(given: bytes) -> bool:
        costs.append("unknown")
        return password_module.verify_unknown(given)

    monkeypatch.setattr(users_module, "verify_password", verify)
    monkeypatch.setattr(users_module, "verify_unknown", unknown)
    for name in ("alice", "ghost", "keys-alone", "disabled"):
        assert await policy.password(name, "wrong", Connection()) is False
    assert costs == ["verify", "unknown", "unknown", "unknown"]


async def test_hashing_is_off_the_loop(
    store: UserStore, policy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def unknown(given: bytes) -> bool:
        threads.append(threading.current_thread().name)
        return False

    monkeypatch.setattr(users_module, "verify_unknown", unknown)
    await policy.password("ghost", "x", Connection())
    assert threads[0].startswith("password")


async def test_old_hashes_are_made_anew(
    store: UserStore, policy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(password_module, "ITERATIONS", 1)
        old = hash_password(b"secret", os.urandom)
    assert needs_rehash(old)
    store.add(StoredUser(name="alice", password=old))
    assert await policy.password("alice", "wrong", Connection()) is False
    assert store.user("alice").password == old
    assert await policy.password("alice", "secret", Connection()) is True
    new = store.user("alice").password
    assert new is not None
    assert not needs_rehash(new)
    assert await policy.password("alice", "secret", Connection()) is True


async def test_public_key(store: UserStore, policy: Any) -> None:
    store.add(StoredUser(name="alice"), [StoredKey(KEY, "")])
    assert policy.public_key("alice", KEY, "ssh-ed25519", False, Connection()) == KeyTerms()
    assert policy.public_key("ghost", KEY, "ssh-ed25519", True, Connection()) is False
    store.remove_key("alice", KEY)
    assert policy.public_key("alice", KEY, "ssh-ed25519", True, Connection()) is False


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ('restrict,command="id"', True),
        ('from="192.0.2.0/24"', True),
        ('from="198.51.100.0/24"', False),
        ('expiry-time="20200101"', False),
        ("cert-authority", False),
    ],
)
async def test_the_options_of_a_key_bind(
    store: UserStore, policy: Any, options: str, allowed: bool
) -> None:
    store.add(StoredUser(name="alice", run_as=RUN_AS), [StoredKey(KEY, "", options=options)])
    connection = Connection()
    done = await settled(policy.public_key("alice", KEY, "ssh-ed25519", True, connection))
    assert bool(done) is allowed
    policy.authenticated("alice", ("publickey",), connection)
    login = await policy.login("alice", connection)
    assert login.key == (parse_options(options) if allowed else NO_OPTIONS)


CA = generate("ssh-ed25519")


def certificate(**fields: Any) -> Certificate:
    return Certificate.issue(KEY, CA, **{"principals": ["alice"], **fields})


async def test_an_authority_of_one_user(store: UserStore, policy: Any) -> None:
    line = 'cert-authority,no-pty,principals="web"'
    store.add(StoredUser(name="alice", run_as=RUN_AS), [StoredKey(CA.public, "", options=line)])
    store.add(StoredUser(name="bob", run_as=RUN_AS), [StoredKey(CA.public, "")])
    connection = Connection()
    web = certificate(principals=["web"])
    assert await settled(policy.public_key("alice", web, "ssh-ed25519", True, connection))
    policy.authenticated("alice", ("publickey",), connection)
    assert not (await policy.login("alice", connection)).key.pty
    assert not await settled(
        policy.public_key("alice", certificate(), "ssh-ed25519", True, Connection())
    )
    assert not await settled(policy.public_key("bob", web, "ssh-ed25519", True, Connection()))
    assert not await settled(policy.public_key("ghost", web, "ssh-ed25519", True, Connection()))
    assert await settled(policy.public_key("bob", CA.public, "ssh-ed25519", True, Connection()))


async def test_an_authority_of_all_users_and_revoked_keys(
    store: UserStore, policy_for_alice: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "ca").write_text(f"{CA.public}\n")
    (tmp_path / "revoked").write_text("")
    policy = policy_for_alice(
        f"TrustedUserCAKeys={tmp_path / 'ca'}", f"RevokedKeys={tmp_path / 'revoked'}"
    )

    async def enters(key: PublicKey, user: str = "alice") -> bool:
        return bool(await settled(policy.public_key(user, key, "ssh-ed25519", True, Connection())))

    other = Certificate.issue(KEY, generate("ssh-ed25519"), principals=["alice"])
    assert await enters(certificate())
    assert not await enters(certificate(), "ghost")
    assert not await enters(certificate(principals=["bob"]))
    assert not await enters(certificate(valid_before=5))
    assert not await enters(certificate(critical_options={"x": b""}))
    assert not await enters(other)
    assert await enters(KEY)
    (tmp_path / "revoked").write_text(f"{CA.public}\n")
    assert not await enters(certificate())
    assert await enters(KEY)
    (tmp_path / "revoked").unlink()
    assert not await enters(KEY)


async def test_an_authority_of_all_users_counts_where_the_users_own_refuses(
    store: UserStore, policy_for_alice: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "ca").write_text(f"{CA.public}\n")
    policy = policy_for_alice(f"TrustedUserCAKeys={tmp_path / 'ca'}")
    line = 'cert-authority,no-pty,principals="web"'
    store.add_keys("alice", [StoredKey(CA.public, "", options=line)])
    for principal, pty in (("web", False), ("alice", True)):
        connection = Connection()
        shown = certificate(principals=[principal])
        assert await policy.public_key("alice", shown, "ssh-ed25519", True, connection)
        policy.authenticated("alice", ("publickey",), connection)
        assert (await policy.login("alice", connection)).key.pty is pty
    connection = Connection()
    refused = certificate(principals=["bob"])
    assert not await policy.public_key("alice", refused, "ssh-ed25519", True, connection)
    assert "principals=" in str(connection.reasons)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("service", "request_", "granted"),
    [
        ("all", Shell(), True),
        ("all", Exec(b"id"), True),
        ("all", PTY, True),
        ("all", Subsystem("sftp"), True),
        ("all", Subsystem("netconf"), False),
        ("all", Exec(b"scp -t ."), True),
        ("shell", Shell(), True),
        ("shell", Exec(b"id"), True),
        ("shell", Subsystem("sftp"), False),
        ("sftp", Subsystem("sftp"), True),
        ("sftp", Subsystem("netconf"), False),
        ("sftp", Exec(b"scp -r -p -f 'a file'"), True),
        ("sftp", Exec(b"scp -t .; id"), False),
        ("sftp", Exec(b"scp -S /bin/sh -t ."), False),
        ("sftp", Shell(), False),
        ("sftp", Exec(b"id"), False),
        ("sftp", PTY, False),
    ],
)
async def test_services(
    store: UserStore, policy: Any, service: str, request_: Request, granted: bool
) -> None:
    store.add(StoredUser(name="alice", service=service, root="/srv/files"))
    session = Session("alice")
    assert await policy.session_request(session, request_) is granted
    assert bool(session.connection.reasons) is not granted


async def test_removed_user_starts_nothing_more(store: UserStore, policy: Any) -> None:
    session = Session("alice")
    assert await policy.session_request(session, Shell()) is False
    assert session.connection.reasons == ["alice was removed or disabled"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server needs an account")
async def test_root_gives_its_rights_to_nobody_unasked(store: UserStore) -> None:
    policy: Any = StorePolicy(store)
    store.add(StoredUser(name="alice"))
    session = Session("alice")
    assert await policy.session_request(session, Shell()) is False
    assert "--run-as ACCOUNT" in str(session.connection.reasons[0])
    store.change("alice", run_as="nobody")
    assert await policy.session_request(session, Shell()) is True
    assert (await policy.login("alice", session.connection)).account.name == "nobody"
    policy.close()


# --- what the configuration says of one user ---


class ForAlice(ServerRules):
    """Options that count for alice alone."""

    def __init__(self, *options: str) -> None:
        super().__init__(parse([]))
        self.own = parse(options)

    def lookup(self, who: Connecting) -> ServerConfig:
        return self.own if who.user == "alice" else self.base


@pytest.fixture
def policy_for_alice(store: UserStore) -> Iterator[Callable[..., Any]]:
    made = []

    def make(*options: str, **user: Any) -> Any:
        for name in ("alice", "bob"):
            store.add(StoredUser(name=name, run_as=RUN_AS, **user), [StoredKey(KEY, "")])
        made.append(StorePolicy(store, RUN_AS, rules=ForAlice(*options)))
        return made[-1]

    yield make
    for policy in made:
        policy.close()


async def test_methods_and_bounds_are_the_users(policy_for_alice: Callable[..., Any]) -> None:
    policy = policy_for_alice("AuthenticationMethods=publickey,password", "MaxAuthTries=1")
    alice = policy.requirement("alice", Connection())
    assert alice.requirement == (("publickey", "password"),)
    assert alice.limits.auth_attempts == 1
    bob = policy.requirement("bob", Connection())
    assert (bob.requirement, bob.limits) == (by_default("any"), None)


async def test_a_banner_of_a_user_is_read(
    policy_for_alice: Callable[..., Any], tmp_path: Path
) -> None:
    banner = tmp_path / "banner"
    banner.write_text("hello\n")
    policy = policy_for_alice(f"Banner={banner}")
    assert (await policy.requirement("alice", Connection())).banner == "hello\n"
    assert policy.requirement("bob", Connection()).banner is None
    banner.unlink()
    connection = Connection("2.0", "error")
    assert (await policy.requirement("alice", connection)).banner == ""
    assert "can't read" in str(connection.reasons)


async def test_after_the_login_the_users_configuration_counts(
    policy_for_alice: Callable[..., Any],
) -> None:
    policy = policy_for_alice("AcceptEnv=A B", "ClientAliveInterval=5", "ClientAliveCountMax=2")
    for user, accepted, keepalive in (("alice", ("A", "B"), (5, 2)), ("bob", None, None)):
        connection = Connection()
        policy.requirement(user, connection)
        policy.authenticated(user, ("publickey",), connection)
        assert (connection.accept_env, connection.keepalive) == (accepted, keepalive)


def test_one_connection_too_many_is_ended_and_does_not_count(store: UserStore, policy: Any) -> None:
    store.groups.add(Group(name="g", max_sessions=2))
    store.add(StoredUser(name="alice", groups=("g",)))
    store.add(StoredUser(name="bob", groups=("g",), max_sessions=0))
    first, second, third, fourth = (Connection() for _ in range(4))
    for connection in (first, second, third, third):
        policy.authenticated("alice", ("publickey",), connection)
    assert [len(one.failures) for one in (first, second, third)] == [0, 0, 2]
    code, told = third.failures[0]
    assert code == DisconnectCode.TOO_MANY_CONNECTIONS
    assert "you have 2 connections to this server already" in told
    assert third.reasons == ["max_sessions is 2"] * 2
    third.end()
    first.end()
    policy.authenticated("alice", ("publickey",), fourth)
    assert fourth.failures == []
    for _ in range(5):
        connection = Connection()
        policy.authenticated("bob", ("publickey",), connection)
        assert connection.failures == []
    store.groups.change("g", max_sessions=None)
    policy.authenticated("alice", ("publickey",), third)
    assert len(third.failures) == 2


async def test_a_key_counts_once_for_a_login(policy_for_alice: Callable[..., Any]) -> None:
    policy = policy_for_alice("AuthenticationMethods=publickey,publickey")
    connection = Connection()
    for signed in (False, True):
        assert policy.public_key("alice", KEY, "ssh-ed25519", signed, connection)
    connection.methods = ("publickey",)
    assert not policy.public_key("alice", KEY, "ssh-ed25519", True, connection)
    assert connection.reasons == ["the key was used for this login already"]
    assert policy.public_key("bob", KEY, "ssh-ed25519", True, connection)


@pytest.mark.parametrize(
    ("options", "user", "request_", "reason"),
    [
        (["PermitTTY=no"], {}, PTY, "PermitTTY is no"),
        (["PermitTTY=no"], {}, Shell(), None),
        (["ForceCommand=id"], {}, Exec(b"x"), None),
        (
            ["ForceCommand=id"],
            {"service": "sftp", "root": "/srv/f"},
            Exec(b"scp -t ."),
            "sftp and scp only",
        ),
        (["ForceCommand=id"], {"service": "sftp", "root": "/srv/f"}, Subsystem("sftp"), "confined"),
        (
            ["ForceCommand=internal-sftp"],
            {"service": "sftp", "root": "/srv/f"},
            Subsystem("sftp"),
            None,
        ),
        (["Subsystem=sftp /bin/program"], {}, Subsystem("sftp"), None),
        (["Subsystem=sftp /bin/program"], {"root": "/srv/f"}, Subsystem("sftp"), "confined"),
        (["Subsystem=hello /bin/program"], {}, Subsystem("hello"), None),
        (["Subsystem=hello /bin/program"], {}, Subsystem("sftp"), "no subsystem sftp"),
        (["Subsystem=hello internal-sftp"], {"root": "/srv/f"}, Subsystem("hello"), None),
        (["ChrootDirectory=/"], {}, Shell(), "ChrootDirectory is for accounts of this system"),
    ],
)
async def test_requests_are_decided_by_the_users_configuration(
    policy_for_alice: Callable[..., Any],
    options: list[str],
    user: dict[str, Any],
    request_: Request,
    reason: str | None,
) -> None:
    policy = policy_for_alice(*options, **user)
    session = Session("alice")
    assert await policy.session_request(session, request_) is (reason is None)
    if reason is not None:
        assert reason in str(session.connection.reasons[0])
    if request_ not in (Subsystem("hello"), Exec(b"scp -t .")) and not user.get("service"):
        assert await policy.session_request(Session("bob"), request_)


async def test_forwarding_is_decided_by_the_users_configuration(
    policy_for_alice: Callable[..., Any],
) -> None:
    policy = policy_for_alice("DisableForwarding=yes")
    for user, allowed in (("alice", False), ("bob", True)):
        session = Session(user)
        connection: Any = session.connection
        connection.user = user
        assert await policy.direct_connection("host", 80, connection) is allowed
        assert await policy.remote_listen("localhost", 8080, connection) == (
            "localhost" if allowed else None
        )
        assert await policy.agent_forwarding(session) is allowed


@pytest.mark.parametrize(
    ("word", "xauth", "allowed"),
    [
        ("yes", Path("/bin/sh"), True),
        ("no", Path("/bin/sh"), False),
        ("yes", None, False),
        ("yes", Path("/no/such"), False),
    ],
)
async def test_x11_needs_the_word_and_a_xauth(
    policy_for_alice: Callable[..., Any], word: str, xauth: Path | None, allowed: bool
) -> None:
    policy = policy_for_alice(f"X11Forwarding={word}")
    session = Session("alice")
    connection: Any = session.connection
    connection.user = "alice"
    candidate = policy.candidate("alice", connection)
    candidate.config = replace(candidate.config, xauth_location=xauth and str(xauth))
    assert await policy.x11_forwarding(session) is allowed


async def test_a_session_gets_the_ledgers_of_its_users_groups_alone(
    store: UserStore, policy: Any, tmp_path: Path
) -> None:
    store.groups.add(
        Group(name="staff", service="sftp", root=str(tmp_path), shared_quota_bytes=5),
        Group(name="others", shared_quota_bytes=5),
        Group(name="plain"),
    )
    store.add(StoredUser(name="alice", groups=("staff", "plain")))
    for group in (None, "staff"):
        (await policy.ledger("alice", Connection(), group)).close()
    assert (tmp_path / "usage/alice").exists()
    assert (tmp_path / "usage-of-groups/staff").exists()
    for group in ("others", "plain", "none"):
        with pytest.raises(AccountError, match="alice shares no limits of a group of this name"):
            await policy.ledger("alice", Connection(), group)
    assert not (tmp_path / "usage-of-groups/others").exists()


async def test_all_of_a_connection_has_one_meter(policy_for_alice: Callable[..., Any]) -> None:
    policy = policy_for_alice("PermitTunnel=yes", rate_up=1 << 20, quota_bytes=0)
    for name, limited in (("alice", True), ("bob", True), ("carol", False)):
        session = Session(name)
        connection: Any = session.connection
        connection.user, connection.meter = name, None
        if name == "carol":
            policy._store.add(StoredUser(name="carol", run_as=RUN_AS), [StoredKey(KEY, "")])
        await policy.direct_connection("127.0.0.1", 1, connection)
        login = await policy.login(name, connection)
        assert (connection.meter is not None) is limited
        assert policy.meter(login, connection) is connection.meter
        if limited:
            assert await policy.tunnel_device("point-to-point", None, connection) is None
            assert "has a rate" in connection.reasons[-1]
