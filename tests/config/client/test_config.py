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
    options = ["port=22", "Port=23", "SetEnv=TOKEN=secret", "ControlMaster=auto", "SendEnv=A B"]
    assert list(parse(options).described()) == [
        (
            LogLevel.INFO,
            "Without effect: ControlMaster (command line): shared connections come later: each "
            "program makes its own connection",
        ),
        (LogLevel.DEBUG2, "command line: Port 22"),
        (LogLevel.DEBUG2, "command line: SetEnv TOKEN=..."),
        (LogLevel.DEBUG2, "command line: ControlMaster auto"),
        (LogLevel.DEBUG2, "command line: SendEnv A B"),
    ]
