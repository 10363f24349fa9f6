"""A menu by prompt_toolkit: python examples/menu_server.py PORT PASSWORD"""

import asyncio
import sys
import time
from pathlib import Path

from greeting_server import kept_key
from prompt_toolkit.shortcuts import message_dialog, radiolist_dialog

import nacre
import nacre.apps


async def menu(session: nacre.Session) -> int:
    choices = [("time", "What time is it?"), ("user", "Who am I?"), ("leave", "Leave")]
    while True:
        dialog = radiolist_dialog("Menu", f"Welcome, {session.user}.", values=choices)
        match await dialog.run_async():
            case "time":
                await message_dialog("Time", time.strftime("It is %H:%M.")).run_async()
            case "user":
                await message_dialog("User", f"You are {session.user}.").run_async()
            case _:
                return 0


async def main(port: int, password: str) -> None:
    users = nacre.Users({"alice": password})
    key = kept_key(Path("menu_key"))
    handler = nacre.apps.prompt_handler(menu)
    async with nacre.listen(port=port, host_keys=[key], policy=users, handler=handler) as server:
        print(f"ssh -p {server.port} alice@127.0.0.1", flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
