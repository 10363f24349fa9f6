"""The order of the two paths in SYMLINK, which depends on the peer.

The draft has the link first (draft-ietf-secsh-filexfer-02, 6.10). OpenSSH's server has always taken
the target first, and most others follow it. Some keep to the draft, unless the peer's
identification line names OpenSSH, which nacre's does not. Nothing in SFTP tells them apart: in the
wrong order a link is made under the name of its target, without an error. So the identification
line decides.

In versions 4 and 5 the draft's order is the rule, and few have another one. Version 6 has LINK.
"""

from __future__ import annotations

from collections.abc import Mapping

from nacre.sftp.protocol.messages import DraftSymLink, SFTPRequest, SymLink

LINK_FIRST_SERVERS: Mapping[str, str] = {
    "AsyncSSH_": "takes the target first only from clients that name OpenSSH or Paramiko",
    "ssh2js": "the server of npm's ssh2 takes the target first only from clients named OpenSSH",
    "Erlang/": "ssh_sftpd takes the draft's order from everybody",
    "Twisted_": "Twisted Conch takes the draft's order from everybody",
}
"""How the software of servers that expect the link first is named, and why they do."""

TARGET_FIRST_SERVERS: Mapping[str, str] = {
    "mod_sftp": "ProFTPD takes the target first in versions 4 and 5 too",
}
"""How the software of servers is named that expect the target first in versions 4 and 5."""

LINK_FIRST_CLIENTS: Mapping[str, str] = {
    "AsyncSSH_": "sends the target first only to servers that name OpenSSH",
    "libssh_": "sends the target first only to servers that name OpenSSH",
    "ssh2js": "the client of npm's ssh2 sends the target first only to servers named OpenSSH",
    "phpseclib_": "sends the target first only to servers that name OpenSSH",
    "WinSCP": "takes the target first for a fault of OpenSSH, which its automatic choice looks for",
    "Twisted_": "Twisted Conch sends the draft's order to everybody",
}
"""How the software of clients that send the link first is named, and why they do."""


def link_first(identification: str, software: Mapping[str, str]) -> bool:
    """Tell whether the peer puts the link first.

    :param identification: its line, ``SSH-2.0-softwareversion comments``; empty if unknown.
    :param software: :data:`LINK_FIRST_SERVERS` or :data:`LINK_FIRST_CLIENTS`.
    """
    name = identification.split("-", 2)[-1]
    return name.startswith(tuple(software))


def symlink(target: str, link: str, server: str, *, as_drafted: bool) -> SFTPRequest[None]:
    """Return the request to make ``link``, which points to ``target``.

    :param server: the server's identification line.
    :param as_drafted: whether the draft's order is the rule in the session's version.
    """
    exceptions = TARGET_FIRST_SERVERS if as_drafted else LINK_FIRST_SERVERS
    if link_first(server, exceptions) != as_drafted:
        return DraftSymLink(link, target)
    return SymLink(target, link)
