"""Signatures: what all families have in common.

A *verifier* holds a public key; a *signer* holds a private key and its verifier. Both keep the
loaded key, so a login costs one signature and no parsing. They work on numbers and bytes;
``nacre.keys`` encodes them for SSH.

Every constructor raises :class:`~nacre.errors.KeyFormatError` if the numbers are not a key.
``verify`` returns False for every invalid signature.

Each family has its own module, which loads its own part of the library: a login needs one or two.
"""

from __future__ import annotations

from cryptography.exceptions import InternalError, UnsupportedAlgorithm

BAD_NUMBERS = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, InternalError)
"""The errors of the library for numbers that are not a key.

InternalError is that for an Ed448 key of another length in PKCS#8.
"""
