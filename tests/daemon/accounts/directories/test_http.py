"""Questions over HTTP: what is sent, and what an answer may be."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nacre.daemon.accounts.directories.http import AskedURL, HTTPClient, signature
from nacre.errors import AccountError, ConfigurationError

SECRET = b"0123456789abcdef"


def received(sock: socket.socket) -> bytes:
    """Return a whole question. A server that leaves a part of it resets the connection."""
    data = b""
    while b'"alice"}' not in data:
        data += sock.recv(65536)
    return data


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve one connection with a function, in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            accepted, _ = listening.accept()
            with accepted:
                serve(accepted)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/ask?site=1"
        thread.join(30)
        assert not thread.is_alive()


def answer(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def ask(url: str) -> object:
    return AskedURL(HTTPClient(url), SECRET)({"name": "alice"})


def test_a_question_is_signed() -> None:
    got: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        got.append(received(sock))
        sock.sendall(answer("200 OK", b'{"user": null}'))

    with server(serve) as url:
        assert ask(url) == {"user": None}
    head, body = got[0].split(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /ask?site=1 HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert json.loads(body) == {"name": "alice"}
    assert headers["Nacre-Signature"] == signature(SECRET, headers["Nacre-Time"], body)
    # What openssl dgst -sha256 -hmac makes of it.
    made = "2af693cb56b22c16912222aeefdc75a01de562bf70ee2015f41ecea48382997f"
    assert signature(SECRET, "1", b"{}") == made


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (answer("500 No", b"{}"), "status of the answer is 500"),
        (answer("302 Found", b"{}"), "status of the answer is 302"),
        (answer("200 OK", b"{"), "no JSON"),
        (answer("200 OK", b"[" * 60000), "no JSON"),
        (answer("200 OK", b" " * 65537), "more than 65536 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "no JSON"),
        (b"SSH-2.0-OpenSSH\r\n", "no answer of"),
        (b"", "no answer of"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000 + b"\r\n", "no answer of"),
    ],
)
def test_answers_that_are_none(given: bytes, reason: str) -> None:
    def serve(sock: socket.socket) -> None:
        received(sock)
        sock.sendall(given)

    with server(serve) as url, pytest.raises(AccountError, match=reason):
        ask(url)


@pytest.mark.parametrize("piece", [b"", b"A: b\r\n"])
def test_a_server_that_dribbles_is_not_waited_for(piece: bytes) -> None:
    def serve(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.settimeout(0.02)
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        # Until the client closes the connection.
        while True:
            try:
                if not sock.recv(65536):
                    return
            except TimeoutError:
                try:
                    sock.sendall(piece)
                except OSError:
                    return
            except OSError:
                return

    with server(serve) as url, pytest.raises(AccountError, match=r"took more than|no answer of"):
        HTTPClient(url).send(b"{}", {}, 0.5)


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/",
        "http://localhost.example.com/",
        "ftp://127.0.0.1/",
        "https://",
        "https://user:password@example.com/",
        "https://example.com:port/",
        "https://example.com/#part",
        "https://[::1/",
    ],
)
def test_urls_that_are_not_asked(url: str) -> None:
    with pytest.raises(ConfigurationError):
        HTTPClient(url)


def certificate(path: Path) -> ssl.SSLContext:
    """Write a certificate for 127.0.0.1, and return what a server uses it by."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "directory")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(made.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.mark.parametrize("known", [True, False])
def test_the_certificate_is_verified(
    known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = certificate(tmp_path / "cert.pem")
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))

    def serve(sock: socket.socket) -> None:
        try:
            with context.wrap_socket(sock, server_side=True) as tls:
                tls.recv(65536)
                tls.sendall(answer("200 OK", b'{"user": null}'))
        except OSError:
            assert not known

    with server(serve) as url:
        url = url.replace("http:", "https:")
        if known:
            assert ask(url) == {"user": None}
        else:
            with pytest.raises(AccountError, match="CERTIFICATE_VERIFY_FAILED"):
                ask(url)
