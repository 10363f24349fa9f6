"""Listening sockets that come from another process: the service manager, or the server before.

A server that is restarted starts its *successor*, which runs the same command line anew and gets
what must not be lost meanwhile: the *estate*. The other one is the successor's *predecessor*, and
goes on with the connections that it has until they end.
"""
