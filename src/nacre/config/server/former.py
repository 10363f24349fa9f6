"""Keywords of former versions of sshd(8)."""

ALIASES = {
    "ChallengeResponseAuthentication": "KbdInteractiveAuthentication",
    "DSAAuthentication": "PubkeyAuthentication",
    "HostbasedAcceptedKeyTypes": "HostbasedAcceptedAlgorithms",
    "HostDSAKey": "HostKey",
    "KeepAlive": "TCPKeepAlive",
    "PubkeyAcceptedKeyTypes": "PubkeyAcceptedAlgorithms",
    "SkeyAuthentication": "KbdInteractiveAuthentication",
}
"""Former names of keywords."""

IGNORED = (
    *("AFSTokenPassing", "AuthorizedKeysFile2", "CheckMail", "KerberosTGTPassing"),
    *("KeyRegenerationInterval", "PAMAuthenticationViaKBDInt", "RhostsAuthentication"),
    *("RhostsRSAAuthentication", "RSAAuthentication", "ServerKeyBits", "UseLogin"),
    "UsePrivilegeSeparation",
)
"""Keywords of former versions of sshd(8), which takes them and does nothing."""

IGNORED_IN_MATCH = ("AuthorizedKeysFile2", "RhostsRSAAuthentication", "RSAAuthentication")
"""Those of them that may stand in a Match block."""
