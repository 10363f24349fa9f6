"""What holds for the whole test run, and what it shows at its end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from nacre.config.client import files

# How long an example takes says more of the machine than of the code.
settings.register_profile("nacre", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("nacre"), max_examples=20)
# A mutant is killed in each run or in none (scripts/mutants.py), and nobody reads its example.
settings.register_profile(
    "mutants",
    settings.get_profile("nacre"),
    database=None,
    derandomize=True,
    max_examples=50,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile("nacre")


@pytest.fixture(autouse=True, scope="session")
def no_configuration_files() -> Iterator[None]:
    """Let no test of this process read the configuration of who runs it, or of the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "USER_FILE", "/nonexistent/config")
        patch.setattr(files, "SYSTEM_FILE", "/nonexistent/ssh_config")
        yield


@pytest.fixture(autouse=True)
def handlers_of_signals() -> Iterator[None]:
    """Begin with the usual handlers of Ctrl-C and SIGQUIT, and leave none of a program in here.

    Programs of the command line let SIGINT and SIGPIPE end them: in this process they would end the
    run of the tests. A shell starts what it runs in the background with SIGINT and SIGQUIT ignored.
    """
    numbers = (signal.SIGINT, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def mask_of_files() -> Iterator[None]:
    """Leave no umask of a program that ran in here: files of later tests would have its mode."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables that tests recorded as properties named ``table: …``."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "call":
                continue
            for name, value in report.user_properties:
                if name.startswith("table: "):
                    terminalreporter.section(name.removeprefix("table: "))
                    terminalreporter.write_line(value)
