"""What ``make run`` prints is what lets OpenSSH's client in."""

from __future__ import annotations

import re
import shlex
import signal
import sys
from pathlib import Path

import httpx

from interop.programs import require
from interop.terminal import Terminal

DEMO = Path(__file__).parents[2] / "scripts" / "demo.py"


def test_printed_command_and_password(tmp_path: Path) -> None:
    require("ssh")
    with Terminal([sys.executable, DEMO, "0", tmp_path / "run"], columns=500) as demo:
        command = shlex.split(demo.expect(r"\n +(ssh -p .*)\r\n")[1])
        password = demo.expect(r"password: (\S+)\r\n")[1]
        url = demo.expect(r"the web console: (http\S+)\r\n")[1]
        assert _first_page(url, password) == "/now"
        with Terminal([*command, "uname -a"]) as client:
            client.expect("assword: ?")
            client.type(password + "\n")
            client.expect("Linux")
            assert client.wait() == 0
        with Terminal(command) as client:
            client.expect("assword: ?")
            client.type(password + "\n")
            client.expect(r"[$#] ")
            client.expect_size(24, 80)
            client.resize(50, 132)
            client.expect_size(50, 132)
            client.type("exit 3\n")
            assert client.wait() == 3
        demo.type("\x03")
        assert demo.wait() in (0, -signal.SIGINT)
        assert "Traceback" not in demo.shown
    assert (tmp_path / "run" / "password").stat().st_mode & 0o777 == 0o600


def test_state_is_kept(tmp_path: Path) -> None:
    passwords = []
    for _ in range(2):
        with Terminal([sys.executable, DEMO, "0", tmp_path / "run"], columns=500) as demo:
            passwords.append(demo.expect(r"password: (\S+)\r\n")[1])
            demo.type("\x03")
            demo.wait()
    assert passwords[0] == passwords[1]


def _first_page(url: str, password: str) -> str:
    """Sign in to the console, and return where that leads."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
        found = re.search(r'name="key" value="([^"]+)"', http.get("/sign-in").text)
        assert found is not None
        fields = {"name": "demo", "password": password, "key": found[1]}
        assert http.post("/sign-in", data=fields).status_code == 303
        assert http.get("/files").status_code == 200, "the console reaches the server by SSH"
        return http.get("/").headers["location"]
