"""SSH-1 without await."""

from __future__ import annotations

import nacre
from nacre import blocking


def test_a_key_and_a_command() -> None:
    key, host_key = nacre.generate("rsa1", bits=1024), nacre.generate("rsa1", bits=1280)

    def handle(session: blocking.Session) -> int:
        session.stdout.write(session.stdin.read())
        return 5

    policy = nacre.Users({"alice": key.public})
    with (
        blocking.listen(
            host_keys=[host_key], policy=policy, handler=handle, protocols=(1,)
        ) as server,
        blocking.connect(
            "127.0.0.1",
            server.port,
            user="alice",
            keys=[key],
            trust=nacre.AnyHostKey(),
            protocols=(2, 1),
        ) as ssh,
    ):
        done = ssh.run("echo", input="text")
    assert (done.stdout, done.exit_status) == ("text", 5)
