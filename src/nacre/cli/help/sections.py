"""What the manual pages say besides the options: sections of paragraphs, by program and title.

A paragraph of the form ``term: text``, where the term is in backquotes, becomes an entry of a list.
"""

from __future__ import annotations

from collections.abc import Mapping

_FILES = (
    "`~/.ssh/known_hosts`: The host keys that the user has accepted.",
    "`/etc/ssh/ssh_known_hosts`: The host keys that the administrator has accepted.",
    "`~/.ssh/id_ed25519`, `~/.ssh/id_ecdsa`, `~/.ssh/id_rsa`, `~/.ssh/id_dsa`: Keys that are "
    "offered where -i names none.",
)

_ENVIRONMENT = (
    "`SSH_AUTH_SOCK`: The socket of the agent.",
    "`SSH_ASKPASS`, `SSH_ASKPASS_REQUIRE`: The program that asks for passwords and passphrases, "
    "and when to use it.",
)

SECTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "ssh": {
        "Escape sequences": (
            "On a terminal, at the beginning of a line:",
            "`~.`: End the connection.",
            "`~^Z`: Suspend the program.",
            "`~B`: Send a BREAK.",
            "`~R`: Exchange new keys.",
            "`~#`: Show the algorithms, and list forwarded connections.",
            "`~?`: List the escape sequences.",
            "`~~`: Send a tilde.",
        ),
        "Environment": _ENVIRONMENT,
        "Files": _FILES,
        "Exit status": (
            "That of the remote command. 255 for an error, and where a signal ended the command.",
        ),
    },
    "trace": {
        "Environment": (
            *_ENVIRONMENT,
            "`NO_COLOR`: If set, the text has no colours.",
        ),
        "Exit status": ("That of the remote command, or 255 for an error.",),
    },
    "sftp": {
        "Environment": (*_ENVIRONMENT, "`SHELL`: The shell that the command ! starts."),
        "Files": _FILES,
        "Exit status": (
            "0 if all commands were carried out. 1 if one of them failed that ends a batch, or "
            "for a wrong number of arguments. 255 for another error.",
        ),
    },
    "scp": {
        "Environment": _ENVIRONMENT,
        "Files": _FILES,
        "Exit status": (
            "0 if all files were copied. 1 if one of them was not, or for wrong arguments. 255 "
            "for an error of a connection.",
        ),
    },
    "keygen": {
        "Environment": ("`SSH_ASKPASS`: The program that asks for passphrases.",),
        "Exit status": (
            "0 if all went well. 1 if a question was answered with no, or a file can't be "
            "written. 2 for wrong arguments. 255 if a key can't be read.",
        ),
    },
    "serve": {
        "Signals": (
            "`SIGHUP`: Read the host keys and the banner again.",
            "`SIGTERM`, `SIGINT`: Stop the server. Open sessions get five seconds to end, or none "
            "after a second signal.",
        ),
        "Environment": ("`XDG_STATE_HOME`: The directory of `nacre`, the default of --state.",),
        "Exit status": (
            "0 after a stop, 1 when the server can't start, and 2 for wrong arguments.",
        ),
    },
    "user": {
        "Exit status": ("0 if all went well, 1 if not, and 2 for wrong arguments.",),
    },
}
