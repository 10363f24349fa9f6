"""The schema of clients against the configuration that it fills."""

import pytest

from nacre.config.client.config import ClientConfig
from nacre.config.client.words import SCHEMA
from nacre.config.schema import Support

DOCUMENTED = """
Host Match Include AddKeysToAgent AddressFamily BatchMode BindAddress BindInterface CanonicalDomains
CanonicalizeFallbackLocal CanonicalizeHostname CanonicalizeMaxDots CanonicalizePermittedCNAMEs
CASignatureAlgorithms CertificateFile ChannelTimeout CheckHostIP Ciphers ClearAllForwardings
Compression ConnectionAttempts ConnectTimeout ControlMaster ControlPath ControlPersist
DynamicForward EnableEscapeCommandline EnableSSHKeysign EscapeChar ExitOnForwardFailure
FingerprintHash ForkAfterAuthentication ForwardAgent ForwardX11 ForwardX11Timeout ForwardX11Trusted
GatewayPorts GlobalKnownHostsFile GSSAPIAuthentication GSSAPIDelegateCredentials HashKnownHosts
HostbasedAcceptedAlgorithms HostbasedAuthentication HostKeyAlgorithms HostKeyAlias Hostname
IdentitiesOnly IdentityAgent IdentityFile IgnoreUnknown IPQoS KbdInteractiveAuthentication
KbdInteractiveDevices KexAlgorithms KnownHostsCommand LocalCommand LocalForward LogLevel LogVerbose
MACs NoHostAuthenticationForLocalhost NumberOfPasswordPrompts ObscureKeystrokeTiming
PasswordAuthentication PermitLocalCommand PermitRemoteOpen PKCS11Provider Port
PreferredAuthentications ProxyCommand ProxyJump ProxyUseFdpass PubkeyAcceptedAlgorithms
PubkeyAuthentication RefuseConnection RekeyLimit RemoteCommand RemoteForward RequestTTY
RequiredRSASize RevokedHostKeys SecurityKeyProvider SendEnv ServerAliveCountMax ServerAliveInterval
SessionType SetEnv StdinNull StreamLocalBindMask StreamLocalBindUnlink StrictHostKeyChecking
SyslogFacility TCPKeepAlive Tag Tunnel TunnelDevice UpdateHostKeys User UserKnownHostsFile
VerifyHostKeyDNS VersionAddendum VisualHostKey WarnWeakCrypto XAuthLocation
"""


def test_all_104_documented_keywords_and_no_others():
    ours = {word.name for word in SCHEMA.words if not word.own and not word.patched}
    assert len(DOCUMENTED.split()) == 104
    assert ours == set(DOCUMENTED.split())


def test_names_are_unique():
    assert len({word.name.lower() for word in SCHEMA.words}) == len(SCHEMA.words)


def test_each_field_exists_and_each_of_the_others_says_why():
    config = ClientConfig()
    for word in SCHEMA.words:
        if word.field:
            assert hasattr(config, word.field), word.name
        assert bool(word.why) is (word.support is not Support.HONOURED), word.name


@pytest.mark.parametrize("former", ["DSAAuthentication", "KeepAlive", "identityfile2"])
def test_former_names(former):
    word = SCHEMA.find(former)
    assert word is not None
    assert word.name.lower() != former.lower()
    assert SCHEMA.find("useroaming") is None
