"""What ``nacre serve`` was told about its edge."""

from __future__ import annotations

from nacre.daemon.api.plan import APIPlan
from nacre.value import value


@value(kw_only=True)
class EdgeSettings:
    """What the server does where strangers meet it.

    :ivar proxy_from: networks of proxies that send the header of the PROXY protocol.
    :ivar ban_points: the points of offences from which on a network is banned; 0 for bans by hand
        alone, None for no bans.
    :ivar api: what the REST API is served with; None for no API.
    :ivar metrics: the address and port of the pages for monitoring, or None.
    """

    proxy_from: tuple[str, ...] = ()
    metrics: tuple[str, int] | None = None
    ban_points: int | None = None
    api: APIPlan | None = None


NO_EDGE = EdgeSettings()
