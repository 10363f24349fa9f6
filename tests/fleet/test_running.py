"""``nacre.fleet.run``, with endpoints that serve, refuse, hang and die."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nacre.fleet
from fleet.endpoints import LOGIN, at, free_port, saying
from nacre.errors import ConfigurationError
from nacre.fleet import FleetHost, FleetPlan
from nacre.fleet.journal import FleetFile
from parties import hangs_up_after


async def test_each_endpoint_gets_the_verdict_that_is_right(
    make_server: Any, tmp_path: Path
) -> None:
    good = await make_server()
    dies = await make_server(handler=hangs_up_after())
    async with saying(b"") as silent, saying(b"SSH-2.0-x\r\n") as stuck:
        hosts = [
            *(at(f"good{n}", good.port) for n in range(20)),
            at("refuses", await free_port()),
            at("silent", silent),
            at("stuck", stuck),
            at("dies", dies.port),
        ]
        report = await nacre.fleet.run(
            hosts,
            "print 4 0",
            plan=FleetPlan(parallel=8, login=1.0, deadline=60),
            state=tmp_path / "fleet.db",
            **LOGIN,
        )
    summaries = {name: verdict.summary for name, verdict in report.verdicts.items()}
    assert summaries == {
        **{f"good{n}": "ok" for n in range(20)},
        "refuses": "refused (connect)",
        "silent": "timeout (version)",
        "stuck": "timeout (kex)",
        "dies": "unknown",
    }
    assert not report.ok
    file = FleetFile(tmp_path / "fleet.db")
    run = file.run(None)
    assert run.ended
    plan = {"parallel": 8, "login": 1.0, "deadline": 60, "retries": 0, "rate": None}
    assert run.options["plan"].items() >= plan.items()  # `nacre fleet resume` goes on with it
    assert FleetPlan(**run.options["plan"]) == FleetPlan(parallel=8, login=1.0, deadline=60)
    assert run.counts == {"ok": 20, "refused": 1, "timeout": 2, "unknown": 1}
    file.close()


async def test_hosts_are_a_text_or_a_list(make_server: Any) -> None:
    server = await make_server()
    report = await nacre.fleet.run(f"127.0.0.1:{server.port}", "exit 0", **LOGIN)
    assert report.ok
    both = await nacre.fleet.run(
        [f"127.0.0.1:{server.port}", at("other", server.port)], "exit 0", **LOGIN
    )
    assert sorted(both.verdicts) == [f"127.0.0.1:{server.port}", "other"]


async def test_the_configuration_counts_with_options_before_it(
    make_server: Any, tmp_path: Path
) -> None:
    server = await make_server()
    file = tmp_path / "config"
    file.write_text(f"Host web*\n  HostName 127.0.0.1\n  Port {server.port}\n  User bob\n")
    login = {name: LOGIN[name] for name in ("password", "keys", "agent", "trust")}
    report = await nacre.fleet.run(
        "web[1-3]", "exit 0", config=file, config_options=["User=alice"], **login
    )
    assert report.ok
    assert sorted(report.verdicts) == ["web1", "web2", "web3"]


@pytest.mark.parametrize(
    ("hosts", "plan", "why"),
    [
        ([], FleetPlan(), "no host to work on"),
        (["a", FleetHost("a", "b")], FleetPlan(), "comes twice"),
        (["a"], FleetPlan(parallel=0), "parallel=0"),
    ],
)
async def test_what_is_not_possible_is_refused_before_anything_is_done(
    hosts: Any, plan: FleetPlan, why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        await nacre.fleet.run(hosts, "exit 0", plan=plan, **LOGIN)
