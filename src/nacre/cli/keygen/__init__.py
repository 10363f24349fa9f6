"""``nacre keygen``: keys, certificates, signatures, known hosts, as ssh-keygen(1) does it.

Start at command.py (which module does what an option asks for), then arguments.py (the options).
Each of the other modules has a function ``run(options)``, except keyfiles.py (reading and writing
the files) and questions.py (what is asked).
Imports keys, client and cli.common; opens no connection.
Internal: use nacre.generate and nacre.keys. Tests: tests/cli/keygen, tests/interop/test_keygen.py.
"""
