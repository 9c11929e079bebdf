"""The package's logger, and secrets kept out of the records of the HTTP libraries.

The records of those quote what a server sent.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from aeron_magic.plaintext import MIN_LENGTH, SECRET, redact

LOGGER = logging.getLogger("aeron_magic")

LOGGERS = (
    "httpx",
    *(f"httpcore.{part}" for part in ("connection", "http11", "proxy", "socks")),
    *(f"aiohttp.{part}" for part in ("client", "internal")),
)
"""A filter of a logger does not apply to the loggers below it, so each is named."""

TOKEN = re.compile(r"(?<=[?&]token=)[^&\s\"']+")
"""The temporary token in the address of Chatzy's stream."""


class _SecretFilter(logging.Filter):
    """Replaces secrets in the texts of records, and lets all records pass."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        clean = redact(TOKEN.sub(SECRET, text), sorted(self.secrets))
        if clean != text:
            record.msg, record.args = clean, None
        return True


_FILTER = _SecretFilter()


def keep_out_of_logs(secrets: Iterable[str]) -> None:
    """Replace ``secrets``, and the passwords of the environment's proxies, in records from now on.

    The filters stay as long as the process: an answer may be logged after its client was closed.
    """
    _FILTER.secrets.update(one for one in secrets if len(one) >= MIN_LENGTH)
    for address in getproxies().values():
        try:
            password = urlsplit(address).password
        except ValueError:
            continue
        if password:
            _FILTER.secrets |= {password, unquote(password)}
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)  # adds it once


def log_failure(what: str, error: BaseException) -> None:
    """Log an internal failure: its kind and place, but not its text, which may quote content."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    LOGGER.error("%s %s\n%s", what, type(error).__name__, frames)
