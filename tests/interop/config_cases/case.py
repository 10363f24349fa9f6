"""A case of the differential tests of configuration, and how the two outputs are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Version = tuple[int, int]

FIRST: Version = (0, 0)
LAST: Version = (999, 0)


@dataclass(frozen=True)
class ConfigCase:
    """A configuration file, and a command line to read it for.

    ``{dir}`` in a text or a word stands for the folder that the files are in.

    :ivar name: the id of the test.
    :ivar text: the file that ``-F`` or ``-f`` names.
    :ivar words: what follows on the command line; the destination for a client.
    :ivar files: more files of the folder, by their names.
    :ivar since: the first version of OpenSSH that behaves as nacre does.
    :ivar before: the first version that no longer does.
    """

    name: str
    text: str | bytes
    words: tuple[str, ...] = ("h",)
    files: Mapping[str, str] = field(default_factory=dict)
    since: Version = FIRST
    before: Version = LAST

    def suits(self, version: Version) -> bool:
        """Tell whether a version of OpenSSH behaves as nacre does."""
        return self.since <= version < self.before

    def write(self, folder: Path) -> Path:
        """Write the files; return the path of the main one."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.replace("{dir}", str(folder)))
            path.chmod(0o600)
        path = folder / "config"
        data = self.text if isinstance(self.text, bytes) else self.text.encode()
        path.write_bytes(data.replace(b"{dir}", bytes(folder)))
        path.chmod(0o600)
        return path

    def command(self, folder: Path) -> list[str]:
        """Return the words of the command line."""
        return [word.replace("{dir}", str(folder)) for word in self.words]


Settings = dict[str, list[str]]
"""The values of each keyword, in the order of the output."""


@dataclass(frozen=True)
class Outcome:
    """What a program made of a case.

    :ivar status: its exit status.
    :ivar settings: empty if it failed.
    :ivar errors: its standard error.
    """

    status: int
    settings: Settings
    errors: str


def settings_of(output: str) -> Settings:
    """Return the settings of the lines that ``ssh -G`` or ``sshd -T`` prints."""
    found: Settings = {}
    for line in output.split("\n"):
        keyword, _, value = line.partition(" ")
        if keyword:
            found.setdefault(keyword.lower(), []).append(value)
    return found


PATCHED = frozenset(
    [
        *("gssapikeyexchange", "gssapitrustdns", "gssapirenewalforcesrekey", "gssapikexalgorithms"),
        *("gssapiserveridentity", "gssapiclientidentity", "gssapistorecredentialsonrekey"),
        "debianbanner",
    ]
)
"""Keywords that a distribution's patches add to OpenSSH."""

BUILT_IN = frozenset(["sshdsessionpath", "sshdauthpath", "pidfile", "modulifile"])
"""Keywords whose default is a path of the distribution's OpenSSH."""

OWN = frozenset(["cipher", "profile", "protocol"])
"""Keywords that only nacre prints, where they are set."""

ALGORITHMS = frozenset(
    [
        *("ciphers", "macs", "kexalgorithms", "hostkeyalgorithms", "casignaturealgorithms"),
        *("hostbasedacceptedalgorithms", "pubkeyacceptedalgorithms"),
    ]
)

OF_A_VERSION = frozenset(["channeltimeout", "identityfile", "ipqos", "persourcepenalties"])
"""Keywords whose default has changed from one version of OpenSSH to another."""


@dataclass(frozen=True)
class Comparison:
    """Compares settings, knowing both programs' defaults.

    :ivar theirs: OpenSSH's settings of an empty file.
    :ivar ours: nacre's.
    """

    theirs: Settings
    ours: Settings

    def differences(self, theirs: Settings, ours: Settings) -> list[str]:
        """Return what differs, one keyword a line; empty if nothing does."""
        return [
            f"{keyword}: OpenSSH {theirs.get(keyword)}, nacre {ours.get(keyword)}"
            for keyword in sorted((theirs.keys() | ours.keys()) - PATCHED - OWN)
            if not self._equal(keyword, theirs.get(keyword, []), ours.get(keyword, []))
        ]

    def _equal(self, keyword: str, theirs: list[str], ours: list[str]) -> bool:
        if theirs == ours:
            return True
        their_default, our_default = self.theirs.get(keyword, []), self.ours.get(keyword, [])
        if keyword in OF_A_VERSION | BUILT_IN:
            return theirs == their_default and ours == our_default
        if keyword in ALGORITHMS and len(theirs) == len(ours) == 1:
            return same_algorithms(
                *(one[0].split(",") for one in (theirs, ours)),
                *(one[0].split(",") for one in (their_default, our_default)),
            )
        return False


def same_algorithms(
    theirs: list[str], ours: list[str], their_default: list[str], our_default: list[str]
) -> bool:
    """Tell whether two lists are the same but for names that only one program has.

    The defaults may be in different orders: then what precedes the names in the order of the
    default must be the same.
    """
    both = [[name for name in theirs if name in ours], [name for name in ours if name in theirs]]
    if both[0] != both[1] and before_default(both[0], their_default) != before_default(
        both[1], our_default
    ):
        return False
    # A name that one list lacks is one that its program does not have, or does not have by default.
    lost = [name for name in theirs if name not in ours and name in our_default]
    added = [name for name in ours if name not in theirs and name in their_default]
    return not lost and not added


def before_default(names: list[str], default: list[str]) -> list[str]:
    """Return the shortest beginning of a list after which the default's order is kept."""
    rank = {name: place for place, name in enumerate(default)}
    for length in range(len(names) + 1):
        ranks = [rank[name] for name in names[length:] if name in rank]
        if ranks == sorted(ranks):
            return names[:length]
    return names
