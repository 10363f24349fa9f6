"""Attempts by other processes than that of the run, which keeps the plan.

pool.py is the side of the run, and attempting.py that of the process that makes the attempts.
local.py starts processes on this machine, whose program is local_process.py; dask.py uses those of
a cluster, which call dask_worker.py.
Internal: use ``workers`` and ``engine`` of ``nacre.fleet.run``. Tests: tests/fleet/workers.
"""
