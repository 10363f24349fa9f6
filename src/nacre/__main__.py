"""``python -m nacre`` runs the ``nacre`` command."""

from nacre.cli.main import main

main()
