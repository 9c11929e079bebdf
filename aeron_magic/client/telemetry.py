"""Spans of OpenTelemetry: one for each question, without content, tokens or secrets.

Names follow the semantic conventions for generative AI of OpenTelemetry 1.37.0. This module is
imported only where something else has imported OpenTelemetry, which takes 20 ms, or names its
provider.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from aeron_magic.replies.reply import Reply
from aeron_magic.services.settings import Settings

MAX_ID = 200
SCHEMA = "https://opentelemetry.io/schemas/1.37.0"


def start_span(settings: Settings) -> Any:
    """A span below the current one of this thread or task; None without OpenTelemetry."""
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    url = urlsplit(settings.base_url)
    return trace.get_tracer("aeron_magic", schema_url=SCHEMA).start_span(
        "chat",
        kind=trace.SpanKind.CLIENT,
        attributes={
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": settings.service,
            "server.address": url.hostname or "",
            "server.port": url.port or (443 if url.scheme == "https" else 80),
        },
    )


def end_span(span: Any, status: str, requests: int, reply: Reply, error: str) -> None:
    """End the span of a question; ``error`` is the kind of its error, if it has one."""
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("aeron_magic.status", status)
    span.set_attribute("aeron_magic.requests", requests)
    span.set_attribute("aeron_magic.replayed", reply.replayed)
    if reply.msg_id:
        span.set_attribute("gen_ai.response.id", reply.msg_id[:MAX_ID])
    if status in ("failed", "incomplete"):
        span.set_attribute("error.type", error or "_OTHER")
        span.set_status(Status(StatusCode.ERROR, error))
    span.end()
