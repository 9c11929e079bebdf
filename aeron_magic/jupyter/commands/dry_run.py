"""The request that a question would send, shown and not sent."""

from __future__ import annotations

from typing import Any

from aeron_magic.protocol.flow import Question
from aeron_magic.session.session import Session

__all__ = ["show_dry_run"]


def show_dry_run(session: Session, question: Question, shell: Any) -> None:
    """Show the request that ``question`` would make; send nothing."""
    import json

    from aeron_magic.jupyter.display.publish import show_markdown
    from aeron_magic.markdown_text import fenced

    connection = session.ensure_connected()
    connection.validate(question.text, question.context_token or "", *question.images)
    request = connection.client.service.build_request(question)
    headers = "".join(f"{name}: [hidden]\n" for name in request.headers)
    body = json.dumps(request.json, indent=2, ensure_ascii=False)
    text = f"{request.method} {request.url}\n{headers}\n{body}"
    said = "Nothing was sent. This would be:"
    show_markdown(f"{said}\n\n{fenced(text)}", shell, f"{said}\n\n{text}")
