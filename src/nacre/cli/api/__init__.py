"""``nacre api`` and the processes of ``nacre serve --api``: the REST API, and its keys.

actions.py is the table of what there is. process.py starts two processes: front.py has the HTTP of
strangers and no rights, back.py checks keys and does what is asked for, with the store and the
control socket, as the other programs do. Internal. Tests: tests/cli/api, tests/interop/test_api.py.
"""
