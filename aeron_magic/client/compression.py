"""Decompression in small pieces, so that a few bytes cannot grow to gigabytes in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

PIECE = 64 * 2**10
"""The most bytes of a decompressed piece."""

OTHERS = ("br", "zstd", "compress", "x-compress")
"""Compressions that are named in errors."""

_AUTOMATIC = 47  # zlib's number for: gzip or zlib, whichever the header says
_GZIP = b"\x1f\x8b"
"""The beginning of each member of a gzip body."""


class UnknownEncoding(zlib.error):
    """A compression that was not asked for; the text is its name, or empty."""


class Decompressor:
    """Decompresses one body.

    * ``encoding``: the response's ``Content-Encoding``: gzip, deflate, or none. Only gzip is asked
      for, which may have several members, one after another; what else follows its end is ignored.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower()
        self._zlib = zlib.decompressobj(_AUTOMATIC)
        self._held = b""
        self._ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bytes of the body that ``data`` completes.

        Raises zlib.error: the encoding is unknown, or the data is damaged.
        """
        if self._encoding in ("", "identity"):
            yield data
            return
        if self._encoding not in ("gzip", "x-gzip", "deflate"):
            raise UnknownEncoding(self._encoding if self._encoding in OTHERS else "")
        data, self._held = self._held + data, b""
        while not self._ended:
            if self._zlib.eof:
                if len(data) < len(_GZIP):
                    self._held = data
                    return
                self._ended = not data.startswith(_GZIP)
                if self._ended:
                    return
                self._zlib = zlib.decompressobj(_AUTOMATIC)
            piece = self._zlib.decompress(data, PIECE)
            data = self._zlib.unconsumed_tail or self._zlib.unused_data
            if piece:
                yield piece
            if not data and len(piece) < PIECE and not self._zlib.eof:
                return
