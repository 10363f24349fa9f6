import pytest

from nacre.config.client.words import SCHEMA
from nacre.errors import ConfigurationError


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("EscapeChar", "^a", "\\^A"),
        ("EscapeChar", "none", "none"),
        ("ForwardAgent", "/x", "/x"),
        ("ForwardAgent", "no", "no"),
        ("ControlPersist", "0", "yes"),
        ("ControlPersist", "1h", "3600"),
        ("AddKeysToAgent", "confirm 1h", "confirm 3600"),
        ("CanonicalDomains", "a. b", "a b"),
        ("CanonicalizePermittedCNAMEs", "A:b", "a:b"),
        ("TunnelDevice", "0", "0:any"),
        ("ProxyJump", "ssh://a@b:7,ssh://c:22/", "ssh://a@b:7,c:22"),
        ("ProxyJump", "u@10.0.0.1", "u@[10.0.0.1]"),
        ("PubkeyAuthentication", "host-bound", "host-bound"),
        ("FingerprintHash", "sha512", "SHA512"),
        ("HostKeyAlias", "Name", "name"),
        ("ServerAliveInterval", "none", "0"),
        ("AddKeysToAgent", "0", "true"),
        ("CanonicalDomains", "A.test. b_c", "a.test b_c"),
        ("RekeyLimit", "1.5G", "1610612736 0"),
        ("ObscureKeystrokeTiming", "interval:50", "50"),
        ("IPQoS", "ef", "ef ef"),
        ("IPQoS", "0x10 8", "lowdelay throughput"),
        ("RekeyLimit", "1G 1h", "1073741824 3600"),
        ("PermitRemoteOpen", "[::1]:22 a:*", "[::1]:22 a:*"),
    ],
)
def test_values_as_ssh_prints_them(name, text, shown):
    kind = SCHEMA[name].kind
    words = [text] if kind.raw else text.split()
    assert kind.show(kind.parse(name, words)) == shown


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CanonicalDomains", ".a"),
        ("CanonicalizePermittedCNAMEs", "a"),
        ("TunnelDevice", "x"),
        ("AddKeysToAgent", "yes 1h"),
        ("ObscureKeystrokeTiming", "50"),
        ("ProxyJump", "-x"),
        ("IPQoS", "a b c"),
    ],
)
def test_bad_values(name, text):
    kind = SCHEMA[name].kind
    with pytest.raises(ConfigurationError, match=name):
        kind.parse(name, [text] if kind.raw else text.split())
