"""The schema of servers against the configuration that it fills."""

import dataclasses

import pytest

from nacre.config.schema import Support
from nacre.config.server.config import ServerConfig
from nacre.config.server.words import SCHEMA

DOCUMENTED = """
AcceptEnv AddressFamily AllowAgentForwarding AllowGroups AllowStreamLocalForwarding
AllowTcpForwarding AllowUsers AuthenticationMethods AuthorizedKeysCommand AuthorizedKeysCommandUser
AuthorizedKeysFile AuthorizedPrincipalsCommand AuthorizedPrincipalsCommandUser
AuthorizedPrincipalsFile Banner CASignatureAlgorithms ChannelTimeout ChrootDirectory Ciphers
ClientAliveCountMax ClientAliveInterval Compression DenyGroups DenyUsers DisableForwarding
ExposeAuthInfo FingerprintHash ForceCommand GatewayPorts GSSAPIAuthentication
GSSAPICleanupCredentials GSSAPIDelegateCredentials GSSAPIStrictAcceptorCheck
HostbasedAcceptedAlgorithms HostbasedAuthentication HostbasedUsesNameFromPacketOnly HostCertificate
HostKey HostKeyAgent HostKeyAlgorithms IgnoreRhosts IgnoreUserKnownHosts Include IPQoS
KbdInteractiveAuthentication KerberosAuthentication KerberosGetAFSToken KerberosOrLocalPasswd
KerberosTicketCleanup KexAlgorithms ListenAddress LoginGraceTime LogLevel LogVerbose MACs Match
MaxAuthTries MaxSessions MaxStartups ModuliFile PAMServiceName PasswordAuthentication
PermitEmptyPasswords PermitListen PermitOpen PermitRootLogin PermitTTY PermitTunnel
PermitUserEnvironment PermitUserRC PerSourceMaxStartups PerSourceNetBlockSize PerSourcePenalties
PerSourcePenaltyExemptList PidFile Port PrintLastLog PrintMotd PubkeyAcceptedAlgorithms
PubkeyAuthOptions PubkeyAuthentication RefuseConnection RekeyLimit RequiredRSASize RevokedKeys
RDomain SecurityKeyProvider SetEnv SshdAuthPath SshdSessionPath StreamLocalBindMask
StreamLocalBindUnlink StrictModes Subsystem SyslogFacility TCPKeepAlive TrustedUserCAKeys
UnusedConnectionTimeout UseDNS UsePAM VersionAddendum X11DisplayOffset X11Forwarding X11UseLocalhost
XAuthLocation
"""

ONLY_OUTSIDE = """
AddressFamily Ciphers Compression FingerprintHash GSSAPICleanupCredentials
GSSAPIDelegateCredentials GSSAPIStrictAcceptorCheck HostCertificate HostKey HostKeyAgent
HostKeyAlgorithms IgnoreUserKnownHosts KerberosGetAFSToken KerberosOrLocalPasswd
KerberosTicketCleanup KexAlgorithms ListenAddress LoginGraceTime MACs MaxStartups ModuliFile
PermitUserEnvironment PerSourceMaxStartups PerSourceNetBlockSize PerSourcePenalties
PerSourcePenaltyExemptList PidFile Port PrintLastLog PrintMotd SecurityKeyProvider SshdAuthPath
SshdSessionPath StrictModes SyslogFacility TCPKeepAlive UseDNS UsePAM VersionAddendum XAuthLocation
"""
"""What sshd 10.0 refuses in a Match block."""


def test_all_105_documented_keywords_and_no_others() -> None:
    ours = {word.name for word in SCHEMA.words if not word.own and not word.patched}
    assert len(DOCUMENTED.split()) == 105
    assert ours == set(DOCUMENTED.split())


def test_names_are_unique() -> None:
    assert len({word.name.lower() for word in SCHEMA.words}) == len(SCHEMA.words)


def test_each_field_is_filled_by_one_keyword_and_each_of_the_others_says_why() -> None:
    fields = {field.name for field in dataclasses.fields(ServerConfig)} - {"settings"}
    assert sorted(word.field for word in SCHEMA.words if word.field) == sorted(fields)
    for word in SCHEMA.words:
        assert bool(word.why) is (word.support is not Support.HONOURED), word.name


def test_the_keywords_that_can_not_stand_in_a_block_are_those_of_sshd() -> None:
    ours = {word.name for word in SCHEMA.words if not word.in_match}
    added = {word.name for word in SCHEMA.words if word.own or word.patched}
    assert ours - added == set(ONLY_OUTSIDE.split())


@pytest.mark.parametrize("former", ["DSAAuthentication", "KeepAlive", "hostdsakey"])
def test_former_names(former: str) -> None:
    word = SCHEMA.find(former)
    assert word is not None
    assert word.name.lower() != former.lower()
    assert SCHEMA.find("useprivilegeseparation") is None
