"""``python -m aeron_magic.sandbox``: both services for any HTTP client, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence

from .faults import Faults
from .server import Sandbox

__all__ = ["main"]

_PAUSE = 1 / 60  # a word each sixtieth of a second: fast reading, and seen to stream


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; the exit status.

    Parameters
    ----------
    arguments
        The command line without the program's name; by default that of the process.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        faults = Faults.from_json(
            {
                "latency": given.latency,
                "first_chunk": given.first_chunk,
                "pause": given.pause,
                "chunk_size": given.chunk_size,
                "framing": given.framing,
                "say": given.say,
                "cut_after": given.cut_after,
                "cut_times": given.cut_times,
                "cut_how": given.cut_how,
                "stall_after": given.stall_after,
            }
        )
    except (TypeError, ValueError) as error:
        parser.error(str(error))
    sandbox = Sandbox(
        given.port,
        faults=faults,
        token_rule=given.token_rule,
        token_life=given.token_life,
        require_credentials=not given.no_credentials,
    )
    try:
        sandbox.start()
    except OSError as error:
        sys.stderr.write(f"Port {given.port} cannot be used: {error.strerror}. Try another one.\n")
        return 1
    with sandbox:
        sys.stdout.write(_welcome(sandbox))
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.stdout.write("\nThe sandbox has stopped.\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m aeron_magic.sandbox",
        description="AeronPay and Chatzy on this machine, answering from aeron-magic's handbook.",
    )
    add = parser.add_argument
    add("--port", type=int, default=8080, help="port on 127.0.0.1; 0 for a free one (%(default)s)")
    add("--latency", type=float, default=0.0, metavar="S", help="seconds before each answer")
    add(
        "--first-chunk", type=float, default=0.0, metavar="S", help="seconds before a stream begins"
    )
    add("--pause", type=float, default=_PAUSE, metavar="S", help="seconds between chunks (1/60)")
    add("--chunk-size", type=int, default=0, metavar="N", help="characters in a chunk (a word)")
    add(
        "--framing",
        default="sse",
        choices=["sse", "sse-event", "sse-multiline", "ndjson", "json", "pretty", "object"],
        help="how AeronPay's stream is written (%(default)s)",
    )
    add(
        "--token-rule",
        default="new",
        choices=["new", "same"],
        help="a token for each reply, or one",
    )
    add("--token-life", type=float, default=86_400.0, metavar="S", help="seconds a token lives")
    add("--no-credentials", action="store_true", help="AeronPay without client-id, client-secret")
    add("--say", metavar="TEXT", help="answer this to everything")
    add("--cut-after", type=int, metavar="N", help="cut streams after so many bytes")
    add("--cut-times", type=int, default=1, metavar="K", help="how many streams (%(default)s)")
    add("--cut-how", default="reset", choices=["reset", "close", "end"], help="(%(default)s)")
    add("--stall-after", type=int, metavar="N", help="let a stream fall silent after so many bytes")
    return parser


def _welcome(sandbox: Sandbox) -> str:
    chatbot = "00000000-0000-4000-8000-000000000000"
    body = (
        '{"client_referenceId": "\'$(date +%s%N)\'", "stream": true,'
        ' "user": {"text": "How do I continue a conversation?"}}'
    )
    return f"""\
The sandbox of aeron-magic is running; Ctrl-C stops it.

  AeronPay       {sandbox.aeronpay_url}
  Chatzy         {sandbox.chatzy_url}
  Chatzy stream  {sandbox.chatzy_stream_url}
  Control        {sandbox.url}/control  {sandbox.url}/log

Ask AeronPay, and let Chatzy begin a conversation:

  curl -N {sandbox.aeronpay_url}/create-response -H 'client-id: me' \\
    -H 'client-secret: anything' -H 'Content-Type: application/json' \\
    -d '{body}'

  curl '{sandbox.chatzy_url}/init_conversation?chatbot_id={chatbot}'

"""


if __name__ == "__main__":
    raise SystemExit(main())
