"""``python -m nacre`` is the ``nacre`` command."""

from nacre.cli.main import main

main()
