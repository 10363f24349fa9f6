import subprocess

import pytest

from contexts import FakeContext
from nacre.client.identities import (
    GSSAPI_METHODS,
    METHODS,
    UNNAMED_BEFORE_PASSWORD,
    UNNAMED_OFFERS,
    Identities,
)
from nacre.errors import AuthenticationFailed, KeyFormatError, PassphraseRequired, UnusableKey
from nacre.keys import Certificate, dump_private, generate, load_private
from nacre.protocol.asks import (
    AskAuthentication,
    AskNewPassword,
    AskPrompts,
    AskSignature,
    Denied,
    GiveUp,
    NewPassword,
    Prompt,
    Responses,
    SecurityStep,
    SessionProof,
    Signature,
    TryGSSAPIKeyex,
    TryGSSAPIWithMIC,
    TryKeyboardInteractive,
    TryNone,
    TryPassword,
    TryPublicKey,
)
from nacre.protocol.events import AuthResult

ALL = ("publickey", "password", "keyboard-interactive")
ED = generate("ssh-ed25519", comment="ed")
RSA = generate("ssh-rsa", bits=2048)
LEGACY = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")
OLD, OLDER = (generate("rsa1", bits=1024) for _ in range(2))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def ask(*methods, partial=False, server=None):
    return AskAuthentication(can_continue=methods, partial=partial, server_algorithms=server)


def failed(method, detail=""):
    return AuthResult("u", method, detail, "failure", (), 1)


class Human:
    """Answers prompts from a list, and keeps what was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def __call__(self, text, echo):
        self.asked.append((text, echo))
        return self.answers.pop(0) if self.answers else None


class FakeAgent:
    def __init__(self, *keys, refuses=False):
        self.held = {key.public: key for key in keys}
        self.refuses = refuses

    async def keys(self):
        if self.refuses:
            raise UnusableKey("no agent")
        return [(public, key.comment) for public, key in self.held.items()]

    async def rsa1_keys(self):
        return [(OLD.public, "the agent's")]

    async def sign(self, key, data, algorithm):
        return self.held[key].sign(data, algorithm)


def save(home, name, key, passphrase=None, public=False):
    path = home / ".ssh" / name
    path.write_bytes(dump_private(key, passphrase, rounds=1))
    path.chmod(0o600)
    if public:
        path.with_name(f"{name}.pub").write_text(f"{key.public} {key.comment}\n")
    return path


async def begun(*arguments, **options):
    identities = Identities("u", "h", *arguments, **options)
    assert await identities.authentication(ask()) == TryNone()
    return identities


async def offers(identities, *methods, server=None):
    found = []
    while isinstance(answer := await identities.authentication(ask(*methods, server=server)),
                     TryPublicKey):  # fmt: skip
        found.append(answer.key)
    return found, answer


async def test_without_keys_and_secrets_it_gives_up_and_lists_what_was_tried():
    identities = await begun()
    identities.result(failed("none"))
    identities.result(failed("publickey", "ssh-ed25519 SHA256:x"))
    answer = await identities.authentication(ask("publickey", "password"))
    assert isinstance(answer, GiveUp)
    error = answer.error
    assert isinstance(error, AuthenticationFailed)
    assert error.can_continue == ("publickey", "password")
    assert error.tried == ("publickey ssh-ed25519 SHA256:x",)
    assert "u@h was not let in: the server takes publickey,password" in str(error)


async def test_default_files_in_their_order(home):
    save(home, "id_rsa", RSA)
    save(home, "id_ed25519", ED)
    found, last = await offers(await begun(), *ALL, server=("rsa-sha2-256",))
    assert found == [ED.public, RSA.public]
    assert isinstance(last, GiveUp)


async def test_keys_in_hand_come_first_and_sign(home):
    save(home, "id_rsa", RSA)
    identities = Identities("u", "h", keys=[ED])
    answer = await identities.authentication(ask())
    assert answer == TryPublicKey(ED.public, ("ssh-ed25519",), signed=True)
    signed = await identities.signature(
        AskSignature(key=ED.public, algorithm="ssh-ed25519", data=b"data")
    )
    assert isinstance(signed, Signature)
    assert ED.public.verify(signed.blob, b"data", "ssh-ed25519")


async def test_rsa1_keys_are_for_ssh1_and_the_others_are_not(home):
    """Which of the two it is, the question says: its server takes RSA1 keys alone."""
    save(home, "identity", OLDER)
    save(home, "id_ed25519", ED)
    for files in (None, ["~/.ssh/identity", "~/.ssh/id_ed25519"]):
        identities = await begun(files=files, agent=FakeAgent(RSA))
        found, _ = await offers(identities, "publickey", server=("rsa1",))
        assert set(found) == {OLD.public, OLDER.public}
        found, _ = await offers(await begun(files=files, agent=FakeAgent(RSA)), "publickey")
        assert set(found) == {RSA.public, ED.public}


async def test_nothing_is_asked_for_last_where_a_key_in_hand_came_first():
    identities = Identities("u", "h", keys=[ED], files=())
    assert isinstance(await identities.authentication(ask()), TryPublicKey)
    assert await identities.authentication(ask(*ALL)) == TryNone()
    assert isinstance(await identities.authentication(ask(*ALL)), GiveUp)


async def test_a_key_that_an_agent_holds_is_offered_first(home):
    identities = await begun(agent=FakeAgent(ED))
    answer = await identities.authentication(ask(*ALL))
    assert answer == TryPublicKey(ED.public, ("ssh-ed25519",), signed=False)


async def test_rsa_signs_with_sha2_only_by_default(home):
    identities = Identities("u", "h", keys=[RSA])
    answer = await identities.authentication(ask())
    assert isinstance(answer, TryPublicKey)
    assert answer.algorithms == ("rsa-sha2-512", "rsa-sha2-256")
    identities = Identities("u", "h", keys=[RSA], signatures=["ssh-rsa"])
    answer = await identities.authentication(ask())
    assert isinstance(answer, TryPublicKey)
    assert answer.algorithms == ("ssh-rsa",)


async def test_keys_the_server_has_no_algorithm_for_are_not_offered():
    identities = Identities("u", "h", keys=[RSA, ED], files=())
    answer = await identities.authentication(ask(server=("ssh-ed25519",)))
    assert isinstance(answer, TryPublicKey)
    assert answer.key == ED.public


async def test_order_of_agent_and_files(home):
    first, second, third = (generate("ssh-ed25519") for _ in range(3))
    named = save(home, "named", first)
    agent = FakeAgent(second, third, first)
    found, _ = await offers(await begun(files=[named], agent=agent), *ALL)
    assert found == [first.public, second.public, third.public]
    save(home, "id_ed25519", third)
    found, _ = await offers(await begun(agent=agent), *ALL)
    assert found == [second.public, first.public, third.public]


async def test_identities_only(home):
    named = save(home, "named", ED)
    agent = FakeAgent(RSA, ED)
    found, _ = await offers(await begun(files=[named], agent=agent, identities_only=True), *ALL)
    assert found == [ED.public]


async def test_a_public_file_chooses_a_key_of_the_agent(home):
    path = home / ".ssh" / "chosen.pub"
    path.write_text(str(ED.public))
    for name in (path, path.with_suffix("")):
        identities = await begun(files=[name], agent=FakeAgent(RSA, ED), identities_only=True)
        found, _ = await offers(identities, *ALL)
        assert found == [ED.public]
    found, _ = await offers(await begun(files=[path], agent=None), *ALL)
    assert found == []


async def test_an_agent_that_is_gone_is_no_hindrance(home):
    save(home, "id_ed25519", ED)
    found, _ = await offers(await begun(agent=FakeAgent(refuses=True)), *ALL)
    assert found == [ED.public]


async def test_unnamed_keys_leave_an_attempt_for_a_password():
    agent = FakeAgent(*(generate("ssh-ed25519") for _ in range(9)))
    human = Human("secret")
    found, last = await offers(await begun(agent=agent, prompt=human), *ALL)
    assert len(found) == UNNAMED_OFFERS
    assert last == TryPassword("secret")
    identities = await begun(agent=agent)
    found, _ = await offers(identities, *ALL)
    assert len(found) == 9


async def test_encrypted_files_wait_until_the_server_wants_them(home):
    save(home, "id_ed25519", ED, "open sesame")
    human = Human("wrong", "open sesame")
    identities = await begun(prompt=human)
    answer = await identities.authentication(ask("publickey"))
    assert answer.key == ED.public
    assert human.asked == []
    request = AskSignature(key=ED.public, algorithm="ssh-ed25519", data=b"data")
    signed = await identities.signature(request)
    assert isinstance(signed, Signature)
    prompt = f"Enter passphrase for key '{home}/.ssh/id_ed25519': "
    assert human.asked == [(prompt, False)] * 2
    assert isinstance(await identities.signature(request), Signature)
    assert len(human.asked) == 2


async def test_an_old_encrypted_file_shows_its_public_half_beside_it(home):
    pem = subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"],
        capture_output=True,
        check=True,
    ).stdout
    key = load_private(pem)
    locked = subprocess.run(
        ["openssl", "ec", "-aes256", "-passout", "pass:secret"],
        input=pem,
        capture_output=True,
        check=True,
    ).stdout
    path = home / ".ssh" / "id_ecdsa"
    path.write_bytes(locked)
    path.chmod(0o600)
    algorithm = "ecdsa-sha2-nistp256"
    request = AskSignature(key=key.public, algorithm=algorithm, data=b"data")
    # Without the public half the key has to be opened before it can be offered.
    human = Human("secret")
    identities = await begun(prompt=human)
    assert (await identities.authentication(ask("publickey"))).key == key.public
    assert len(human.asked) == 1
    path.with_name("id_ecdsa.pub").write_text(f"{key.public}\n")
    human = Human("secret")
    identities = await begun(prompt=human)
    assert (await identities.authentication(ask("publickey"))).key == key.public
    assert human.asked == []
    signed = await identities.signature(request)
    assert key.public.verify(signed.blob, b"data", algorithm)
    path.with_name("id_ecdsa.pub").write_text(f"{ED.public}\n")
    identities = await begun(prompt=Human("secret"))
    assert (await identities.authentication(ask("publickey"))).key == ED.public
    wrong = AskSignature(key=ED.public, algorithm="ssh-ed25519", data=b"data")
    assert isinstance(await identities.signature(wrong), Denied)


async def test_an_encrypted_key_without_a_passphrase_is_denied(home):
    save(home, "id_ed25519", ED, "secret")
    request = AskSignature(key=ED.public, algorithm="ssh-ed25519", data=b"data")
    for options in ({}, {"prompt": Human("")}, {"prompt": Human("a", "b", "c", "d")}):
        said: list[str] = []
        identities = await begun(notice=said.append, **options)
        await identities.authentication(ask("publickey"))
        assert isinstance(await identities.signature(request), Denied)
        assert "is encrypted" in said[0]


async def test_a_passphrase_given_beforehand(home):
    save(home, "id_ed25519", ED, "secret")
    identities = await begun(passphrase="secret")
    await identities.authentication(ask("publickey"))
    request = AskSignature(key=ED.public, algorithm="ssh-ed25519", data=b"data")
    assert isinstance(await identities.signature(request), Signature)


async def test_a_key_that_was_not_offered_signs_nothing():
    identities = Identities("u", "h", keys=[ED])
    request = AskSignature(key=RSA.public, algorithm="rsa-sha2-256", data=b"data")
    assert isinstance(await identities.signature(request), Denied)


async def test_files_that_cannot_be_used_are_named(home):
    open_to_all = save(home, "open", ED)
    open_to_all.chmod(0o644)
    broken = home / ".ssh" / "broken"
    broken.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    broken.chmod(0o600)
    missing = home / ".ssh" / "missing"
    said: list[str] = []
    identities = await begun(files=[open_to_all, broken, missing], notice=said.append)
    found, _ = await offers(identities, "publickey")
    assert found == []
    assert "permissions 0644" in said[0]
    assert str(broken) in said[1]
    assert said[2].startswith(f"Warning: Identity file {missing} not accessible")


async def test_a_password_given_beforehand_is_tried_once():
    identities = await begun(password="secret")
    assert await identities.authentication(ask(*ALL)) == TryPassword("secret")
    assert isinstance(await identities.authentication(ask(*ALL)), GiveUp)


async def test_a_password_given_beforehand_answers_one_prompt_without_echo():
    identities = await begun(password="secret")
    answer = await identities.authentication(ask("keyboard-interactive"))
    assert answer == TryKeyboardInteractive()
    question = AskPrompts(name="", instruction="", prompts=(Prompt("Password: ", False),))
    assert await identities.prompts(question) == Responses(("secret",))
    # A second prompt may be for a one-time code: the password is not repeated.
    assert await identities.prompts(question) == Responses(("",))
    assert isinstance(await identities.authentication(ask("keyboard-interactive")), GiveUp)


async def test_the_password_is_no_answer_to_other_prompts():
    identities = await begun(password="secret")
    two = (Prompt("Password: ", False), Prompt("Code: ", False))
    for prompts in (two, (Prompt("Name: ", True),)):
        question = AskPrompts(name="", instruction="", prompts=prompts)
        answer = await identities.prompts(question)
        assert answer == Responses(("",) * len(prompts))


async def test_a_human_is_asked_three_times():
    human = Human("a", "b", "c", "d")
    said: list[str] = []
    identities = await begun(prompt=human, notice=said.append, methods=["password"])
    for secret in "abc":
        assert await identities.authentication(ask("password")) == TryPassword(secret)
    assert isinstance(await identities.authentication(ask("password")), GiveUp)
    assert human.asked == [("u@h's password: ", False)] * 3
    assert said == ["Permission denied, please try again."] * 2


async def test_the_order_of_methods_is_the_users():
    human = Human("a", "b")
    identities = await begun(prompt=human, methods=["keyboard-interactive", "password"])
    answer = await identities.authentication(ask("password", "keyboard-interactive"))
    assert answer == TryKeyboardInteractive()
    question = AskPrompts(
        name="", instruction="Two things", prompts=(Prompt("One: ", True), Prompt("Two: ", False))
    )
    assert await identities.prompts(question) == Responses(("a", "b"))
    assert human.asked == [("(u@h) One: ", True), ("(u@h) Two: ", False)]


async def test_no_answer_ends_the_method():
    identities = await begun(prompt=Human())
    assert isinstance(await identities.authentication(ask("password")), GiveUp)
    identities = await begun(prompt=Human())
    question = AskPrompts(name="", instruction="", prompts=(Prompt("One: ", True),))
    assert await identities.authentication(ask("keyboard-interactive")) == TryKeyboardInteractive()
    assert await identities.prompts(question) == Responses(("",))
    assert isinstance(await identities.authentication(ask("keyboard-interactive")), GiveUp)


async def test_a_round_without_prompts_gets_no_responses():
    said: list[str] = []
    identities = await begun(password="secret", notice=said.append)
    question = AskPrompts(name="", instruction="Welcome", prompts=())
    assert await identities.prompts(question) == Responses(())
    assert said == ["Welcome"]


async def test_no_secret_for_a_host_that_is_not_trusted():
    said: list[str] = []
    identities = await begun(password="secret", trusted=lambda: False, notice=said.append)
    assert isinstance(await identities.authentication(ask(*ALL)), GiveUp)
    assert [line.split()[0] for line in said] == ["password", "keyboard-interactive"]


async def test_both_a_key_and_a_password():
    identities = Identities("u", "h", keys=[ED], files=(), password="secret")
    assert isinstance(await identities.authentication(ask()), TryPublicKey)
    identities.result(AuthResult("u", "publickey", "", "partial", ("password",), 0))
    assert await identities.authentication(ask("password", partial=True)) == TryPassword("secret")


async def test_an_expired_password():
    human = Human("old", "new", "nwe", "new", "new")
    said: list[str] = []
    identities = await begun(prompt=human, notice=said.append)
    await identities.authentication(ask("password"))
    assert await identities.new_password(AskNewPassword(prompt="Expired.")) == NewPassword(
        "old", "new"
    )
    assert said == ["Expired.", "Mismatch; try again, EOF to quit."]
    identities = await begun(password="old")
    assert isinstance(await identities.new_password(AskNewPassword(prompt="")), Denied)


# --- what is given up, and when ---


def failure_of(answer):
    assert isinstance(answer, GiveUp)
    assert isinstance(answer.error, AuthenticationFailed)
    return answer.error


async def test_a_method_without_prompts_is_begun_after_a_partial_success():
    for options in ({}, {"password": "secret"}):
        identities = await begun(agent=FakeAgent(ED), files=(), **options)
        first = await identities.authentication(ask("publickey"))
        assert isinstance(first, TryPublicKey)
        second = await identities.authentication(ask("keyboard-interactive", partial=True))
        assert second == TryKeyboardInteractive("")
    # It is begun once, and not without a partial success.
    identities = await begun(files=())
    assert isinstance(await identities.authentication(ask("keyboard-interactive")), GiveUp)
    assert await identities.authentication(
        ask("keyboard-interactive", partial=True)
    ) == TryKeyboardInteractive("")
    rounds = AskPrompts(name="", instruction="", prompts=())
    assert await identities.prompts(rounds) == Responses(())
    again = await identities.authentication(ask("keyboard-interactive", partial=True))
    assert isinstance(again, GiveUp)


async def test_every_algorithm_of_a_key_is_tried_where_the_server_names_none():
    identities = Identities("u", "h", keys=[RSA], files=(), signatures=LEGACY)
    tried = [await identities.authentication(ask())]
    tried += [await identities.authentication(ask("publickey")) for _ in range(2)]
    first = [answer.algorithms[0] for answer in tried if isinstance(answer, TryPublicKey)]
    assert first == ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]
    assert await identities.authentication(ask("publickey")) == TryNone()


async def test_a_server_that_may_know_sha1_alone_is_told_of():
    found, last = await offers(await begun(agent=FakeAgent(RSA), files=()), "publickey")
    assert found == [RSA.public] * 2
    assert "PubkeyAcceptedAlgorithms=+ssh-rsa" in failure_of(last).hints[0]
    assert 'profile="legacy"' in str(failure_of(last))
    found, last = await offers(
        await begun(agent=FakeAgent(RSA), files=()), "publickey", server=("ssh-rsa",)
    )
    assert found == []
    assert "ssh-rsa is not permitted here" in str(failure_of(last))


async def test_a_servers_list_of_algorithms_is_heeded_for_rsa_alone():
    ecdsa = generate("ecdsa-sha2-nistp256")
    identities = await begun(agent=FakeAgent(ecdsa, RSA, ED), files=())
    found, _ = await offers(identities, "publickey", server=("rsa-sha2-256",))
    assert found == [ecdsa.public, RSA.public, ED.public]


async def test_few_unnamed_keys_come_before_a_password_that_was_given(home):
    agent = FakeAgent(*(generate("ssh-ed25519") for _ in range(4)))
    identities = await begun(agent=agent, password="secret")
    found, last = await offers(identities, *ALL)
    assert len(found) == UNNAMED_BEFORE_PASSWORD == 2
    assert last == TryPassword("secret")
    # The others are tried when the password was wrong.
    found, last = await offers(identities, *ALL)
    assert len(found) == 2
    assert isinstance(last, GiveUp)
    files = [save(home, str(i), key) for i, key in enumerate(agent.held.values())]
    named = await begun(files=files, password="secret")
    found, last = await offers(named, *ALL)
    assert len(found) == 4


async def test_the_error_counts_the_agents_keys():
    agent = FakeAgent(*(generate("ssh-ed25519") for _ in range(3)))
    _, last = await offers(await begun(agent=agent), "publickey")
    assert "3 keys of the agent were offered" in str(failure_of(last))
    assert "agent=False" in str(failure_of(last))
    _, last = await offers(await begun(agent=FakeAgent(ED)), "publickey")
    assert failure_of(last).hints == ()


@pytest.mark.parametrize(
    ("name", "text", "mode", "says", "kind"),
    [
        ("missing", None, 0o600, "there is no key file", UnusableKey),
        ("open", dump_private(ED), 0o644, "chmod 600", UnusableKey),
        ("damaged", dump_private(ED).replace(b"A", b"#", 1), 0o600, "damaged", KeyFormatError),
        ("putty", b"PuTTY-User-Key-File-3: ssh-ed25519\r\n", 0o600, "damaged", KeyFormatError),
        ("id.pub", f"{ED.public}\n".encode(), 0o644, "public key only", UnusableKey),
        ("empty", b"", 0o600, "not a public key", KeyFormatError),
        ("locked", dump_private(ED, "x", rounds=1), 0o600, "no passphrase", PassphraseRequired),
        (".", None, 0o600, "Is a directory", UnusableKey),
        ("id/x", None, 0o600, "there is no key file", UnusableKey),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("password", [None, "secret"])
async def test_a_named_file_that_cannot_be_used_is_an_error_at_once(
    home, name, text, mode, says, kind, password
):
    path = home / ".ssh" / name
    if text is not None:
        path.write_bytes(text)
        path.chmod(mode)
    identities = Identities("u", "h", files=[path], strict_files=True, password=password)
    answer = await identities.authentication(ask())
    assert isinstance(answer, GiveUp)
    assert isinstance(answer.error, kind)
    assert says in str(answer.error)
    assert str(path) in str(answer.error)
    # ssh(1) goes on, and so does the command line; the final error of a program has the reason.
    _, last = await offers(await begun(files=[path]), "publickey")
    if kind is not PassphraseRequired:
        assert says in str(failure_of(last))


async def test_a_locked_file_whose_key_an_agent_holds_is_no_problem(home):
    path = save(home, "locked", ED, "secret")
    identities = Identities("u", "h", files=[path], strict_files=True, agent=FakeAgent(ED))  # type: ignore[arg-type]
    assert await identities.authentication(ask()) == TryNone()
    assert isinstance(await identities.authentication(ask("publickey")), TryPublicKey)


async def test_a_wrong_passphrase_of_a_named_file_ends_the_login(home):
    path = save(home, "locked", ED, "secret")
    request = AskSignature(key=ED.public, algorithm="ssh-ed25519", data=b"data")
    for strict, kind in ((True, GiveUp), (False, Denied)):
        identities = await begun(files=[path], strict_files=strict, passphrase="wrong")
        assert isinstance(await identities.authentication(ask("publickey")), TryPublicKey)
        answer = await identities.signature(request)
        assert isinstance(answer, kind)
        if isinstance(answer, GiveUp):
            assert "the passphrase given is wrong" in str(answer.error)


async def test_default_files_that_cannot_be_used_are_in_the_error(home):
    save(home, "id_ed25519", ED).chmod(0o644)
    (home / ".ssh" / "id_rsa").write_text("rubbish")
    for strict in (True, False):
        _, last = await offers(await begun(strict_files=strict), "publickey")
        assert "permissions 0644" in str(failure_of(last))
        assert "id_rsa: not a public key" in str(failure_of(last))
    told: list[str] = []
    _, last = await offers(await begun(notice=told.append), "publickey")
    assert len(told) == 2
    assert failure_of(last).hints == ()


# --- certificates, and what agents learn ---

AUTHORITY = generate("ssh-ed25519")
CERTIFICATE = Certificate.issue(ED.public, AUTHORITY, principals=["u"])
CERTIFIED = "ssh-ed25519-cert-v01@openssh.com"


async def test_a_certificate_is_signed_for_by_its_key(home):
    path = save(home, "key", ED)
    path.with_name("key-cert.pub").write_text(f"{CERTIFICATE}\n")
    identities = await begun(files=[path])
    tried = [await identities.authentication(ask("publickey")) for _ in range(2)]
    assert [one.key for one in tried] == [ED.public, CERTIFICATE]
    assert tried[1].algorithms == (CERTIFIED,)
    answer = await identities.signature(
        AskSignature(key=CERTIFICATE, algorithm=CERTIFIED, data=b"data")
    )
    assert CERTIFICATE.verify(answer.blob, b"data", CERTIFIED)


async def test_a_locked_key_of_a_named_certificate_needs_its_passphrase(home):
    path = save(home, "key", ED, "secret")
    certificate = path.with_name("key-cert.pub")
    certificate.write_text(f"{CERTIFICATE}\n")
    identities = Identities("u", "h", files=[certificate], strict_files=True)
    answer = await identities.authentication(ask())
    assert isinstance(answer, GiveUp)
    assert isinstance(answer.error, PassphraseRequired)


async def test_a_key_of_a_file_is_kept_once_it_has_signed_and_others_are_not(home):
    kept = []

    async def keep(key, source):
        kept.append((key.public, source))

    path = save(home, "key", ED)
    identities = Identities("u", "h", files=[path], keys=[AUTHORITY], keep=keep)
    await identities.authentication(ask())
    await offers(identities, "publickey")
    for key in (AUTHORITY, ED):
        request = AskSignature(key=key.public, algorithm="ssh-ed25519", data=b"data")
        assert isinstance(await identities.signature(request), Signature)
    assert kept == [(ED.public, str(path))]


async def test_the_agent_learns_of_the_session(home):
    class Bound(FakeAgent):
        bound_to = None

        def bound(self, session):
            self.bound_to = session
            return self

    session = SessionProof(b"session", AUTHORITY.public, b"signature")
    agent = Bound(ED)
    identities = await begun(agent=agent)
    question = AskAuthentication(can_continue=("publickey",), partial=False, session=session)
    assert isinstance(await identities.authentication(question), TryPublicKey)
    assert agent.bound_to is session


# --- GSSAPI ---


class Tickets:
    """What makes security contexts, with a ticket or without."""

    def __init__(self, step):
        self.step = step
        self.begun = 0

    async def begin(self):
        self.begun += 1
        return self.step


def by_gssapi(step):
    found = Identities(
        "u", "h", methods=(*GSSAPI_METHODS, *METHODS), files=[], debug=lambda text: None
    )
    found.gssapi = Tickets(step)  # type: ignore[assignment]
    return found


async def test_a_ticket_is_tried_once_and_first():
    step = SecurityStep(FakeContext(), b"token")
    found = by_gssapi(step)
    assert isinstance(await found.authentication(ask()), TryNone)
    offered = ("publickey", "gssapi-with-mic")
    assert await found.authentication(ask(*offered)) == TryGSSAPIWithMIC(step.context, b"token")
    gives_up = await found.authentication(ask(*offered))
    assert isinstance(gives_up, GiveUp)
    assert found.gssapi.begun == 1


async def test_without_a_ticket_nothing_is_tried_and_the_error_says_why():
    found = by_gssapi(Denied("No credentials"))
    await found.authentication(ask())
    gives_up = await found.authentication(ask("gssapi-with-mic"))
    assert isinstance(gives_up, GiveUp)
    assert found.tried == []
    assert "not used: GSSAPI: No credentials" in str(gives_up.error)


async def test_a_server_without_gssapi_costs_no_look_for_a_ticket():
    found = by_gssapi(Denied("never asked"))
    await found.authentication(ask())
    await found.authentication(ask("publickey"))
    assert found.gssapi.begun == 0


@pytest.mark.parametrize("context", [FakeContext(), None])
async def test_the_context_of_the_key_exchange_is_used_where_there_is_one(context):
    found = by_gssapi(Denied("no ticket"))
    await found.authentication(ask())
    asked = AskAuthentication(
        can_continue=("gssapi-keyex",),
        partial=False,
        session=SessionProof(b"id", None, context=context),
    )
    answer = await found.authentication(asked)
    assert isinstance(answer, TryGSSAPIKeyex if context else GiveUp)
