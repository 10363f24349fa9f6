"""The accounts of this system: their keys, their passwords, their state."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contexts import FakeContext
from daemon.conftest import PATH, SystemAccount, by_default
from nacre.config.server.config import ServerConfig
from nacre.config.server.files import parse
from nacre.config.server.rules import Connecting, ServerRules
from nacre.daemon.accounts import shadow, system, verifiers
from nacre.daemon.accounts.system import SystemPolicy
from nacre.daemon.processes.pam.messages import Judged, Prompts
from nacre.keys import PublicKey, generate
from nacre.keys.families.rsa1 import RSA1PublicKey
from nacre.protocol.asks import Challenge, PasswordExpired, Prompt
from nacre.protocol.requests import PtyRequest, Shell

KEY = generate("ssh-ed25519").public
OTHER = generate("ssh-ed25519").public
PTY = PtyRequest("xterm", 80, 24, 0, 0, b"")


class Connection:
    def __init__(self, address: str = "192.0.2.1") -> None:
        self.peer = self.local = (address, 40000)
        self.methods: tuple[str, ...] = ()
        self.looked_up: str | None = None
        self.reasons: list[str] = []
        self.failed: list[str] = []

    def record(self, event: str, **fields: object) -> None:
        self.reasons.append(str(fields.get("reason", fields.get("error"))))

    def fail(self, error: Exception, code: object, description: str) -> None:
        self.failed.append(description)


class Session:
    def __init__(self, user: str, connection: Connection) -> None:
        self.user = user
        self.connection = connection


@pytest.fixture
def policy() -> Iterator[Any]:
    policy = SystemPolicy(ServerRules(parse(["UsePAM=no"])))
    yield policy
    policy.close()


# --- the policy ---


def test_the_servers_end_of_a_connection_comes_first_for_programs_as_with_sshd() -> None:
    connection: Any = Connection()
    connection.local, connection.domain = ("192.0.2.2", 22), "vrf"
    assert system._endpoints(connection) == {"C": "192.0.2.2 22 192.0.2.1 40000", "D": "vrf"}


async def test_everyone_is_offered_the_same(policy: Any) -> None:
    for name in ("root", "nobody", "no-such-account"):
        assert (await policy.requirement(name, Connection())).requirement == by_default("any")


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """What is verified, by something that finds every password right."""
    verified: list[tuple[str, str | None]] = []

    def refusal(user: str, password: str | None, *, empty: bool = False) -> str | None:
        verified.append((user, password))
        return None

    monkeypatch.setattr(shadow, "refusal", refusal)
    return verified


async def test_roots_password_is_never_verified(
    policy: Any, verified: list[tuple[str, str | None]]
) -> None:
    """What is verified in its place is nobody's password, so that it takes as long."""
    connection = Connection()
    assert not await policy.password("root", "secret", connection)
    assert connection.reasons == ["PermitRootLogin is prohibit-password"]
    assert not await policy.keyboard_interactive("root", "", ("secret",), connection)
    assert not await policy.password("no-such-account", "secret", connection)
    assert connection.reasons[2] == "this system has no account 'no-such-account'"
    assert len(verified) == 3
    assert all(password not in (None, "secret") for _, password in verified)


class FakeVerifier:
    """Answers with what it is given, and notes what it was asked."""

    def __init__(self, *answers: Prompts | Judged) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Any, ...]] = []
        self.opened: Any = None

    async def check(self, candidate: Any, client: Any, *words: str | None) -> Any:
        self.asked.append(words)
        return self.answers.pop(0)

    async def converse(
        self, candidate: Any, client: Any, responses: Any, *, pretended: bool
    ) -> Any:
        self.asked.append((responses, pretended))
        return self.answers.pop(0)

    def login(self, client: Any) -> Any:
        return self.opened


ASKS = Prompts(("hello", "there"), (("Password: ", False), ("Code: ", True)))
EXPIRED = Judged("expired", expired=True, texts=("Too old.",))


def verify(policy: Any, *answers: Prompts | Judged, root: str = "yes") -> FakeVerifier:
    """Have a policy verify with these answers in turn."""
    policy._candidates.rules.base = replace(policy.rules.base, permit_root_login=root)
    policy._verifier = FakeVerifier(*answers)
    verifier: FakeVerifier = policy._verifier
    return verifier


async def test_a_dialogue_is_passed_on(policy: Any) -> None:
    verifier = verify(policy, ASKS, Judged())
    connection = Connection()
    challenge = await policy.keyboard_interactive("root", "", None, connection)
    assert challenge == Challenge(
        "", "hello\nthere", (Prompt("Password: ", False), Prompt("Code: ", True))
    )
    assert await policy.keyboard_interactive("root", "", ("a", "b"), connection) is True
    assert verifier.asked == [(None, False), (("a", "b"), False)]


async def test_a_user_who_is_refused_is_asked_and_answers_in_vain(policy: Any) -> None:
    verifier = verify(policy, ASKS, Judged(), root="no")
    connection = Connection()
    assert await policy.keyboard_interactive("root", "", None, connection)
    assert await policy.keyboard_interactive("root", "", ("a", "b"), connection) is False
    assert connection.reasons == ["PermitRootLogin is no"]
    (_, asked), (given, pretended) = verifier.asked
    assert asked is pretended is True
    assert len(given) == 2
    assert not {"a", "b"}.intersection(given)


async def test_what_is_said_after_a_failure_is_shown_first(policy: Any) -> None:
    verify(policy, Judged("no", texts=("locked",)), Judged("the dialogue is over"))
    connection = Connection()
    answer = await policy.keyboard_interactive("root", "", ("a",), connection)
    assert answer == Challenge("", "locked", ())
    assert await policy.keyboard_interactive("root", "", (), connection) is False
    assert connection.reasons[0] == "no"


async def test_an_expired_password_is_to_be_changed(policy: Any) -> None:
    verifier = verify(policy, EXPIRED, Judged(), Judged("too weak"))
    connection = Connection()
    assert await policy.password("root", "old", connection) == PasswordExpired("Too old.")
    assert await policy.change_password("root", "old", "new", connection) is True
    assert await policy.change_password("root", "old", "weak", connection) is False
    assert verifier.asked == [("old", None), ("old", "new"), ("old", "weak")]
    assert connection.reasons == ["too weak"]


async def test_a_user_who_is_refused_changes_no_password(policy: Any) -> None:
    verifier = verify(policy, EXPIRED, EXPIRED, root="no")
    assert await policy.password("root", "old", Connection()) is False
    assert await policy.change_password("root", "old", "new", Connection()) is False
    assert all(not {"old", "new"}.intersection(words) for words in verifier.asked)


class FakeLogin:
    """A login whose session is opened as the test says."""

    user = "root"

    def __init__(self, outcome: Judged) -> None:
        self.outcome = outcome
        self.groups: tuple[int, ...] = ()

    async def open_session(self, groups: tuple[int, ...]) -> Judged:
        self.groups = groups
        return self.outcome


async def test_a_session_is_opened_at_the_login(policy: Any) -> None:
    verifier, connection = verify(policy), Connection()
    assert policy.authenticated("root", ("password",), connection) is None
    verifier.opened = FakeLogin(Judged())
    await policy.authenticated("root", ("password",), connection)
    assert 0 in verifier.opened.groups
    assert connection.failed == []


async def test_without_a_session_the_connection_ends(policy: Any) -> None:
    verifier, connection = verify(policy), Connection()
    verifier.opened = FakeLogin(Judged("denied", texts=("Too many logins.",)))
    await policy.authenticated("root", ("password",), connection)
    assert connection.failed == ["Too many logins."]
    assert connection.reasons == ["denied"]


@pytest.mark.parametrize(("required", "judged"), [("publickey", 1), ("publickey,password", 0)])
async def test_the_last_method_judges_the_account(
    system_account: SystemAccount, required: str, judged: int
) -> None:
    system_account.authorize(f"{KEY}\n")
    lines = ["UsePAM=no", f"AuthenticationMethods={required}"]
    policy: Any = SystemPolicy(ServerRules(parse(lines)))
    policy._verifier = FakeVerifier(Judged())
    assert await policy.public_key(system_account.name, KEY, "ssh-ed25519", True, Connection())
    assert len(policy._verifier.asked) == judged
    policy.close()


def by_gssapi(**changed: Any) -> SystemPolicy:
    return SystemPolicy(
        ServerRules(ServerConfig(gssapi_authentication=True, use_pam=False, **changed))
    )


async def test_a_principal_has_the_accounts_that_it_may_use(
    system_account: SystemAccount,
) -> None:
    policy, connection = by_gssapi(), Connection()
    name = system_account.name
    required = (await policy.requirement(name, connection)).requirement  # type: ignore[arg-type]
    assert frozenset({"gssapi-with-mic"}) in required
    assert frozenset({"gssapi-keyex"}) not in required
    context = FakeContext(accounts=(name,), delegated=b"tickets")
    stranger = FakeContext(principal="mallory@EXAMPLE.ORG", accounts=())
    assert not await policy.gssapi(name, stranger, connection)  # type: ignore[arg-type]
    assert connection.reasons[-1].startswith("mallory@EXAMPLE.ORG may not use the account")
    assert await policy.gssapi(name, context, connection)  # type: ignore[arg-type]
    login = await policy.login(name, connection)  # type: ignore[arg-type]
    assert login.security is context
    policy.close()


async def test_tickets_are_taken_unless_the_configuration_refuses_them(
    system_account: SystemAccount,
) -> None:
    policy, connection = by_gssapi(gssapi_delegate_credentials=False), Connection()
    name = system_account.name
    context = FakeContext(accounts=(name,), delegated=b"tickets")
    assert await policy.gssapi(name, context, connection)  # type: ignore[arg-type]
    login = await policy.login(name, connection)  # type: ignore[arg-type]
    assert login.security is None
    policy.close()


@pytest.mark.parametrize(
    ("config", "user"),
    [
        ({"permit_root_login": "forced-commands-only"}, "root"),
        ({"permit_root_login": "no"}, "root"),
        ({"deny_users": ("root",)}, "root"),
        ({}, "no-such-account"),
    ],
)
async def test_the_configuration_comes_before_the_principal(
    config: dict[str, Any], user: str
) -> None:
    policy = by_gssapi(**config)
    context: Any = FakeContext(accounts=("root", "no-such-account"))
    assert not await policy.gssapi(user, context, Connection())  # type: ignore[arg-type]
    policy.close()


@pytest.mark.slow
async def test_configuration_holds_for_every_method(system_account: SystemAccount) -> None:
    name = system_account.name
    rsa = generate("rsa1", bits=1024).public
    assert isinstance(rsa, RSA1PublicKey)
    system_account.authorize(f"{KEY}\n{rsa}\n")
    policy: Any = SystemPolicy(ServerRules(parse([f"DenyUsers={name}", "UsePAM=no"])))
    connection = Connection()
    assert not await policy.password(name, system_account.password, connection)
    assert not await policy.public_key(name, KEY, "ssh-ed25519", False, connection)
    assert not await policy.public_key(name, KEY, "ssh-ed25519", True, connection)
    assert await policy.rsa_key(name, rsa.verifier.n, connection) is None
    assert connection.reasons == ["DenyUsers lists the user"] * 4
    policy.close()


@pytest.mark.slow
async def test_policy_password(system_account: SystemAccount, policy: Any) -> None:
    connection = Connection()
    assert await policy.password(system_account.name, system_account.password, connection)
    assert not await policy.password(system_account.name, "wrong", connection)
    assert connection.reasons


async def test_nologin_is_for_all_but_root(
    system_account: SystemAccount, policy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system_account.authorize(f"{KEY}\n")
    monkeypatch.setattr(verifiers, "_NOLOGIN", tmp_path / "nologin")
    name = system_account.name
    assert await policy.public_key(name, KEY, "ssh-ed25519", True, Connection())
    (tmp_path / "nologin").touch()
    connection = Connection()
    assert not await policy.public_key(name, KEY, "ssh-ed25519", True, connection)
    assert connection.reasons == [f"{tmp_path}/nologin exists"]


async def test_policy_public_key(system_account: SystemAccount, policy: Any) -> None:
    system_account.authorize(f'from="192.0.2.0/24" {KEY}\n')
    name = system_account.name
    for signed in (False, True):
        assert await policy.public_key(name, KEY, "ssh-ed25519", signed, Connection())
        assert not await policy.public_key(name, OTHER, "ssh-ed25519", signed, Connection())
        far = Connection("198.51.100.1")
        assert not await policy.public_key(name, KEY, "ssh-ed25519", signed, far)
    assert not await policy.public_key("no-such-account", KEY, "ssh-ed25519", True, Connection())


async def test_a_style_behind_the_name_is_dropped(
    system_account: SystemAccount, policy: Any
) -> None:
    system_account.authorize(f"{KEY}\n")
    user, connection = f"{system_account.name}:style", Connection()
    assert await policy.requirement(user, connection)
    assert await policy.public_key(user, KEY, "ssh-ed25519", True, connection)
    assert await policy.password(user, system_account.password, connection)
    assert (await policy.login(user, connection)).account.name == system_account.name
    assert not await policy.password(user, "wrong", connection)


async def test_a_key_is_for_a_named_host_if_names_are_looked_up(
    system_account: SystemAccount, policy: Any
) -> None:
    system_account.authorize(f'from="*.example" {KEY}\n')
    connection = Connection()
    name = system_account.name
    assert not await policy.public_key(name, KEY, "ssh-ed25519", True, connection)
    connection.looked_up = "host.example"
    assert await policy.public_key(name, KEY, "ssh-ed25519", True, connection)


async def test_options_of_the_key_bind(system_account: SystemAccount, policy: Any) -> None:
    system_account.authorize(f'command="only this",no-pty {KEY}\n')
    connection = Connection()
    session = Session(system_account.name, connection)
    assert (await policy.login(session.user, connection)).key.command is None
    assert await policy.public_key(system_account.name, KEY, "ssh-ed25519", True, connection)
    policy.authenticated(system_account.name, ("publickey",), connection)
    login = await policy.login(session.user, connection)
    assert (login.key.command, login.key.pty) == ("only this", False)
    assert login.account.name == system_account.name
    assert await policy.session_request(session, Shell())
    assert not await policy.session_request(session, PTY)


async def test_rsa1_lines_are_found_by_their_modulus(
    system_account: SystemAccount, policy: Any
) -> None:
    """In SSH-1 the key's number comes first; its options are held against who can answer."""
    old, other = (generate("rsa1", bits=1024).public for _ in range(2))
    system_account.authorize(f'{KEY}\nfrom="192.0.2.0/24" {old} a comment\n')
    name = system_account.name
    assert await policy.rsa_key(name, modulus(old), Connection()) == old
    assert await policy.rsa_key(name, modulus(other), Connection()) is None
    assert await policy.rsa_key("no-such-account", modulus(old), Connection()) is None
    assert await policy.public_key(name, old, "rsa1", True, Connection())
    assert not await policy.public_key(name, old, "rsa1", True, Connection("198.51.100.1"))


def modulus(key: PublicKey) -> int:
    assert isinstance(key, RSA1PublicKey)
    return key.verifier.n


# --- what the configuration says of one user ---


class ForOne(ServerRules):
    """Options that count for one account alone, and for its group."""

    def __init__(self, name: str, *options: str) -> None:
        super().__init__(parse(["UsePAM=no"]))
        self.own = parse(options)
        self.name = name
        self.asked: list[Connecting] = []

    def lookup(self, who: Connecting) -> ServerConfig:
        self.asked.append(who)
        return self.own if who.user == self.name and self.name in who.groups() else self.base


@pytest.fixture
def policy_for_one(system_account: SystemAccount) -> Iterator[Callable[..., Any]]:
    made: list[SystemPolicy] = []

    def make(*options: str) -> Any:
        made.append(SystemPolicy(ForOne(system_account.name, *options)))
        return made[-1]

    yield make
    for policy in made:
        policy.close()


async def test_the_configuration_is_looked_up_once_for_a_name(
    system_account: SystemAccount, policy_for_one: Callable[..., Any]
) -> None:
    system_account.authorize(f"{KEY}\n")
    policy = policy_for_one("AuthenticationMethods=publickey,password", "MaxAuthTries=2")
    connection, name = Connection(), system_account.name
    required = await policy.requirement(name, connection)
    assert required.requirement == (("publickey", "password"),)
    assert required.limits.auth_attempts == 2
    assert await policy.public_key(name, KEY, "ssh-ed25519", True, connection)
    assert await policy.password(name, system_account.password, connection)
    await policy.login(name, connection)
    assert len(policy.rules.asked) == 1
    assert (await policy.requirement("ghost", connection)).requirement == by_default("any")
    assert [who.invalid_user for who in policy.rules.asked] == [False, True]


async def test_a_key_counts_once_for_a_login(
    system_account: SystemAccount, policy_for_one: Callable[..., Any]
) -> None:
    system_account.authorize(f"{KEY}\n{OTHER}\n")
    policy = policy_for_one("AuthenticationMethods=publickey,publickey")
    connection, name = Connection(), system_account.name
    assert await policy.public_key(name, KEY, "ssh-ed25519", True, connection)
    connection.methods = ("publickey",)
    assert not await policy.public_key(name, KEY, "ssh-ed25519", True, connection)
    assert await policy.public_key(name, OTHER, "ssh-ed25519", True, connection)
    assert connection.reasons == ["the key was used for this login already"]


@pytest.mark.slow
@pytest.mark.parametrize("permitted", [True, False])
async def test_an_empty_password(
    system_account: SystemAccount, policy_for_one: Callable[..., Any], permitted: bool
) -> None:
    word = "yes" if permitted else "no"
    policy = policy_for_one(f"PermitEmptyPasswords={word}")
    name = system_account.name
    subprocess.run(["passwd", "-d", name], check=True, env={"PATH": PATH}, capture_output=True)
    try:
        required = (await policy.requirement(name, Connection())).requirement
        assert (frozenset() in required) is permitted
        connection = Connection()
        assert await policy.password(name, "", connection) is permitted
        assert connection.reasons == ([] if permitted else ["PermitEmptyPasswords is no"])
        assert shadow.refusal(name, "", empty=permitted) is None or not permitted
    finally:
        typed = f"{name}:{system_account.password}\n"
        subprocess.run(["chpasswd"], input=typed, text=True, check=True, env={"PATH": PATH})
    # A password that is not empty is still needed.
    assert frozenset() not in (await policy.requirement(name, Connection())).requirement


@pytest.mark.parametrize("root", ["/no/such/directory/%u", "/usr"])
async def test_a_root_directory_is_looked_at_before_each_session(
    system_account: SystemAccount, policy_for_one: Callable[..., Any], root: str
) -> None:
    policy = policy_for_one(f"ChrootDirectory={root}")
    connection = Connection()
    session = Session(system_account.name, connection)
    granted = await policy.session_request(session, Shell())
    assert granted is (root == "/usr")
    assert policy.granted(session).root == root.replace("%u", system_account.name)
    if not granted:
        assert connection.reasons[0].endswith("No such file or directory")


async def test_a_token_that_is_not_known_refuses_the_session(
    system_account: SystemAccount, policy_for_one: Callable[..., Any]
) -> None:
    policy = policy_for_one()
    policy.rules.own = replace(policy.rules.own, chroot_directory="/srv/%x")
    connection = Connection()
    assert not await policy.session_request(Session(system_account.name, connection), Shell())
    assert connection.reasons[0].startswith("ChrootDirectory: /srv/%x: %x is not possible")
