"""Where the installed programs ``nacre`` and ``nacre-ssh`` begin.

A master that shares its connection is asked first; everything else is loaded if there is none.
"""

import os
import sys

from nacre.cli.shared import reading, session


def ssh() -> None:
    """Run ``nacre-ssh``."""
    _share(sys.argv[1:])
    from nacre.cli.ssh.command import main

    main()


def nacre() -> None:
    """Run ``nacre``."""
    if sys.argv[1:2] == ["ssh"]:
        _share(sys.argv[2:])
    from nacre.cli.main import main

    main()


def _share(words: list[str]) -> None:
    """End the process with the status of a session of a master, if there is one."""
    asked = reading.session_for(words)
    if asked is None:
        return
    try:
        for number in range(3):
            os.fstat(number)  # of a closed one, the socket would get the number
        status = session.run(asked)
    except session.MasterRefused as refusal:
        # The program makes a connection of its own, and does not ask again.
        session.refused_by = asked.path
        if not asked.silent:
            os.write(2, f"{refusal}\n".encode())
        return
    except (session.NoMaster, OSError):
        return
    except KeyboardInterrupt:
        # The parent should see that the signal ended this process.
        session.die()
    os._exit(status)
