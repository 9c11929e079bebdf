"""Tokens and ids in the vendors' formats, equal for equal requests."""

from __future__ import annotations

import hashlib
import uuid


def digest(*parts: str, length: int = 64) -> str:
    """`length` hexadecimal digits that depend on all parts and on where each ends."""
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def uuid_from(*parts: str) -> str:
    """A UUID in the format of version 4 that depends on the parts only."""
    return str(uuid.UUID(digest(*parts, length=32), version=4))
