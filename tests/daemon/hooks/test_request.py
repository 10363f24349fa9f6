"""Hooks by HTTP."""

from __future__ import annotations

import asyncio
import hmac
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from daemon.hooks.made import plan, told
from daemon.hooks.receiver import HANG, SECRET, receiving
from nacre.daemon.hooks.deliveries import DeliveryFailed, DeliveryRefused
from nacre.daemon.hooks.request import LONGEST_HEAD, HTTPDelivery, check_url, signature
from nacre.errors import ConfigurationError


async def deliver(url: str, authorities: str = "") -> str:
    async with asyncio.timeout(30):
        made = plan(kind="url", target=url, authorities=authorities)
        return await HTTPDelivery().deliver(made, told())


async def test_a_request_is_signed() -> None:
    async with receiving() as receiver:
        assert await deliver(receiver.url) == ""
        (request,) = receiver.requests
    assert request.line == "POST /hook?a=b HTTP/1.1"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-type"] == "application/json"
    assert (request.headers["nacre-id"], request.headers["nacre-event"]) == ("1.abc", "upload")
    text = request.headers["nacre-timestamp"].encode() + b"." + request.body
    assert (
        request.headers["nacre-signature"] == "v1=" + hmac.new(SECRET, text, "sha256").hexdigest()
    )
    assert request.body == told().body


def test_the_signature_is_that_of_rfc_4231() -> None:
    # Its test case 2, of which the dot is a part of neither: so written out by another program.
    found = signature(b"Jefe", "1", b"what do ya want for nothing?")
    text = b"1.what do ya want for nothing?"
    assert found == f"v1={hmac.new(b'Jefe', text, 'sha256').hexdigest()}"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("204 No Content", None),
        ("400 Bad Request", DeliveryRefused),
        ("404 Not Found", DeliveryRefused),
        ("408 Request Timeout", DeliveryFailed),
        ("429 Too Many Requests", DeliveryFailed),
        ("500 Internal Server Error", DeliveryFailed),
        ("302 Found\r\nLocation: http://127.0.0.1:1/", DeliveryFailed),
    ],
)
async def test_what_a_status_means(answer: str, error: type[Exception] | None) -> None:
    async with receiving() as receiver:
        receiver.answer = lambda request: answer
        if error is None:
            await deliver(receiver.url)
        else:
            with pytest.raises(error, match=f"HTTP status {answer[:3]}"):
                await deliver(receiver.url)
        assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("120", 120, 120),
        ("soon", 0, 0),
        ("-5", 0, 0),
        ("99999999999999999999", 999999999, 999999999),
        ("Fri, 31 Dec 2100 23:59:59 GMT", 1e9, 4e9),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0, 0),
    ],
)
async def test_a_hook_may_ask_for_time(text: str, least: float, most: float) -> None:
    async with receiving() as receiver:
        receiver.answer = lambda request: f"503 Busy\r\nRetry-After: {text}"
        with pytest.raises(DeliveryFailed) as failed:
            await deliver(receiver.url)
    assert least <= failed.value.after <= most


async def test_an_answer_that_does_not_come_can_be_waited_for_as_long_as_one_likes() -> None:
    async with receiving() as receiver:
        receiver.answer = lambda request: HANG
        task = asyncio.create_task(deliver(receiver.url))
        await receiver.until(lambda: receiver.requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "without an answer"),
        (b"HTTP/1.1 200", "without an answer"),
        (b"SSH-2.0-x\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * LONGEST_HEAD + b"\r\n\r\n", "too long"),
        (b"HTTP/1.1 103 Early\r\n\r\n" * 20, "interim"),
    ],
    ids=range(7),
)
async def test_what_is_no_answer(data: bytes, why: str) -> None:
    async with receiving() as receiver:
        receiver.answer = lambda request: data
        with pytest.raises(DeliveryFailed, match=why):
            await deliver(receiver.url)


async def test_interim_answers_are_passed_over() -> None:
    async with receiving() as receiver:
        receiver.answer = lambda request: "103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK"
        await deliver(receiver.url)


async def test_nobody_there_is_a_failure() -> None:
    async with receiving() as receiver:
        url = receiver.url
    with pytest.raises(DeliveryFailed, match="no connection"):
        await deliver(url)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a certificate of localhost, which has its key beside it."""
    path = tmp_path_factory.mktemp("tls") / "certificate"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-out", path),
            *("-keyout", path.with_name("key"), "-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return path


async def test_the_server_of_https_is_verified(certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made = certificate.read_text()
    context.load_cert_chain(certificate, certificate.with_name("key"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"}}")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server:
        await deliver(f"https://localhost:{port}/", made)
        with pytest.raises(DeliveryFailed, match="TLS: CERTIFICATE_VERIFY_FAILED"):
            await deliver(f"https://localhost:{port}/")
        with pytest.raises(DeliveryFailed, match="TLS: CERTIFICATE_VERIFY_FAILED"):
            await deliver(f"https://127.0.0.1:{port}/", made)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/", "use https"),
        ("ftp://example.com/", "no URL of https"),
        ("https:///x", "no URL of https"),
        ("https://a:b@example.com/", "password"),
        ("https://example.com:x/", "no URL"),
        ("https://example.com/a b", "escaped"),
        ("https://example.com/ä", "escaped"),
        ("https://example.com/#a", "escaped"),
        ("nothing", "no URL"),
    ],
)
def test_urls_that_no_hook_may_have(url: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        check_url(url)


def test_urls_that_a_hook_may_have() -> None:
    for url in ("https://example.com", "http://localhost:8000/x", "http://[::1]:80/"):
        check_url(url)
    with pytest.raises(ConfigurationError):
        check_url("http://localhost\r\nX: y/")
