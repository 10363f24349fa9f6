"""The subcommands of ``nacre``, and the options of ``ssh``, ``sftp`` and ``scp``, with a line each.

The parsers have tables of their own, in arguments.py and transfer_options.py of ``cli/common``, and
in command.py of each program: a program that starts should not load this text. Tests hold that both
have the same options.
"""

from __future__ import annotations

from nacre.cli.common import arguments, transfer_options

COMMANDS = {
    "add": "give keys to an agent, list and remove them",
    "agent": "hold keys, and sign with them",
    "api": "make keys for the REST API of the server, list and revoke them",
    "audit": "search and verify what `nacre serve --audit` has kept",
    "ban": "ban networks from the server, list and remove bans",
    "ca": "issue certificates to users and hosts, renew and revoke them",
    "console": "serve pages for the users of the server, who sign in there",
    "copy-id": "let one's keys log in to a host",
    "fleet": "run a command at many hosts, and copy files to them",
    "group": "add, change and remove groups of the server's users",
    "help": "explain a program, or a keyword of the configuration",
    "hook": "add, test and remove what the server tells events to",
    "join": "type at the terminal of a session of the server",
    "keygen": "make keys and certificates, show and change key files",
    "keyscan": "print the host keys of servers",
    "kill": "end connections of the server",
    "log": "follow the log of the server",
    "nodes": "list the servers that share a store",
    "replay": "play, search and list recordings of the server's sessions",
    "restart": "start the server anew, and refuse no client meanwhile",
    "scp": "copy files between hosts",
    "serve": "start an SSH server",
    "sftp": "transfer files by commands",
    "sftp-server": "serve SFTP on standard input and output",
    "ssh": "log in to a host, or run a command there",
    "sshd": "serve the accounts of this system, as sshd does",
    "state": "back up the state of the server, and restore it",
    "top": "show what the connections of the server do",
    "trace": "connect to a host and print each message",
    "user": "add, change and remove users of the server",
    "watch": "show a session of the server while it runs",
    "who": "list the connections of the server",
}
"""The subcommands of ``nacre``, with what they do."""

_HELP = {"-h, --help": "print this text, and end"}

_PROFILE = {
    "--profile default|legacy": "which to offer; legacy adds old and weak ones",
}

SSH = {
    "Connection": {
        "-p PORT": "the port of the server; by default 22",
        "-l USER": "the user to log in as; by default the local user's name",
        "-J HOSTS": "connect through these hosts: [user@]host[:port],...",
        "-b ADDRESS": "connect from this address of this machine",
        "-B INTERFACE": "connect from the address of this network interface",
        "-4": "use IPv4 only",
        "-6": "use IPv6 only",
        "-1": "speak SSH-1 only, which is weak",
        "-2": "speak SSH-2 only: the default",
    },
    "Configuration": {
        "-F FILE": "read this file in place of the usual ones; none: no file",
        "-o KEYWORD=VALUE": "set a keyword of the configuration; see nacre help KEYWORD",
        "-P TAG": "the tag that blocks of the configuration can match",
        "-G": "print the configuration for the host, and end",
    },
    "Authentication": {
        "-i KEY": "a file with a private key to offer; may be repeated",
        "-I LIBRARY": "offer the keys of a PKCS#11 library",
        "-A": "forward the agent to the server",
        "-a": "do not forward the agent",
        "-K": "log in by GSSAPI, and pass tickets on to the server",
        "-k": "do not pass tickets of GSSAPI on",
    },
    "Algorithms": {
        "-c CIPHERS": "the ciphers to offer; + - ^ change the default",
        "-m MACS": "the MACs to offer; + - ^ change the default",
        "-C": "compress what is sent",
        **_PROFILE,
        "-Q LIST": "print a list of algorithms; -Q help names the lists",
    },
    "Session": {
        "-t": "ask for a terminal; twice: even if there is no local one",
        "-T": "ask for no terminal",
        "-n": "read nothing from standard input",
        "-N": "start neither a shell nor a command",
        "-s": "the command is the name of a subsystem, such as sftp",
        "-f": "go to the background after the login; implies -n",
        "-e CHAR": "the escape character, by default ~; none for no escapes",
        "-X": "forward X11",
        "-x": "do not forward X11",
        "-Y": "forward X11, and trust the server's programs",
    },
    "Forwarding": {
        "-L [BIND:]PORT:HOST:PORT": "listen here, connect to HOST from the server",
        "-R [BIND:]PORT:HOST:PORT": "listen at the server, connect to HOST from here",
        "-D [BIND:]PORT": "listen here as a SOCKS proxy",
        "-W HOST:PORT": "join standard input and output to HOST:PORT",
        "-g": "let other hosts use the ports of -L and -D",
        "-w LOCAL[:REMOTE]": "join two tunnel devices",
    },
    "Connection sharing": {
        "-M": "share this connection; twice: ask before each use",
        "-S SOCKET": "the socket of the shared connection, or none",
        "-O COMMAND": "send a command to the process that shares",
    },
    "Messages": {
        "-v": "print what happens; up to three times for more",
        "-q": "print no messages",
        "-E LOG": "append messages to a file",
        "-y": "send messages to syslog",
        "-V": "print the version, and end",
        **_HELP,
    },
}

_TRANSFER = {
    "-J HOSTS": "connect through these hosts: [user@]host[:port],...",
    "-4": "use IPv4 only",
    "-6": "use IPv6 only",
    "-1": "speak SSH-1 only, which is weak",
    "-2": "speak SSH-2 only: the default",
}

_CONFIGURATION = {
    "-F FILE": "read this file in place of the usual ones; none: no file",
    "-o KEYWORD=VALUE": "set a keyword of the configuration; see nacre help KEYWORD",
}

_AUTHENTICATION = {
    "-i KEY": "a file with a private key to offer; may be repeated",
    "-A": "forward the agent to the server",
}

_ALGORITHMS = {
    "-c CIPHERS": "the ciphers to offer; + - ^ change the default",
    "-C": "compress what is sent",
    **_PROFILE,
}

_SFTP_OPTION = {
    "-X OPTION": "set nrequests=NUMBER, buffer=BYTES, or version=NUMBER (of SFTP)",
}

SFTP = {
    "Connection": {
        "-P PORT": "the port of the server; by default 22",
        **_TRANSFER,
        "-s SUBSYSTEM": "the server's subsystem, or the path of its SFTP server",
        "-S PROGRAM": "connect by this program, which has the options of ssh",
        "-D COMMAND": "talk to a local SFTP server, in place of a host",
    },
    "Configuration": _CONFIGURATION,
    "Authentication": {**_AUTHENTICATION, "-A": "accepted; no file transfer uses an agent"},
    "Algorithms": _ALGORITHMS,
    "Transfers": {
        "-a": "resume transfers that were interrupted",
        "-f": "flush files to the disk after each transfer",
        "-p": "keep times and permissions",
        "-r": "copy directories",
        "-l KBITS": "the most to transfer in a second, in Kbit",
        "-B BYTES": "bytes of one request; the default suits most servers",
        "-R NUMBER": "requests that may be unanswered at once",
        **_SFTP_OPTION,
    },
    "Batch": {
        "-b FILE": "read commands from a file, and ask nothing; - for standard input",
    },
    "Messages": {
        "-N": "print messages also with -b",
        "-q": "print no messages and no progress",
        "-v": "print what happens; up to three times for more",
        **_HELP,
    },
}

SCP = {
    "Connection": {
        "-P PORT": "the port of the server; by default 22",
        **_TRANSFER,
        "-S PROGRAM": "connect by this program, which has the options of ssh",
        "-D COMMAND": "talk to a local SFTP server, in place of every host",
    },
    "Configuration": _CONFIGURATION,
    "Authentication": {**_AUTHENTICATION, "-B": "ask for no password and no passphrase"},
    "Algorithms": _ALGORITHMS,
    "Transfers": {
        "-r": "copy directories",
        "-p": "keep times and permissions",
        "-l KBITS": "the most to transfer in a second, in Kbit",
        "-3": "copy between two hosts through this one: the default",
        "-R": "copy between two hosts by running scp on the first",
        "-O": "use the old scp protocol",
        "-s": "use SFTP: the default",
        "-T": "no effect: names that the server sends are always checked",
        **_SFTP_OPTION,
    },
    "Messages": {
        "-q": "print no messages and no progress",
        "-v": "print what happens; up to three times for more",
        **_HELP,
    },
}

TRACE = {
    **SSH,
    "Messages": {
        "--json": "print a JSON object in each line",
        "--html FILE": "write a page to look at: diagram, algorithms, times",
        "--pcap FILE": "write the encrypted connection for Wireshark",
        "--keylog FILE": "write the keys for Wireshark; they decrypt the connection",
        **SSH["Messages"],
    },
}

SFTP_SERVER = {
    "Files": {
        "-d DIRECTORY": "start in this directory; %h is the home directory, %u the user",
        "-R": "refuse all requests that change something",
        "-u UMASK": "the umask, an octal number, in place of the session's",
        "-p REQUESTS": "allow these requests only: names with commas between them",
        "-P REQUESTS": "refuse these requests",
        "-Q requests": "print the names of the requests, and end",
        "-V VERSION": "speak no later version of SFTP, 3 to 6, than this one",
    },
    "Messages": {
        "-e": "log to standard error, not to the system's log",
        "-f FACILITY": "the facility in the system's log; by default AUTH",
        "-l LEVEL": "how much to log; by default ERROR",
        **_HELP,
    },
}

SSHD = {
    "Configuration": {
        "-f FILE": "the configuration in place of /etc/ssh/sshd_config",
        "-o KEYWORD=VALUE": "a keyword, which counts before the file",
        "--config FILE": "a file of options of nacre serve, such as audit",
        "-h FILE": "a file of a host key",
        "-c FILE": "a file of the certificate of a host key",
        "-g TIME": "the time to log in, as LoginGraceTime",
        "-p PORT": "the port, in place of Port; 0 picks a free one",
        "-4": "listen on IPv4 only",
        "-6": "listen on IPv6 only",
    },
    "How it runs": {
        "-D": "stay in the foreground",
        "-d": "stay, serve one connection, and log details; up to three times",
        "-i": "serve the connection on standard input and output",
        "-u LENGTH": "the length of host names in utmp (no effect)",
        "-b BITS": "ignored, as sshd does",
        "-k TIME": "ignored, as sshd does",
        "-r": "ignored, as sshd does",
    },
    "Messages": {
        "-E FILE": "append the log to a file",
        "-e": "log to standard error, not to the system's log",
        "-q": "log nothing",
    },
    "Without a server": {
        "-t": "check the configuration and the host keys, and end",
        "-T": "check them, print the configuration, and end",
        "-G": "print the configuration, and end",
        "-C CONNECTION": "with -T and -G: user=, addr= … that Match asks for",
        "-V": "print the version, and end",
        "--help": "print this text, and end",
    },
}

ADD = {
    "What to do (none of these: add keys)": {
        "-l": "list the fingerprints of the agent's keys",
        "-L": "list their public halves",
        "-d": "remove the keys of FILE ...",
        "-D": "remove all keys",
        "-T": "test whether the agent signs with the keys of FILE ...",
        "-x": "lock the agent with a passphrase",
        "-X": "unlock the agent",
        "-s LIBRARY": "add the keys of a PKCS#11 token; FILE ...: their certificates",
        "-e LIBRARY": "remove the keys of a PKCS#11 token",
        "-K": "add the resident keys of a security key (not supported)",
    },
    "Which keys": {
        "-k": "plain keys only, without their certificates",
        "-C": "certificates only, without their plain keys",
        "-S LIBRARY": "the library that talks to security keys",
    },
    "What the agent keeps to": {
        "-t TIME": "forget the keys after this time, such as 90, 10m or 1h30m",
        "-c": "ask the user before each use of a key",
        "-h [HOST>][USER@]HOST": "use the keys for this login only; may be repeated",
        "-H FILE": "the file of the host keys for -h; may be repeated",
    },
    "Messages": {
        "-E HASH": "md5, sha1, sha256, sha384 or sha512; by default sha256",
        "-q": "print errors only",
        "-v": "no effect: errors always have their reasons",
        "--help": "print this text, and end",
    },
}

KEYGEN = {
    "What to do (none of these: make a key)": {
        "-l": "show the fingerprints of the keys in FILE; -v: their pictures, too",
        "-B": "show their bubblebabble digests",
        "-y": "print the public half of a private key",
        "-p": "change the passphrase of a private key",
        "-c": "change the comment of a key",
        "-e": "export a key to the format of -m",
        "-i": "import a key from the format of -m",
        "-X": "the same as -i",
        "-A": "make the host keys that are missing; -f: below this directory",
        "-r HOST": "print the SSHFP records of a host; with -Y: the revocation list",
        "-D LIBRARY": "use the keys of a PKCS#11 library (not supported)",
        "-K": "download the resident keys of a security key",
        "-M generate|screen": "make candidates for moduli, or select the safe ones",
    },
    "Known hosts": {
        "-F HOST": "find the lines of a host; [HOST]:PORT for other ports than 22",
        "-R HOST": "remove the lines of a host",
        "-H": "hash the names of all hosts",
    },
    "Certificates": {
        "-s KEY": "sign the keys in FILE ... with the key of this authority",
        "-I ID": "what the certificate is called in logs",
        "-h": "make a host certificate, not a user certificate",
        "-n NAMES": "the users or hosts it is for, with commas between them",
        "-V FROM:TO": "when it is valid, such as -1d:+52w",
        "-z SERIAL": "its serial number; + counts up for each file",
        "-U": "the agent has the key of -s",
        "-L": "show a certificate",
    },
    "Revocation lists": {
        "-k": "make a list of revoked keys",
        "-u": "with -k: add to the list that is there",
        "-Q": "tell which of the keys in FILE ... are revoked",
    },
    "Signatures": {
        "-Y OPERATION": "sign, verify, check-novalidate, find-principals or match-principals",
    },
    "The key": {
        "-f FILE": "the file; FILE.pub has the public half; - is standard input",
        "-t TYPE": "ed25519, ecdsa, rsa, ed25519-sk, ecdsa-sk, ed448, mldsa44-ed25519, dsa or rsa1",
        "-b BITS": "the size: by default 3072 for rsa, 2048 for rsa1, 256 for ecdsa",
        "-C COMMENT": "the comment; by default user@host",
        "-m FORMAT": "the format: RFC4716, PKCS8 or PEM",
        "-O OPTION": "a detail of what is done; may be repeated",
        "-w LIBRARY": "the library that reaches security keys; by default nacre does (fido2)",
    },
    "Passphrases": {
        "-N PASSPHRASE": "the new passphrase; '' for none",
        "-P PASSPHRASE": "the present passphrase of the file",
        "-a ROUNDS": "rounds of bcrypt: more make guessing slower; by default 16",
        "-Z CIPHER": "the cipher of the file",
    },
    "Output": {
        "-E HASH": "md5, sha1, sha256, sha384 or sha512; by default sha256",
        "-g": "with -r: the generic format of unknown records",
        "-v": "print more; up to three times",
        "-q": "print questions and errors only",
        "-o": "ignored, as ssh-keygen does",
        "--help": "print this text, and end",
    },
}

COPY_ID = {
    "Keys": {
        "-i FILE": "the file of the key, with .pub or without",
        "-f": "do not try which keys log in already; no private key is needed",
        "-n": "print what would be added, and change nothing",
    },
    "Host": {
        "-p PORT": "the port of the server; by default 22",
        "-F FILE": "read this file in place of the usual ones; none: no file",
        "-o KEYWORD=VALUE": "set a keyword of the configuration; see nacre help KEYWORD",
        "-t PATH": "the file of keys on the host; by default .ssh/authorized_keys",
        "-s": "use SFTP, and run no command on the host",
        **_PROFILE,
    },
    "Messages": {
        "-x": "print details of the connections",
        **_HELP,
    },
}

KEYSCAN = {
    "Hosts": {
        "-f FILE": "read hosts from this file, a line each; - is standard input",
        "-p PORT": "the port of the servers; by default 22",
        "-T TIME": "how long to wait for a server; by default 5 seconds",
        "-4": "use IPv4 only",
        "-6": "use IPv6 only",
    },
    "Keys": {
        "-t TYPES": "rsa,ecdsa,ed25519,ecdsa-sk,ed25519-sk by default; also dsa, ed448, "
        "mldsa44-ed25519",
        "-c": "ask for certificates",
    },
    "Output": {
        "-D": "print SSHFP records for the DNS",
        "-O OPTION": "hashalg=sha1 or hashalg=sha256: the hash of -D; by default both",
        "-H": "hash the names of the hosts",
        "-q": "print no comments with the versions of the servers",
        "-v": "print why a server gave no key",
        **_HELP,
    },
}

AGENT = {
    "Agent": {
        "-a SOCKET": "make the socket here; by default in a new directory",
        "-t TIME": "forget keys after this time, such as 3600 or 1h30m",
        "-O OPTION": "no-restrict-websafe or allow-remote-pkcs11: what else is allowed",
        "-P PATTERNS": "the libraries for security keys that clients may name",
    },
    "Process": {
        "-D": "stay in the foreground",
        "-d": "the same, and log to standard error, not to the system's log",
        "-k": "end the agent that SSH_AGENT_PID names",
    },
    "Messages": {
        "-c": "print commands for csh",
        "-s": "print commands for sh",
        "-E HASH": "the hash of fingerprints; by default sha256",
        **_HELP,
    },
}

KEYSIGN = {"Options": {**_HELP}}

_REPEATED = {
    "M": ("ControlMaster=yes",),
    "c": ("Ciphers=",),
    "t": ("RequestTTY=yes",),
    "v": ("LogLevel=DEBUG1",),
    "w": ("Tunnel=yes", "TunnelDevice="),
}
"""What options of ``nacre ssh`` stand for that its parser has no row for, given once."""


def stands_in_ssh(letter: str) -> tuple[str, ...]:
    """Return the keywords that an option of ``nacre ssh`` stands for, with their values.

    A text without a value, such as ``Port=``, has the value of the option.
    """
    if letter in arguments.VALUES:
        return (f"{arguments.VALUES[letter]}=",)
    return arguments.WORDS.get(letter) or _REPEATED.get(letter, ())


def stands_in_transfers(letter: str) -> tuple[str, ...]:
    """Return the same of an option of ``nacre sftp`` and ``nacre scp``."""
    if letter in transfer_options.VALUES:
        return (f"{transfer_options.VALUES[letter]}=",)
    return (transfer_options.WORDS[letter],) if letter in transfer_options.WORDS else ()
