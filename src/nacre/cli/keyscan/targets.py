"""The hosts to scan: words of the command line, lines of files, and ranges of addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from nacre.value import value


@value
class ScanTarget:
    """A host to scan.

    :ivar addresses: names or addresses to try; the first one that accepts a connection counts.
    :ivar names: the names under which its keys are printed.
    """

    addresses: tuple[str, ...]
    names: tuple[str, ...]


def targets(lines: Iterable[str]) -> Iterator[ScanTarget]:
    """Yield the hosts of lines ``addrlist [namelist]``; of a range each address, one by one.

    Comments and lines without a host are skipped. An ``addrlist`` without a ``namelist`` is one.
    """
    for line in lines:
        # Blanks in front are no part of the host, and those behind the names neither.
        where, _, named = line.partition("#")[0].strip().replace("\t", " ").partition(" ")
        if where:
            yield from _of(where, named.strip())


def _of(where: str, named: str) -> Iterator[ScanTarget]:
    try:
        network = ip_network(where, strict=False)
    except ValueError:
        addresses = tuple(filter(None, where.split(",")))
        if addresses:
            yield ScanTarget(addresses, tuple((named or where).split(",")))
        return
    for address in network:
        yield ScanTarget((str(address),), tuple((named or str(address)).split(",")))
