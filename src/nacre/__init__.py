"""SSH in Python: a library, a server and the command-line tools."""

from __future__ import annotations

__version__ = "0.1.0"
