"""Keeps short secrets encrypted (Fernet: AES-128 and HMAC) where they are stored."""

import fcntl
import os
import secrets
from base64 import urlsafe_b64encode
from functools import cached_property
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from utils.errors import ProviderNotConfigured


class SecretsBox:
    """Encrypts with a key that follows from `secret` or, where that is empty, from what `file` holds, made at its first use.

    Raises ProviderNotConfigured when that file can neither be read nor made.
    """

    def __init__(self, secret: SecretStr, file: Path) -> None:
        self._configured, self._file = secret.get_secret_value().encode(), file

    def seal(self, text: str, purpose: str) -> str:
        """`text` encrypted, in ASCII. `purpose` says whose it is and what it is for: it opens for nothing else."""
        return self._fernet(purpose).encrypt(text.encode()).decode()

    def open(self, sealed: str, purpose: str) -> str | None:
        """What was sealed; None when that was done with another secret, for another purpose, or the text was changed."""
        try:
            return self._fernet(purpose).decrypt(sealed).decode()
        except InvalidToken:
            return None

    def _fernet(self, purpose: str) -> Fernet:
        derived = HKDF(SHA256(), length=32, salt=None, info=purpose.encode()).derive(self._secret)
        return Fernet(urlsafe_b64encode(derived))

    @cached_property
    def _secret(self) -> bytes:
        try:
            return self._configured or _kept(self._file)
        except OSError as error:
            raise ProviderNotConfigured(setting="SECRET_KEY") from error


def _kept(file: Path) -> bytes:
    """The secret in a file that only we may read, made if it is missing; all processes get the same one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)  # until it is closed
        if kept := opened.read():
            return kept
        made = secrets.token_urlsafe(32).encode()
        opened.write(made)
        opened.flush()
        os.fsync(opened.fileno())
        return made
