"""Signatures, made and checked: what the families have in common.

A *verifier* holds a public key, a *signer* a private one and its verifier. Both keep the loaded
key, so that a login costs one signature and no parsing. Numbers and bytes go in and come out;
how SSH writes them is the business of ``nacre.keys``.

Every constructor raises :class:`~nacre.errors.KeyFormatError` for numbers that make no key.
``verify`` returns False for a bad signature, whatever is wrong with it.

Each family has a module, which loads its own part of the library: a login needs one or two of them.
"""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm

BAD_NUMBERS = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm)
"""What the library raises for numbers that make no key."""
