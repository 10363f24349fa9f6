import pytest

from nacre.client.target import Target
from nacre.config.client.dump import client_lines
from nacre.config.client.files import Config
from nacre.errors import ConfigurationError


def lines(text, tmp_path, *, origins=False):
    (tmp_path / "c").write_text(text)
    config = Config.load(tmp_path / "c").lookup("h", ["Port=9"])
    target = Target.of("h", config)
    return list(client_lines("h", target.host, config, target.tokens(), origins=origins))


def test_values_and_defaults(tmp_path):
    found = lines("HostName x.%h\nIdentityFile ~/a\nIdentityFile ~/b\nPort 7\n", tmp_path)
    assert found[:4] == ["host h", "user root", "hostname x.h", "port 9"] or found[2] == (
        "hostname x.h"
    )
    assert [line for line in found if line.startswith("identityfile")] == [
        "identityfile ~/a",
        "identityfile ~/b",
    ]
    assert "batchmode no" in found
    assert "loglevel INFO" in found


def test_each_value_tells_where_it_was_written(tmp_path):
    found = lines("\nBatchMode yes\n", tmp_path, origins=True)
    assert f"batchmode yes  # {tmp_path}/c line 2" in found
    assert "port 9  # command line" in found
    assert "compression no  # default" in found


def test_no_text_behind_the_version_is_told_from_an_unset_one(tmp_path):
    assert "versionaddendum " in lines("VersionAddendum none\n", tmp_path)
    assert "versionaddendum a b" in lines("VersionAddendum a b\n", tmp_path)
    assert not [line for line in lines("", tmp_path) if line.startswith("versionaddendum")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ciphers -*", "ciphers "),
        ("HostKeyAlgorithms ssh-rsa-cert-v01@openssh.com", "hostkeyalgorithms ssh-rsa-cert-v01@"),
        ("ClearAllForwardings yes\nTunnel yes", "tunnel false"),
        ("ProxyUseFdpass yes\nProxyJump a", "proxyusefdpass no"),
        ("ForwardAgent /run/%h", "forwardagent /run/h"),
        ("LocalForward /a/%p *:80", "localforward /a/9 [*]:80"),
        ("LocalForward :1 /b", "localforward []:1 /b"),
        ("LocalForward 1 /b", "dynamicforward 1"),
        ("RemoteForward 1", "remoteforward 1 [socks]:0"),
    ],
)
def test_what_is_not_simply_the_value(text, expected, tmp_path):
    assert any(line.startswith(expected) for line in lines(f"{text}\n", tmp_path))


def test_a_token_that_is_not_possible_has_its_line(tmp_path):
    for text in ("ControlPath %q", "RemoteForward /%q /b", "UserKnownHostsFile ~none-such-user/x"):
        with pytest.raises(ConfigurationError, match="c line 2: "):
            lines(f"\n{text}\n", tmp_path)
