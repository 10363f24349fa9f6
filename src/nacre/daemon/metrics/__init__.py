"""What monitoring is told about the server.

Start with :mod:`nacre.daemon.metrics.metrics`.
"""
