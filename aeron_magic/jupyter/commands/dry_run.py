"""Show the request that a question would send, without sending it."""

from __future__ import annotations

import json
from typing import Any

from aeron_magic.jupyter.display.publish import Verbatim, show
from aeron_magic.protocol.flow import Question
from aeron_magic.session.session import Session


def show_dry_run(session: Session, question: Question, shell: Any, note: str = "") -> None:
    """Show ``question`` and its request; headers are hidden, since they hold credentials."""
    session.validate(question)
    request = session.ensure_connected().client.service.build_request(question)
    headers = "".join(f"{name}: [hidden]\n" for name in request.headers)
    body = json.dumps(request.json, indent=2, ensure_ascii=False)
    text = f"{request.method} {request.url}\n{headers}\n{body}"
    show(
        shell,
        f"Nothing was sent. {note}The question:",
        Verbatim(question.text),
        "The request:",
        Verbatim(text),
    )
