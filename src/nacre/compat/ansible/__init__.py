"""Ansible's connections through nacre: ``ansible_connection: nacre`` (docs/ansible.md).

Ansible forks a process for each task at each host. So a *broker* keeps the connections: a process
that the first task starts, and that ends when it was not used for a while. plugins has what
Ansible loads, which asks the broker by asking.py. Both are small and load nothing of nacre's
library, which broker.py does once. frames.py has what the two send each other.
Internal, except for ``PLUGINS``. Tests: tests/compat/ansible; with Ansible: tests/interop.
"""

from __future__ import annotations

import os

PLUGINS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plugins")
"""The directory to name as ``connection_plugins`` in ansible.cfg."""
