from nacre.config.client.files import parse
from nacre.config.values import LogLevel


def test_algorithms_follow_the_words():
    chosen = parse(
        [
            "Ciphers=^aes256-ctr",
            "MACs=hmac-sha2-512",
            "HostKeyAlgorithms=+ssh-rsa",
            "Compression=yes",
        ]
    ).algorithms()
    assert chosen.ciphers[0] == "aes256-ctr"
    assert chosen.macs == ("hmac-sha2-512",)
    assert "ssh-rsa" in chosen.host_key
    assert "ssh-rsa" not in chosen.signatures
    assert chosen.compression[0] == "zlib@openssh.com"
    assert parse([]).algorithms().compression[0] == "none"


def test_settings_are_described_without_secrets():
    options = ["port=22", "Port=23", "SetEnv=TOKEN=secret", "PKCS11Provider=/lib/x", "SendEnv=A B"]
    assert list(parse(options).described()) == [
        (
            LogLevel.VERBOSE,
            "Without effect: PKCS11Provider (command line): nacre loads no library of tokens: "
            "`nacre add -s LIBRARY` has an agent use its keys",
        ),
        (LogLevel.DEBUG2, "command line: Port 22"),
        (LogLevel.DEBUG2, "command line: SetEnv TOKEN=..."),
        (LogLevel.DEBUG2, "command line: PKCS11Provider /lib/x"),
        (LogLevel.DEBUG2, "command line: SendEnv A B"),
    ]
