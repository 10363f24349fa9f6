"""``nacre ca get``: a certificate from a server, beside the key that it is for."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nacre.cli.common.arguments import split_destination
from nacre.config.syntax.lexer import quote
from nacre.errors import ConfigurationError, KeyFormatError, NacreError, UnusableKey
from nacre.keys import PublicKey, load_public
from nacre.keys.files import MAXIMUM_SIZE
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.cli.common.log import Log
    from nacre.client.target import Target
    from nacre.config.client.config import ClientConfig
    from nacre.config.client.files import Config
    from nacre.keys.certificate import Certificate

MODE = 0o644
"""Of a file with a certificate."""

_COMMAND = "nacre-certificate"
_CERTIFICATE = "-cert.pub"
_PUBLIC = ".pub"
_PATIENCE = 120.0
"""Seconds for which an answer is waited for."""

_LONGEST = 64 * 1024
"""Bytes of an answer."""

_WITHOUT_CERTIFICATES = "PubkeyAcceptedAlgorithms=-*-cert-v01@openssh.com"
"""The server does not renew a certificate for who has nothing else."""

_WRONG = 1


def target_of(path: Path) -> Path:
    """Return the file of the certificate for the key in ``path``, which may end with ``.pub``."""
    return path.with_name(path.name.removesuffix(_PUBLIC) + _CERTIFICATE)


def read_public(path: Path) -> tuple[PublicKey, str]:
    """Return the public key in a file, or in the one with ``.pub`` behind its name; its comment.

    :raises UnusableKey: there is none, or it is a certificate.
    """
    public = path if path.name.endswith(_PUBLIC) else path.with_name(path.name + _PUBLIC)
    try:
        with public.open("rb") as file:
            key, comment = load_public(file.read(MAXIMUM_SIZE))
    except OSError as error:
        raise UnusableKey(f"can't read the public key {public}: {error.strerror}") from None
    except KeyFormatError as error:
        raise UnusableKey(f"{public}: {error}") from None
    if key.plain is not key:
        raise UnusableKey(f"{public} is a certificate: name the file of its key")
    return key, comment


def get(
    program: str,
    destination: str,
    *,
    identity: Path | None,
    port: int | None,
    config_file: str | None,
    options: Sequence[str],
    if_needed: bool,
) -> int:
    """Get a certificate; return the exit status."""
    from nacre.cli.common.log import Log, open_log
    from nacre.cli.common.program import run_client
    from nacre.cli.common.start import complain
    from nacre.client.target import Target
    from nacre.config.client.files import Config

    try:
        path = _identity(identity)
        key, _ = read_public(path)
        if if_needed and _is_fresh(target_of(path), key, time.time()):
            return 0
        host, found = split_destination(destination)
        words = [*options, *found, *([] if port is None else [f"Port={port}"])]
        words.append(_WITHOUT_CERTIFICATES)
        private = path.with_name(path.name.removesuffix(_PUBLIC))
        if identity is not None and private.exists():
            words.append(f"IdentityFile={quote(str(private))}")
        files = Config.load(config_file)
        config = files.lookup(host, words)
        target = Target.of(host, config)
    except (ConfigurationError, UnusableKey) as error:
        return complain(program, error) and _WRONG
    with open_log() as file:
        log = Log(config.log_level, file)
        return run_client(_get(program, path, key, target, config, files, log), target, log)


def _identity(given: Path | None) -> Path:
    """Return the file of the key to certify.

    :raises UnusableKey: there is none.
    """
    if given is not None:
        return given.expanduser()
    from nacre.cli.copy_id.identities import newest

    found = newest(Path.home() / ".ssh")
    if not found:
        raise UnusableKey("no key was found: make one with nacre keygen, or name its file with -i")
    return Path(found)


def _is_fresh(path: Path, key: PublicKey, now: float) -> bool:
    """Tell whether the certificate that is there has more than a third of its time left."""
    try:
        found = _certificate(path.read_bytes(), key)
    except (OSError, NacreError):
        return False
    left = found.valid_before - now
    return found.valid_after <= now and left * 3 > found.valid_before - found.valid_after


def _certificate(line: bytes, key: PublicKey) -> Certificate:
    """Return the certificate of a key that a line has.

    :raises UnusableKey: it has something else.
    """
    from nacre.keys.certificate import Certificate, CertificateType

    found, _ = load_public(line)
    if not isinstance(found, Certificate) or found.key != key:
        raise UnusableKey("it is no certificate of this key")
    if found.kind != CertificateType.USER:
        raise UnusableKey("it is no certificate of a user")
    return found


async def _get(
    program: str,
    path: Path,
    key: PublicKey,
    target: Target,
    config: ClientConfig,
    files: Config,
    log: Log,
) -> int:
    from nacre.cli.common.connect import dial_and_log_in
    from nacre.cli.common.program import close_or_abort
    from nacre.cli.common.start import complain
    from nacre.client.trust.hostfile import replace
    from nacre.keys.times import show_time

    connection = await dial_and_log_in(target, config, log, files=files)
    try:
        done = await connection.run(
            _COMMAND,
            input=f"{key}\n".encode(),
            encoding=None,
            timeout=_PATIENCE,
            max_output=_LONGEST,
        )
    finally:
        await close_or_abort(connection)
    said = safe(done.stderr.decode("utf-8", "replace").strip(), 1000)
    if done.exit_status != 0:
        reason = said or "it ended without an answer: is it nacre serve, with a nacre ca?"
        return complain(program, UnusableKey(f"{safe(target.name)}: {reason}")) and _WRONG
    try:
        made = _certificate(done.stdout, key)
    except NacreError as error:
        reason = f"the answer of {safe(target.name)} can't be used: {error}"
        return complain(program, UnusableKey(reason)) and _WRONG
    certificate = target_of(path)
    _, comment = read_public(path)
    line = " ".join(filter(None, (str(made), comment)))
    try:
        replace(certificate, f"{line}\n".encode("utf-8", "surrogateescape"), MODE)
    except OSError as error:
        reason = f"can't write {certificate}: {error.strerror}"
        return complain(program, ConfigurationError(reason)) and _WRONG
    names = ",".join(safe(name, 64) for name in made.principals)
    until = show_time(made.valid_before)
    print(
        f"{safe(str(certificate))}: serial {made.serial}, for {names}, until {until}",
        file=sys.stderr,
    )
    return 0
