"""Twisted Conch as a server: HOST_KEY USER_PUBLIC_KEY; prints "listening on PORT"."""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.conch import checkers, unix
from twisted.conch.avatar import ConchUser
from twisted.conch.interfaces import ISession
from twisted.conch.ssh import factory, filetransfer, keys, session
from twisted.cred.portal import Portal
from twisted.internet import reactor
from twisted.python import components
from twisted.python.filepath import FilePath


class User(ConchUser):
    """Whoever has the key acts as this process."""

    def __init__(self) -> None:
        super().__init__()
        self.channelLookup[b"session"] = session.SSHSession
        self.subsystemLookup[b"sftp"] = filetransfer.FileTransferServer

    def getUserGroupId(self) -> tuple[int, int]:
        return os.getuid(), os.getgid()

    def getHomeDir(self) -> FilePath[str]:
        return FilePath(os.getcwd())

    def _runAsUser(self, function: Any, *words: Any, **more: Any) -> Any:
        calls = [(function, words, more)] if callable(function) else function
        for one in calls:
            function, *rest = one
            result = function(*(rest[0] if rest else ()), **(rest[1] if len(rest) > 1 else {}))
        return result

    def logout(self) -> None:
        pass


class Commands:
    """Runs commands in a shell."""

    def __init__(self, _user: User) -> None:
        pass

    def execCommand(self, process: Any, command: bytes) -> None:
        words = ("/bin/sh", "-c", command)
        reactor.spawnProcess(process, "/bin/sh", words, env=os.environ)

    def eofReceived(self) -> None:
        pass

    def closed(self) -> None:
        pass


class Realm:
    def requestAvatar(self, _name: bytes, _mind: object, *interfaces: Any) -> Any:
        user = User()
        return interfaces[0], user, user.logout


def main(host_key: str, user_key: str) -> None:
    components.registerAdapter(unix.SFTPServerForUnixConchUser, User, filetransfer.ISFTPServer)
    components.registerAdapter(Commands, User, ISession)
    known: Any = keys.Key.fromFile(user_key)
    host: Any = keys.Key.fromFile(host_key)
    mapping = {b"u": [known]}
    database = checkers.InMemorySSHKeyDB(mapping)
    server: Any = factory.SSHFactory()
    server.portal = Portal(Realm(), [checkers.SSHPublicKeyChecker(database)])
    server.publicKeys = {host.sshType(): host.public()}
    server.privateKeys = {host.sshType(): host}
    port = reactor.listenTCP(0, server, interface="127.0.0.1")
    print("listening on", port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:3])
