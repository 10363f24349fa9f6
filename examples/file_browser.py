"""A Textual app for any SSH client: python examples/file_browser.py PORT PASSWORD DIRECTORY"""

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

from greeting_server import kept_key
from textual.app import App, ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import DirectoryTree, Footer, Header, Static

import nacre
import nacre.apps


class Files(DirectoryTree):
    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        return [path for path in paths if not path.is_symlink()]  # they may lead out of here


class Browser(App[None]):
    """The files of a directory, and the beginning of the one that is chosen."""

    CSS = "Files { width: 40%; } VerticalScroll { padding: 0 1; }"
    BINDINGS = (("q", "quit", "Quit"),)
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, directory: str, user: str) -> None:
        super().__init__()
        self.directory = directory
        self.title = f"Files for {user}"

    def compose(self) -> ComposeResult:
        yield Header()
        with Horizontal():
            yield Files(self.directory)
            with VerticalScroll(can_focus=False):
                yield Static("Choose a file.", markup=False)
        yield Footer()

    def on_directory_tree_file_selected(self, event: DirectoryTree.FileSelected) -> None:
        with event.path.open("rb") as file:
            text = file.read(10_000).decode(errors="replace")
        self.query_one("VerticalScroll > Static", Static).update(text)


async def main(port: int, password: str, directory: str) -> None:
    users = nacre.Users({"alice": password})
    key = kept_key(Path("browser_key"))
    handler = nacre.apps.textual_handler(lambda session: Browser(directory, session.user))
    async with nacre.listen(port=port, host_keys=[key], policy=users, handler=handler) as server:
        print(f"ssh -p {server.port} alice@127.0.0.1", flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:4]))
