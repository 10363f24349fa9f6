"""The options of ``nacre fleet``."""

from __future__ import annotations

from typing import Any

from nacre.cli.fleet.options import FIGURES, login_of, plan_of
from nacre.fleet.plan import FleetPlan


def options(**given: Any) -> dict[str, Any]:
    nothing = {"login_user": None, "jump": None, "port": None, "keys": (), "keywords": ()}
    return {"config": None, **nothing, **given}


def test_options_of_a_login_are_keywords() -> None:
    found = login_of(
        options(login_user="al ice", port=22, keys=("a b", "c"), jump="j", keywords=("X=1",))
    )
    assert found["keywords"] == [
        'User="al ice"',
        'ProxyJump="j"',
        "Port=22",
        'IdentityFile="a b"',
        'IdentityFile="c"',
        "X=1",
    ]
    assert login_of(options(config="none")) == {"config": "none", "keywords": []}


def test_options_of_the_pace_make_a_plan() -> None:
    plan = FleetPlan(parallel=3, retries=2, timeout=1.5)
    assert plan_of({name: getattr(plan, name) for name in FIGURES}) == plan
    assert set(FIGURES) == set(FleetPlan.__dataclass_fields__)
