"""The types of values that only servers have: parsed, and printed as ``sshd -T`` does."""

import os
from pathlib import Path

import pytest

from nacre.config.server.words import SCHEMA
from nacre.config.syntax.reader import parse_value
from nacre.errors import ConfigurationError

PRINTED = [
    ("Port 022", ["22"]),
    ("Port ssh", ["22"]),
    ("ListenAddress a:33", ["a:33"]),
    ("ListenAddress ::1", ["[::1]"]),
    ("ListenAddress [::1]:22 rdomain blue", ["[::1]:22 rdomain blue"]),
    ("AddressFamily INET", "inet"),
    ("PermitRootLogin prohibit-password", "without-password"),
    ("Compression delayed", "yes"),
    ("AllowTcpForwarding all", "yes"),
    ("AllowTcpForwarding remote", "remote"),
    ("PermitTunnel ethernet", "ethernet"),
    ("FingerprintHash md5", "MD5"),
    ("SyslogFacility local3", "LOCAL3"),
    ("IgnoreRhosts shosts-only", "shosts-only"),
    ("Banner none", "none"),
    ("Banner /a/b", "/a/b"),
    ("PidFile NONE", "none"),
    ("SecurityKeyProvider internal", "internal"),
    ("ForceCommand  a  'b' # c", "a  'b' # c"),
    ("ForceCommand none", "none"),
    ("AuthorizedKeysCommand /a  b # c", "/a  b # c"),
    ("AllowUsers a b@10.0.0.0/8", ["a", "b@10.0.0.0/8"]),
    ("AcceptEnv LANG LC_*", ["LANG", "LC_*"]),
    ('SetEnv A=1 "B=x y" A=2', ["A=1", "B=x y"]),
    ('AuthorizedKeysFile "a b" c', "a b c"),
    ("AuthorizedKeysFile none", "none"),
    ("AuthenticationMethods any", "any"),
    ("AuthenticationMethods publickey,password password", "publickey,password password"),
    ('Subsystem a  /b "c d" # e', ['a /b "c d"']),
    ("Subsystem a /b it\\'s", ["a /b it\\'s"]),
    ("PermitOpen a:1 [::1]:* *:*", "a:1 [::1]:* *:*"),
    ("PermitOpen a:ssh :1 []:80 h]:80 [h]:80", "a:ssh :1 []:80 h]:80 [h]:80"),
    ("PermitOpen none", "none"),
    ("PermitListen 80 a:90", "*:80 a:90"),
    ("PermitListen any", "any"),
    ("MaxStartups 5", "5:30:5"),
    ("MaxStartups 10:30:60", "10:30:60"),
    ("PerSourceMaxStartups none", "none"),
    ("PerSourceNetBlockSize 24", "24:0"),
    ("PerSourcePenaltyExemptList 10.0.0.0/8,*.x", "10.0.0.0/8,*.x"),
    ("ChannelTimeout session=5m x11-connection=2", "session=5m x11-connection=2"),
    ("UnusedConnectionTimeout 5m", "300"),
    ("UnusedConnectionTimeout 0", "none"),
    ("PubkeyAuthOptions verify-required TOUCH-required", "touch-required verify-required"),
    ("KerberosGetAFSToken x y", None),
    ("Protocol 1,2", "2,1"),
]


@pytest.mark.parametrize(("line", "shown"), PRINTED, ids=[line for line, _ in PRINTED])
def test_what_is_printed(line: str, shown: object) -> None:
    name, _, rest = line.partition(" ")
    word = SCHEMA[name]
    assert word.kind.show(parse_value(word, rest.strip())) == shown


BAD = [
    *("Port 0", "Port 70000", "Port", "AddressFamily inet4", "UseDNS true", "UseDNS yes no"),
    *("ListenAddress a:", "ListenAddress [::1", "ListenAddress a/8", "ListenAddress a b"),
    *("ListenAddress :1", "PermitTunnel YES", "FingerprintHash crc", 'Banner ""', "Banner a b"),
    *("AuthorizedKeysCommand a", "AllowUsers a@", "AllowUsers a@10.0.0.1/8", 'AllowUsers ""'),
    *("AllowUsers a@10.0.0.0/99", 'DenyGroups ""', "AcceptEnv A=B", "SetEnv A", "SetEnv =1"),
    *('AuthorizedKeysFile a ""', "AuthenticationMethods any password", "AuthenticationMethods x"),
    *("AuthenticationMethods publickey,", "Subsystem a", 'Subsystem a ""', "PermitOpen a"),
    *(
        "PermitOpen a:0",
        "PermitOpen a/1",
        "PermitListen [::1]/1",
        "PermitOpen none a:1",
        "PermitListen x",
        "MaxStartups 10:30",
    ),
    *("MaxStartups 10:0:20", "MaxStartups 30:30:20", "PerSourceNetBlockSize 33"),
    *("PerSourceNetBlockSize 24:129", "PerSourceMaxStartups -1", "PerSourcePenalties yes no"),
    *("PerSourcePenaltyExemptList 10.0.0.1/8", "PerSourcePenaltyExemptList a,", "RDomain x"),
    *("ChannelTimeout session", "PubkeyAuthOptions x", "LogVerbose " + '""'),
]


@pytest.mark.parametrize("line", BAD)
def test_what_is_refused(line: str) -> None:
    name, _, rest = line.partition(" ")
    with pytest.raises(ConfigurationError, match=name):
        parse_value(SCHEMA[name], rest)


def test_names_of_files_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/a")
    assert parse_value(SCHEMA["Banner"], "b") == tmp_path / "b"
    assert parse_value(SCHEMA["HostKey"], "k") == (os.path.join(tmp_path, "k"),)
    assert parse_value(SCHEMA["PidFile"], "~/p") == "/home/a/p"
    assert parse_value(SCHEMA["AuthorizedKeysFile"], "~/k") == ("~/k",)
    assert parse_value(SCHEMA["AuthorizedPrincipalsFile"], "~/p") == "/home/a/p"


def test_a_timeout_is_seconds_and_keeps_its_text() -> None:
    ((kind, seconds),) = parse_value(SCHEMA["ChannelTimeout"], "session=1h30m")
    assert (kind, seconds, str(seconds)) == ("session", 5400, "1h30m")
