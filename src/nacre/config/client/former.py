"""Keywords of former versions of ssh(1)."""

ALIASES = {
    "ChallengeResponseAuthentication": "KbdInteractiveAuthentication",
    "DSAAuthentication": "PubkeyAuthentication",
    "HostbasedKeyTypes": "HostbasedAcceptedAlgorithms",
    "IdentityFile2": "IdentityFile",
    "KeepAlive": "TCPKeepAlive",
    "PubkeyAcceptedKeyTypes": "PubkeyAcceptedAlgorithms",
    "SKeyAuthentication": "KbdInteractiveAuthentication",
    "SmartcardDevice": "PKCS11Provider",
    "TISAuthentication": "KbdInteractiveAuthentication",
}
"""Former names of keywords."""

IGNORED = (
    *("AFSTokenPassing", "KerberosAuthentication", "KerberosTGTPassing", "RSAAuthentication"),
    *("CompressionLevel", "FallbackToRsh", "UsePrivilegedPort", "UseRoaming", "UseRsh"),
    *("GlobalKnownHostsFile2", "UserKnownHostsFile2"),
    *("RhostsAuthentication", "RhostsRSAAuthentication"),
)
"""Keywords of former versions of ssh(1), which takes them and does nothing."""
