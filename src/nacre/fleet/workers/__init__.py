"""Attempts by other processes than that of the run, which keeps the plan.

local.py starts processes on this machine, whose program is local_process.py.
Internal: use ``workers`` of ``nacre.fleet.run``. Tests: tests/fleet/workers.
"""
