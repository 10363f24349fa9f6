"""The model of what nodes with one database reach together."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import pytest

from interop.peers import ROOT


def _loaded() -> Any:
    # Not by its package, whose name is that of the folder of these tests as well.
    spec = importlib.util.spec_from_file_location("bench_scaling", ROOT / "bench" / "scaling.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


scaling = _loaded()
COSTS = scaling.Costs(
    login=0.010,
    login_database=0.001,
    transactions=2.0,
    idle=0.002,
    idle_transactions=5.0,
    notify=0.00001,
    hear=0.0001,
)
MACHINES = scaling.Machines()


def test_one_node_is_bound_by_its_own_processors() -> None:
    found = scaling.reached(COSTS, MACHINES, 1)
    assert found.node == pytest.approx(scaling.BOUND)
    assert found.rate == pytest.approx((0.7 * 2 - 0.0001) / 0.010)
    assert found.transactions == pytest.approx(2 * found.rate + 5)
    assert found.connections == 12
    assert found.wait > 0.7 / 0.3 * 0.010


def test_three_nodes_reach_three_times_as_much_until_the_database_bends() -> None:
    one, three = (scaling.reached(COSTS, MACHINES, nodes) for nodes in (1, 3))
    assert three.rate >= 2.4 * one.rate
    many = scaling.reached(COSTS, MACHINES, 1000)
    assert many.database == pytest.approx(scaling.BOUND)
    assert many.node < scaling.BOUND
    bend = scaling.bends_at(COSTS, MACHINES)
    before, after = (scaling.reached(COSTS, MACHINES, nodes) for nodes in (bend - 1, bend))
    assert before.database < after.database
    assert after.rate - before.rate < one.rate / 2


def test_a_database_that_only_keeps_nodes_lets_nobody_log_in() -> None:
    most = scaling.most_nodes(COSTS, MACHINES)
    assert scaling.reached(COSTS, MACHINES, most).rate >= 0
    assert scaling.reached(COSTS, MACHINES, 2 * most).rate == 0


def test_what_costs_the_database_more_bends_earlier() -> None:
    slow = scaling.Costs(**{**vars(COSTS), "login_database": 0.004})
    assert scaling.bends_at(slow, MACHINES) < scaling.bends_at(COSTS, MACHINES)


def test_a_change_wakes_each_connection_that_listens() -> None:
    deaf = scaling.Machines(listeners=0, changes=100.0)
    assert deaf.keeping(COSTS) == COSTS.idle
    three = scaling.Machines(listeners=3, changes=100.0)
    assert three.keeping(COSTS) == pytest.approx(0.002 + 0.003)
    assert scaling.most_nodes(COSTS, three) < scaling.most_nodes(COSTS, deaf)
