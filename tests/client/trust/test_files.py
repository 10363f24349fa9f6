import asyncio
import re
import stat
import threading

import pytest

from nacre.client.trust import files
from nacre.client.trust.files import KnownHostsFile
from nacre.errors import ConfigurationError, HostKeyChanged, HostKeyRevoked, HostKeyUnknown
from nacre.keys.certificate import Certificate
from nacre.keys.hosts.known_hosts import KnownHosts, Verdict
from nacre.keys.key import generate

ED = generate("ssh-ed25519").public
OTHER = generate("ssh-ed25519").public
ECDSA = generate("ecdsa-sha2-nistp256").public
AUTHORITY = generate("ssh-ed25519")
HASHED = KnownHosts.line_for("hidden", 22, ED, hashed=True).split()[0].removeprefix("|1|")


def certificate(key=ED, authority=AUTHORITY, *, kind="host", principals=("h",), **more):
    return Certificate.issue(key, authority, kind=kind, principals=principals, **more)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "home" / "known_hosts"


def known(file, **options):
    return KnownHostsFile([file], global_paths=(), **options)


def write(file, *lines):
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))


async def test_a_known_key_is_trusted(file):
    write(file, f"example.org {ED}", f"[example.org]:2222 {OTHER}")
    await known(file).check("Example.org", 22, "192.0.2.1", ED)
    await known(file).check("example.org", 2222, "192.0.2.1", OTHER)


async def test_a_plain_key_that_is_not_asked_for_stands_in_for_no_certificate(file):
    write(file, f"h {ED}")
    checker = known(file)
    await checker.check("h", 22, "192.0.2.1", certificate())
    checker.algorithms("h", 22, ("ssh-ed25519-cert-v01@openssh.com", "ecdsa-sha2-nistp256"))
    with pytest.raises(HostKeyUnknown, match="counts only if HostKeyAlgorithms has ssh-ed25519;"):
        await checker.check("h", 22, "192.0.2.1", certificate())
    checker.algorithms("h", 22, ("ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519"))
    await checker.check("h", 22, "192.0.2.1", certificate())


async def test_an_unknown_key_is_refused_by_default_and_leaves_no_file(file):
    with pytest.raises(HostKeyUnknown, match=r"no ED25519 host key is known for \[h\]:2222") as e:
        await known(file).check("h", 2222, "192.0.2.1", ED)
    assert ED.fingerprint() in str(e.value)
    assert "ssh-keyscan -p 2222 h" in str(e.value)
    assert not file.exists()


async def test_accept_new_keeps_the_key_privately(file):
    said: list[str] = []
    checker = known(file, strict="accept-new", notice=said.append)
    await checker.check("h", 2222, "192.0.2.1", ED)
    assert said == ["Warning: Permanently added '[h]:2222' (ED25519) to the list of known hosts."]
    assert file.read_text() == f"[h]:2222 {ED}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    await known(file).check("h", 2222, "192.0.2.1", ED)


async def test_accept_new_refuses_a_changed_key(file):
    write(file, "# mine", f"h {OTHER}")
    with pytest.raises(HostKeyChanged) as caught:
        await known(file, strict="accept-new").check("h", 22, "192.0.2.1", ED)
    message = str(caught.value)
    assert f"{file}:2" in message
    assert ED.fingerprint() in message
    assert f'ssh-keygen -f "{file}" -R "h"' in message
    assert file.read_text() == f"# mine\nh {OTHER}\n"


async def test_no_accepts_a_changed_key_with_a_warning(file):
    write(file, f"h {OTHER}")
    said: list[str] = []
    checker = known(file, strict="no", notice=said.append)
    await checker.check("h", 22, "192.0.2.1", ED)
    assert isinstance(checker.mismatch, HostKeyChanged)
    assert len(said) == 1
    assert said[0].startswith("WARNING: the ED25519 host key of h has changed")
    assert file.read_text() == f"h {OTHER}\n"


@pytest.mark.parametrize("strict", ["yes", "ask", "accept-new"])
async def test_a_revoked_key_is_refused(file, strict):
    write(file, f"h {ED}", f"@revoked * {ED}")
    with pytest.raises(HostKeyRevoked, match="known_hosts:2"):
        await known(file, strict=strict).check("h", 22, "192.0.2.1", ED)


@pytest.mark.parametrize("shown", [ED, Certificate.issue(ED, AUTHORITY, kind="host")])
async def test_no_accepts_a_revoked_key_with_a_warning(file, shown):
    write(file, f"h {ED}", f"@cert-authority h {AUTHORITY.public}", f"@revoked * {ED}")
    said: list[str] = []
    checker = known(file, strict="no", notice=said.append)
    await checker.check("h", 22, "192.0.2.1", shown)
    assert isinstance(checker.mismatch, HostKeyRevoked)
    assert [line.startswith("WARNING: the ED25519 host key of h") for line in said] == [True]


async def test_ask(file):
    questions = []

    def answering(answer):
        async def confirm(question):
            questions.append(question)
            return answer

        return known(file, strict="ask", confirm=confirm)

    write(file, f"other,more {ED}", f"|1|{HASHED} {ED}", f"@revoked elsewhere {ED}")
    with pytest.raises(HostKeyUnknown, match="not accepted"):
        await answering(False).check("h", 22, "192.0.2.1", ED)
    await answering(True).check("h", 22, "192.0.2.1", ED)
    assert questions[0].name == "h"
    assert questions[0].address == "192.0.2.1"
    assert questions[0].key == ED
    assert [str(place) for place in questions[0].other_names] == [f"{file}:1", f"{file}:2"]
    assert file.read_text().splitlines()[3] == f"h {ED}"
    await answering(False).check("h", 22, "192.0.2.1", ED)
    assert len(questions) == 2


async def test_ask_without_anyone_to_ask(file):
    with pytest.raises(HostKeyUnknown):
        await known(file, strict="ask").check("h", 22, "192.0.2.1", ED)


async def test_a_file_without_a_last_line_end(file):
    write(file, f"a {ED}")
    file.write_text(file.read_text().rstrip("\n"))
    await known(file, strict="accept-new").check("b", 22, "192.0.2.1", OTHER)
    assert file.read_text() == f"a {ED}\nb {OTHER}\n"


async def test_hashed_names(file):
    await known(file, strict="accept-new", hashed=True).check("h", 22, "192.0.2.1", ED)
    assert file.read_text().startswith("|1|")
    await known(file).check("h", 22, "192.0.2.1", ED)


async def test_an_alias_stands_for_host_and_port(file):
    write(file, f"cluster {ED}")
    await known(file, alias="cluster").check("node7", 2222, "192.0.2.1", ED)


async def test_global_files_count_and_are_not_written(file, tmp_path):
    shared = tmp_path / "shared"
    shared.write_text(f"h {ED}\n")
    checker = KnownHostsFile([file], global_paths=[shared], strict="accept-new")
    await checker.check("h", 22, "192.0.2.1", ED)
    assert not file.exists()
    with pytest.raises(HostKeyChanged, match="shared:1"):
        await checker.check("h", 22, "192.0.2.1", OTHER)


async def test_nowhere_to_keep_a_key():
    said: list[str] = []
    checker = KnownHostsFile([], global_paths=(), strict="no", notice=said.append)
    await checker.check("h", 22, "192.0.2.1", ED)
    assert said == ["Failed to add the host to the list of known hosts: there is no file for it"]


async def test_dev_null_forgets():
    said: list[str] = []
    checker = KnownHostsFile(["/dev/null"], global_paths=(), strict="no", notice=said.append)
    await checker.check("h", 22, "192.0.2.1", ED)
    await checker.check("h", 22, "192.0.2.1", OTHER)
    assert len(said) == 2
    assert checker.mismatch is None


async def test_a_file_that_cannot_be_read_stops(tmp_path):
    with pytest.raises(ConfigurationError, match="can't read"):
        await known(tmp_path).check("h", 22, "192.0.2.1", ED)


async def test_a_change_of_the_file_counts_at_once(file):
    checker = known(file)
    with pytest.raises(HostKeyUnknown):
        await checker.check("h", 22, "192.0.2.1", ED)
    write(file, f"h {ED}")
    await checker.check("h", 22, "192.0.2.1", ED)


def test_the_order_of_algorithms_leads_to_a_key_on_record(file):
    rsa = generate("ssh-rsa", bits=1024).public
    write(file, f"h {rsa}", f"[h]:2222 {ECDSA}", f"@cert-authority ca {ED}", f"both {ECDSA}")
    cert = "-cert-v01@openssh.com"
    names = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")
    offered = (*(f"{name}{cert}" for name in names), *names)
    ordered = known(file).algorithms
    assert ordered("h", 22, offered) == (
        f"rsa-sha2-512{cert}",
        "rsa-sha2-512",
        *(name for name in offered if not name.startswith("rsa")),
    )
    assert ordered("h", 2222, offered)[:2] == (f"ecdsa-sha2-nistp256{cert}", "ecdsa-sha2-nistp256")
    # A line without a port may have the key of another server.
    assert ordered("h", 2223, offered) == offered
    assert ordered("stranger", 22, offered) == offered
    plain_first = offered[::-1]
    assert ordered("ca", 22, plain_first) == (*plain_first[3:], *plain_first[:3])
    # The best one leads to a key on record: nothing is to be gained.
    assert ordered("both", 22, offered[1:]) == offered[1:]
    assert ordered("h", 22, ()) == ()


def test_many_at_once_add_every_key_once(file):
    hosts = [f"host{i}" for i in range(8)] * 2

    def add(host):
        asyncio.run(known(file, strict="accept-new").check(host, 22, "", ED))

    threads = [threading.Thread(target=add, args=(host,)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    parsed = KnownHosts.parse(file.read_bytes())
    assert len(parsed.entries) == 8
    assert not parsed.rejected
    assert all(parsed.check(h, 22, ED).verdict is Verdict.TRUSTED for h in hosts)


async def test_any_host_key():
    checker = files.AnyHostKey()
    assert checker.algorithms("h", 22, ("a", "b")) == ("a", "b")
    await checker.check("h", 22, "192.0.2.1", ED)


# --- what an error knows ---


async def test_the_errors_have_the_facts_as_attributes(file):
    write(file, "# mine", f"[h]:2222 {OTHER}", f"@revoked * {ECDSA}")
    cases = [
        (HostKeyChanged, "h", 2222, ED, 2),
        (HostKeyRevoked, "h", 2222, ECDSA, 3),
        (HostKeyUnknown, "stranger", 22, ED, None),
    ]
    for kind, host, port, key, line in cases:
        with pytest.raises(kind) as caught:
            await known(file).check(host, port, "192.0.2.1", key)
        error = caught.value
        assert (error.host, error.port, error.key) == (host, port, key)
        assert (error.file, error.line) == (str(file), line)


async def test_a_refused_key_has_them_too(file):
    async def refuse(question):
        return False

    with pytest.raises(HostKeyUnknown) as caught:
        await known(file, strict="ask", confirm=refuse).check("h", 22, "192.0.2.1", ED)
    assert (caught.value.host, caught.value.key, caught.value.file) == ("h", ED, str(file))
    nowhere = KnownHostsFile([], global_paths=())
    with pytest.raises(HostKeyUnknown) as caught:
        await nowhere.check("h", 22, "192.0.2.1", ED)
    assert (caught.value.file, caught.value.line) == (None, None)


async def test_the_remedies_are_nacres_own(file):
    with pytest.raises(HostKeyUnknown, match=r"nacre ssh -p 2222 .* asks and adds it"):
        await known(file).check("h", 2222, "192.0.2.1", ED)
    write(file, f"[h]:2222 {OTHER}")
    with pytest.raises(HostKeyChanged) as caught:
        await known(file).check("h", 2222, "192.0.2.1", ED)
    assert f'nacre keygen -f "{file}" -R "[h]:2222"' in str(caught.value)


async def test_the_address_of_a_host_is_checked_and_kept_too(file):
    said: list[str] = []
    new = known(file, strict="accept-new", check_address=True, notice=said.append)
    await new.check("h", 2222, "192.0.2.1", ED)
    assert file.read_text() == f"[h]:2222 {ED}\n[192.0.2.1]:2222 {ED}\n"
    write(file, f"h {ED}", f"192.0.2.1 {OTHER}")
    with pytest.raises(HostKeyChanged, match=r"the ED25519 host key of 192\.0\.2\.1 has changed"):
        await known(file, check_address=True).check("h", 22, "192.0.2.1", ED)
    said.clear()
    await known(file, strict="no", check_address=True, notice=said.append).check(
        "h", 22, "192.0.2.1", ED
    )
    assert said == [
        "Warning: the ED25519 host key for 'h' differs from the key for the address "
        f"'192.0.2.1' in {file}:2"
    ]
    await known(file).check("h", 22, "192.0.2.1", ED)
    await known(file, check_address=True, alias="h").check("x", 22, "192.0.2.1", ED)


async def test_lines_that_a_command_prints_revoke_a_key_of_a_file(file):
    asked: list[tuple[str, str]] = []

    def command(purpose, name, key):
        asked.append((purpose, name))
        return f"@revoked * {ED}\n".encode()

    write(file, f"h {ED}")
    with pytest.raises(HostKeyRevoked, match="KnownHostsCommand:1"):
        await known(file, command=command).check("h", 22, "192.0.2.1", ED)
    assert asked == [("HOSTNAME", "h")]


async def test_fingerprints_have_the_hash_that_was_asked_for(file):
    with pytest.raises(HostKeyUnknown) as caught:
        await known(file, fingerprint_hash="md5").check("h", 22, "192.0.2.1", ED)
    assert ED.fingerprint("md5") in str(caught.value)
    assert ED.fingerprint() not in str(caught.value)


@pytest.mark.parametrize("address", ["127.0.0.2", "::1"])
async def test_a_server_on_this_machine_may_be_trusted_unseen(file, address):
    await known(file, trust_loopback=True).check("h", 22, address, ED)
    for other in ("192.0.2.1", ""):
        with pytest.raises(HostKeyUnknown):
            await known(file, trust_loopback=True).check("h", 22, other, ED)


# --- keys of other types, ports, addresses ---


@pytest.mark.parametrize("strict", ["yes", "ask", "accept-new"])
async def test_a_key_of_another_type_is_a_changed_key(file, strict):
    async def confirm(question):
        return True

    write(file, f"h {ECDSA}", f"h {OTHER}")
    with pytest.raises(HostKeyChanged) as caught:
        await known(file, strict=strict, confirm=confirm).check("h", 22, "", ED)
    assert caught.value.line == 2
    assert f"ED25519 {OTHER.fingerprint()} in {file}:2" in str(caught.value)
    assert f"ECDSA {ECDSA.fingerprint()} in {file}:1" in str(caught.value)


async def test_a_line_without_a_port_vouches_for_its_very_key_at_every_port(file, tmp_path):
    write(file, f"h {ED}")
    await known(file).check("h", 2222, "", ED)
    with pytest.raises(HostKeyUnknown):
        await known(file).check("h", 2222, "", OTHER)
    with pytest.raises(HostKeyUnknown):
        await known(file, alias="x").check("h", 2222, "", ED)
    shared = tmp_path / "shared"
    shared.write_text(f"[h]:2222 {OTHER}\n")
    with pytest.raises(HostKeyChanged):
        await KnownHostsFile([file], global_paths=[shared]).check("h", 2222, "", ED)


async def test_the_remedy_names_every_file(file, tmp_path):
    shared = tmp_path / "shared"
    shared.write_text(f"h {OTHER}\n")
    write(file, f"h {OTHER}")
    with pytest.raises(HostKeyChanged) as caught:
        await KnownHostsFile([file], global_paths=[shared]).check("h", 22, "", ED)
    for path in (file, shared):
        assert f'nacre keygen -f "{path}" -R "h"' in str(caught.value)


@pytest.mark.parametrize("strict", ["yes", "ask", "accept-new"])
async def test_an_address_with_another_key_is_refused(file, strict):
    write(file, f"h {ED}", f"192.0.2.1 {OTHER}", f"127.0.0.1 {OTHER}")
    checker = known(file, check_address=True, strict=strict)
    with pytest.raises(HostKeyChanged):
        await checker.check("h", 22, "192.0.2.1", ED)
    await checker.check("h", 22, "127.0.0.1", ED)


# --- certificates ---


async def test_a_certificate_of_an_authority_on_record_is_trusted(file):
    write(file, f"@cert-authority h,[h]:2222 {AUTHORITY.public}")
    for port in (22, 2222, 2223):
        await known(file).check("H", port, "", certificate())
    with pytest.raises(HostKeyUnknown):
        await known(file).check("elsewhere", 22, "", certificate(principals=()))
    await known(file).check("h", 22, "", certificate(principals=()))
    await known(file, alias="h").check("x", 2222, "", certificate())
    with pytest.raises(HostKeyUnknown):
        await known(file).check("h", 22, "", ED)


@pytest.mark.parametrize(
    ("unfit", "reason"),
    [
        ({"kind": "user"}, "not a host's certificate"),
        ({"principals": ("other",)}, "h is not among the certificate's principals"),
        ({"principals": ("*",)}, "h is not among the certificate's principals"),
        ({"valid_before": 1}, "has expired"),
        ({"valid_after": 1 << 40}, "not yet valid"),
        ({"critical_options": {"force-command": b""}}, "critical options.*: force-command"),
    ],
)
async def test_a_certificate_that_is_not_valid_counts_as_its_key(file, unfit, reason):
    said: list[str] = []
    authority = f"@cert-authority * {AUTHORITY.public}"
    write(file, authority)
    with pytest.raises(HostKeyUnknown, match=re.escape(ED.fingerprint())) as caught:
        await known(file, alarm=said.append).check("h", 22, "", certificate(**unfit))
    assert caught.value.key == ED
    assert re.search(f"^Certificate invalid: .*{reason}.*known_hosts:1", said[0])
    write(file, authority, f"h {ED}")
    await known(file).check("h", 22, "", certificate(**unfit))
    write(file, authority, f"h {OTHER}")
    with pytest.raises(HostKeyChanged):
        await known(file).check("h", 22, "", certificate(**unfit))


async def test_an_authority_must_be_strong_enough(file):
    said: list[str] = []
    authority = generate("ssh-rsa", bits=1024)
    write(file, f"@cert-authority h {authority.public}")
    await known(file).check("h", 22, "", certificate(authority=authority))
    for bounds in ({"rsa_bits": 2048}, {"ca_signatures": ("ssh-ed25519",)}):
        with pytest.raises(HostKeyUnknown):
            await known(file, alarm=said.append, **bounds).check(
                "h", 22, "", certificate(authority=authority)
            )
    assert "RequiredRSASize is 2048" in said[0]
    assert "CASignatureAlgorithms" in said[1]


async def test_a_certificate_of_a_stranger_counts_as_its_key(file):
    said: list[str] = []
    write(file, f"@cert-authority h {OTHER}", f"known {ED}")
    await known(file, alarm=said.append).check("known", 22, "", certificate())
    new = known(file, strict="accept-new", alarm=said.append)
    await new.check("h", 22, "", certificate())
    assert file.read_text().splitlines()[2] == f"h {ED}"
    assert not said


@pytest.mark.parametrize("strict", ["yes", "accept-new"])
async def test_a_revoked_certificate_is_refused(file, strict):
    for revoked in (ED, AUTHORITY.public, certificate()):
        write(file, f"h {ED}", f"@cert-authority h {AUTHORITY.public}", f"@revoked * {revoked}")
        with pytest.raises(HostKeyRevoked, match="known_hosts:3") as caught:
            await known(file, strict=strict).check("h", 22, "", certificate())
        assert caught.value.key == (AUTHORITY.public if revoked == AUTHORITY.public else ED)
    write(file, f"@cert-authority h {AUTHORITY.public}", f"@revoked * {OTHER}")
    await known(file, strict=strict).check("h", 22, "", certificate())


async def test_a_file_of_revoked_keys_counts_before_all_else(file, tmp_path):
    revoked = tmp_path / "revoked"
    write(file, f"h {ED}", f"h {OTHER}", f"@cert-authority h {AUTHORITY.public}")
    checker = known(file, revoked=revoked, strict="no", trust_loopback=True)
    for address in ("192.0.2.1", "127.0.0.1"):
        with pytest.raises(HostKeyRevoked, match="No such file") as caught:
            await checker.check("h", 22, address, OTHER)
    assert (caught.value.file, caught.value.line) == (str(revoked), None)
    revoked.write_text(f"{ED}\n")
    await checker.check("h", 22, "192.0.2.1", OTHER)
    for key in (ED, certificate()):
        with pytest.raises(HostKeyRevoked, match="RevokedHostKeys"):
            await checker.check("h", 22, "192.0.2.1", key)
    revoked.write_text(f"{AUTHORITY.public}\n")
    await checker.check("h", 22, "192.0.2.1", ED)
    with pytest.raises(HostKeyRevoked, match="authority"):
        await checker.check("h", 22, "192.0.2.1", certificate())
