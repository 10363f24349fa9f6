"""The servers that share a store, here called nodes: who they are, and their connections.

The order of reading: :mod:`nacre.daemon.nodes.tables` has the statements,
:mod:`nacre.daemon.nodes.lease` keeps the rows of one process, and
:mod:`nacre.daemon.nodes.roster` lists and ends the connections of the others.
"""
