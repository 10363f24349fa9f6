"""Where forwarded connections lead: echoes what follows an `e`, counts what follows an `s`."""

import socket
import threading

PORTION = 1 << 20


def serve(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = memoryview(bytearray(PORTION))
    with sock:
        echoes = sock.recv(1) == b"e"
        count = 0
        while size := sock.recv_into(buffer):
            count += size
            if echoes:
                sock.sendall(buffer[:size])
        if not echoes:
            sock.sendall(str(count).encode())


with socket.create_server(("127.0.0.1", 0)) as listener:
    print(f"listening on {listener.getsockname()[1]}", flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
