"""What the command line and the configuration say of a shared connection, read quickly.

:func:`session_for` understands what most of them have. At anything else it gives up, and the
program reads them in full, with the same result: nacre.config has the rules. It reports no errors
either.
"""

import os
from _socket import AF_INET6, gethostname, inet_aton, inet_ntoa, inet_ntop, inet_pton

from nacre.cli.shared.session import SharedSession

USER_FILE = "~/.ssh/config"
SYSTEM_FILE = "/etc/ssh/ssh_config"
_LARGEST = 1 << 16
_DEEPEST = 8

_SWITCHES = {
    "A": (("forwardagent", "yes"),),
    "C": (),
    "N": (("sessiontype", "none"),),
    "T": (("requesttty", "no"),),
    "a": (("forwardagent", "no"),),
    "f": (("forkafterauthentication", "yes"), ("stdinnull", "yes")),
    "g": (),
    "k": (),
    "n": (("stdinnull", "yes"),),
    "q": (("loglevel", "quiet"),),
    "s": (("sessiontype", "subsystem"),),
    "x": (("forwardx11", "no"),),
    "2": (("protocol", "2"),),
    "4": (("addressfamily", "inet"),),
    "6": (("addressfamily", "inet6"),),
}
"""Options without a value, and the keywords that they stand for."""

_VALUES = {
    **dict.fromkeys("FJPbBcimo", ""),
    "S": "controlpath",
    "e": "escapechar",
    "l": "user",
    "p": "port",
}
"""Options with a value, and the keywords whose value that is; "" for the others."""

_YES = ("yes", "true")
_NO = ("no", "false")

_KEYWORDS = {
    "addressfamily": ("any", "inet", "inet6"),
    "canonicalizehostname": _NO,
    "clearallforwardings": _NO,
    "connecttimeout": None,
    "controlmaster": (*_NO, "auto", "autoask"),
    "controlpath": None,
    "escapechar": None,
    "forkafterauthentication": (*_YES, *_NO),
    "dynamicforward": (),
    "forwardagent": (*_YES, *_NO),
    "forwardx11": _NO,
    "hostkeyalias": None,
    "hostname": None,
    "localforward": (),
    "loglevel": ("info", "error", "fatal", "quiet"),
    "port": None,
    "protocol": ("2",),
    "proxyjump": None,
    "refuseconnection": (),
    "remotecommand": ("none",),
    "remoteforward": (),
    "requesttty": (*_YES, *_NO, "auto", "force"),
    "sessiontype": ("default", "none", "subsystem"),
    "stdinnull": (*_YES, *_NO),
    "tunnel": _NO,
    "user": None,
}
"""Keywords that matter, and the values that are understood; None for any that is one word."""

IDLE = frozenset(
    (
        *("addkeystoagent", "batchmode", "bindaddress", "bindinterface", "canonicaldomains"),
        *("canonicalizefallbacklocal", "canonicalizemaxdots", "canonicalizepermittedcnames"),
        *("casignaturealgorithms", "certificatefile", "channeltimeout", "checkhostip", "ciphers"),
        *("compression", "connectionattempts", "controlpersist", "enableescapecommandline"),
        *("exitonforwardfailure", "fingerprinthash", "forwardx11timeout", "forwardx11trusted"),
        *("gatewayports", "globalknownhostsfile", "gssapiauthentication"),
        *("gssapidelegatecredentials", "hashknownhosts", "hostbasedacceptedalgorithms"),
        *("hostbasedauthentication", "hostkeyalgorithms", "identitiesonly", "identityagent"),
        *("identityfile", "ipqos", "kbdinteractiveauthentication", "kbdinteractivedevices"),
        *("kexalgorithms", "knownhostscommand", "localcommand", "logverbose", "macs"),
        *("nohostauthenticationforlocalhost", "numberofpasswordprompts", "obscurekeystroketiming"),
        *("passwordauthentication", "permitlocalcommand", "permitremoteopen", "pkcs11provider"),
        *("preferredauthentications", "proxycommand", "proxyusefdpass", "pubkeyacceptedalgorithms"),
        *("pubkeyauthentication", "rekeylimit", "requiredrsasize", "revokedhostkeys"),
        *("securitykeyprovider", "serveralivecountmax", "serveraliveinterval"),
        *("streamlocalbindmask", "streamlocalbindunlink", "stricthostkeychecking"),
        *("syslogfacility", "tag", "tcpkeepalive", "tunneldevice", "updatehostkeys"),
        *("userknownhostsfile", "verifyhostkeydns", "visualhostkey", "warnweakcrypto"),
        *("xauthlocation",),
    )
)
"""Keywords that matter to the master alone. A bad value of theirs is not noticed here."""

_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_NUMERIC = frozenset("0123456789abcdefABCDEFxX.")


class _Unsure(Exception):
    """This is not surely understood here."""


def session_for(words: list[str]) -> SharedSession | None:
    """Return the session that a command line asks of a master, or None if that takes more to say.

    :param words: those behind the program's name.
    """
    try:
        return _Line(words).session()
    except (_Unsure, OSError, ValueError, KeyError):
        return None


class _Line:
    """A command line, and the values of keywords: the first of a keyword counts."""

    def __init__(self, words: list[str]) -> None:
        self._strong: dict[str, str] = {}
        self._found: dict[str, str] = {}
        self._variables: list[str] = []
        self._assigned: list[str] = []
        self._file: str | None = None
        self._depth = 0
        rest = self._options(words)
        if not rest:
            raise _Unsure
        user, at, self._host = rest[0].rpartition("@")
        rest = self._options(rest[1:])
        if not _plain(self._host) or (at and not _plain(user)):
            raise _Unsure
        if user:
            self._found.setdefault("user", user)
        self._command = " ".join(rest) if rest else None

    def _options(self, words: list[str]) -> list[str]:
        """Take the options that words begin with; return the rest."""
        at = 0
        while at < len(words) and words[at][:1] == "-" and words[at] != "-":
            word = words[at]
            at += 1
            if word == "--":
                break
            place = 1
            while place < len(word):
                letter = word[place]
                place += 1
                if letter == "t":
                    again = self._strong.get("requesttty") == "yes"
                    self._strong["requesttty"] = "force" if again else "yes"
                elif letter in _SWITCHES:
                    self._strong.update(_SWITCHES[letter])
                elif letter in _VALUES:
                    if place == len(word):
                        word, place, at = words[at] if at < len(words) else "", 0, at + 1
                        if not word:
                            raise _Unsure
                    self._value(letter, word[place:])
                    break
                else:
                    raise _Unsure
        return words[at:]

    def _value(self, letter: str, value: str) -> None:
        if letter == "F":
            self._file = value
        elif letter == "o":
            self._take(*_split(value), True)
        elif letter == "J":
            self._found["proxyjump"] = value
        elif name := _VALUES[letter]:
            if letter == "l" and not _plain(value):
                raise _Unsure
            self._found.setdefault(name, value)

    # --- configuration files ---

    def _read_files(self) -> None:
        home = os.path.expanduser("~/.ssh")
        if self._file is None:
            self._read(os.path.expanduser(USER_FILE), home, True, private=True)
            self._read(SYSTEM_FILE, os.path.dirname(SYSTEM_FILE), True)
        elif self._file.lower() != "none":
            self._read(self._file, home, True, needed=True)

    def _read(
        self, path: str, base: str, scope: bool, *, private: bool = False, needed: bool = False
    ) -> None:
        self._depth += 1
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if needed:
                raise
            return
        try:
            status = os.fstat(descriptor)
            data = os.read(descriptor, _LARGEST + 1)
        finally:
            os.close(descriptor)
        shared = private and (status.st_uid not in (0, os.getuid()) or status.st_mode & 0o022)
        if shared or len(data) != status.st_size or b"\0" in data or self._depth > _DEEPEST:
            raise _Unsure
        outer = scope
        for line in data.decode("utf-8", "surrogateescape").split("\n"):
            name, rest = _split(line)
            if name == "host":
                scope = outer and _matches_list(self._host, _words(rest))
            elif name == "include":
                self._include(_words(rest), base, scope)
            elif name:
                self._take(name, rest, scope)
        self._depth -= 1

    def _include(self, patterns: list[str], base: str, scope: bool) -> None:
        for pattern in patterns:
            if not frozenset("%$?[").isdisjoint(pattern):
                raise _Unsure
            path = os.path.join(base, os.path.expanduser(pattern))
            folder, name = os.path.split(path)
            if "*" in folder:
                raise _Unsure
            names = [name]
            if "*" in name:
                try:
                    here = sorted(os.listdir(folder))
                except OSError:
                    continue
                names = [one for one in here if one[0] != "." and _matches(one, name)]
            for name in names:
                self._read(os.path.join(folder, name), base, scope, private=True)

    def _take(self, name: str, rest: str, scope: bool) -> None:
        """Take the value of a keyword, of a block that applies or not."""
        if name in IDLE or (name in _KEYWORDS and not scope):
            if not rest:
                raise _Unsure
            return
        values = _words(rest)
        if name == "sendenv":
            self._variables += values if scope else ()
        elif name == "setenv":
            if scope:
                self._assigned = self._assigned or values
        else:
            known = _KEYWORDS[name]
            value = values[0].lower() if known is not None else values[0]
            if len(values) != 1 or (known is not None and value not in known):
                raise _Unsure
            self._found.setdefault(name, value)

    # --- what it means ---

    def _get(self, name: str, otherwise: str = "") -> str:
        return self._strong.get(name) or self._found.get(name, otherwise)

    def _is(self, name: str) -> bool:
        return self._get(name) in _YES

    def session(self) -> SharedSession | None:
        """Return the session to ask for, or None if no master is named."""
        self._read_files()
        path = self._get("controlpath", "none")
        if path.lower() == "none":
            return None
        kind = self._get("sessiontype", "default")
        host = self._address()
        made = SharedSession(self._path(path, host), host)
        made.subsystem = kind == "subsystem"
        made.background = self._is("forkafterauthentication")
        made.reads = not (self._is("stdinnull") or made.background)
        made.terminal = self._wants_terminal(kind, made.reads)
        made.agent = self._is("forwardagent")
        level = self._get("loglevel", "info")
        made.quiet = level != "info"
        made.silent = level in ("fatal", "quiet")
        if self._command is None and (made.subsystem or (made.background and kind == "default")):
            raise _Unsure
        made.command = None if kind == "none" else os.fsencode(self._command or "")
        made.environment = self._environment()
        escape = self._get("escapechar", "~")
        if escape != "none":
            if len(escape) != 1 or not escape.isascii():
                raise _Unsure
            made.escape = ord(escape)
        patience = self._get("connecttimeout", "none")
        made.patience = None if patience == "none" else float(_number(patience, 1 << 20)) or None
        return made

    def _wants_terminal(self, kind: str, reads: bool) -> bool:
        wanted = self._get("requesttty", "auto")
        if wanted == "force":
            return True
        if wanted in _NO or (wanted == "auto" and self._command is not None) or kind == "none":
            return False
        if reads and os.isatty(0):
            return True
        raise _Unsure

    def _environment(self) -> list[bytes]:
        sent: dict[str, str] = {}
        for pattern in self._variables:
            if not _plain(pattern.replace("*", "")) or "=" in pattern:
                raise _Unsure
            sent.update((k, v) for k, v in os.environ.items() if _matches(k, pattern))
        first: dict[str, str] = {}
        for text in self._assigned:
            name, equals, value = text.partition("=")
            if not name or not equals:
                raise _Unsure
            first.setdefault(name, value)
        return [os.fsencode(f"{name}={value}") for name, value in (sent | first).items()]

    def _address(self) -> str:
        """Return the name or the address to connect to."""
        text = self._get("hostname", "%h")
        parts = [part.replace("%h", self._host) for part in text.split("%%")]
        if any("%" in part for part in parts):
            raise _Unsure
        host = "%".join(parts).lower()
        family = self._get("addressfamily", "any")
        if ":" in host:
            return host if family == "inet" else inet_ntop(AF_INET6, inet_pton(AF_INET6, host))
        if _NUMERIC.issuperset(host) and family != "inet6":
            try:
                return inet_ntoa(inet_aton(host))
            except OSError:
                return host
        return host

    def _path(self, text: str, host: str) -> str:
        """Return the path of the socket: its tokens, variables and ``~`` replaced."""
        user = self._get("user") or _own_name()
        port = str(_number(self._get("port", "22"), 65535))
        jump = self._get("proxyjump", "none")
        if not _plain(user) or port == "0":
            raise _Unsure
        made = ""
        at = 0
        while at < len(text):
            letter = text[at]
            at += 1
            if letter == "%":
                made += self._token(text[at : at + 1], host, user, port, jump)
                at += 1
            elif letter == "$" and text[at : at + 1] == "{":
                end = text.index("}", at)
                made += os.environ[text[at + 1 : end]]
                at = end + 1
            else:
                made += letter
        made = os.path.expanduser(made)
        if made[:1] in ("~", ""):
            raise _Unsure
        return made

    def _token(self, name: str, host: str, user: str, port: str, jump: str) -> str:
        machine = gethostname()
        if name == "C":
            if jump != "none":
                raise _Unsure
            from _sha1 import sha1  # type: ignore[import-not-found]

            joined = f"{machine}{host}{port}{user}"
            return str(sha1(joined.encode("utf-8", "surrogateescape")).hexdigest())
        if name == "k":
            return self._get("hostkeyalias").lower() or self._host
        values = {"%": "%", "L": machine.partition(".")[0], "h": host, "l": machine}
        values |= {"n": self._host, "p": port, "r": user}
        if name in values:
            return values[name]
        if name == "d":
            return os.path.expanduser("~")
        if name == "i":
            return str(os.getuid())
        if name == "u":
            return _own_name()
        raise _Unsure


def _split(line: str) -> tuple[str, str]:
    """Return the keyword of a line, in lower case, and the text behind it."""
    line = line.strip(" \t\r\f")
    if not line or line[0] == "#":
        return "", ""
    end = 0
    while end < len(line) and line[end] not in ' \t\r"=':
        end += 1
    rest = line[end:].lstrip(" \t\r")
    if not end:
        raise _Unsure
    if rest[:1] == "=":
        rest = rest[1:].lstrip(" \t\r")
    return line[:end].lower(), rest


def _words(text: str) -> list[str]:
    if not frozenset("\"'\\#\f\r\v").isdisjoint(text):
        raise _Unsure
    found = text.split()
    if not found:
        raise _Unsure
    return found


def _plain(text: str) -> bool:
    return text[:1] not in ("-", "") and _LETTERS.issuperset(text)


def _number(text: str, most: int) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > most:
        raise _Unsure
    return int(text)


def _own_name() -> str:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if name := os.environ.get(variable):
            return name
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def _matches(text: str, pattern: str) -> bool:
    """Return whether a text matches a pattern with ``*``."""
    if "?" in pattern:
        raise _Unsure
    first, *parts = pattern.split("*")
    if not parts:
        return text == pattern
    if not text.startswith(first):
        return False
    at = len(first)
    for part in parts[:-1]:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return len(text) - at >= len(parts[-1]) and text.endswith(parts[-1])


def _matches_list(text: str, patterns: list[str]) -> bool:
    found = False
    for pattern in patterns:
        if pattern[0] == "!":
            if _matches(text, pattern[1:]):
                return False
        elif _matches(text, pattern):
            found = True
    return found
