"""``python -m aeron_magic.sandbox``: serve both services to any HTTP client until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn, get_args

from .faults import CutHow, Faults, Framing
from .server import Sandbox

_PAUSE = 1 / 60  # seconds between words: a fast reading pace


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted, and return the exit status.

    * ``arguments``: the command line without the program's name; by default that of the process.
    """
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    port, answers = given.pop("port"), given.pop("answers")
    options = {name: given.pop(name) for name in ("token_rule", "token_life")}
    options["require_credentials"] = not given.pop("no_credentials")
    try:
        faults = Faults.from_json(given)
    except ValueError as error:
        parser.error(str(error))
    try:
        sandbox = Sandbox(port, faults=faults, control=True, answers=answers, **options)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{answers}: {getattr(error, 'strerror', None) or error}.\n")
        return 1
    try:
        sandbox.start()
    except OSError as error:
        sys.stderr.write(f"Port {port} cannot be used: {error.strerror}. Try another one.\n")
        return 1
    with sandbox:
        sys.stdout.write(_welcome(sandbox))
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.stdout.write("\nThe sandbox has stopped.\n")
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with the error alone: the usage above it would fill the screen."""
        self.exit(2, f"{message}. `{self.prog} --help` lists the options.\n")


def _port(text: str) -> int:
    if not (text.isdecimal() and len(text) < 6 and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 65535")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m aeron_magic.sandbox",
        description="AeronPay and Chatzy on this machine; they answer from a handbook or a file.",
    )
    add = parser.add_argument
    add(
        "--port", type=_port, default=8080, help="port on 127.0.0.1; 0 for a free one (%(default)s)"
    )
    add(
        "--answers",
        metavar="FILE",
        help="answer from a .csv, .jsonl or .md file of questions and answers, read again when it "
        "changes (default: the handbook)",
    )
    add("--latency", type=float, default=0.0, metavar="S", help="seconds before each answer")
    add("--first-chunk", type=float, default=0.0, metavar="S", help="seconds before a stream")
    add("--pause", type=float, default=_PAUSE, metavar="S", help="seconds between chunks (1/60)")
    add("--chunk-size", type=int, default=0, metavar="N", help="characters in a chunk (a word)")
    add(
        "--framing",
        default="sse",
        choices=get_args(Framing),
        help="how AeronPay's stream is encoded (%(default)s)",
    )
    add(
        "--token-rule",
        default="new",
        choices=["new", "same"],
        help="a new token for each reply, or the same for a conversation (%(default)s)",
    )
    add("--token-life", type=float, default=86_400.0, metavar="S", help="seconds a token is valid")
    add("--no-credentials", action="store_true", help="AeronPay without client-id, client-secret")
    add("--say", metavar="TEXT", help="answer every question with this text")
    add("--cut-after", type=int, metavar="N", help="cut streams after so many bytes")
    add("--cut-times", type=int, default=1, metavar="K", help="how many streams (%(default)s)")
    add("--cut-how", default="reset", choices=get_args(CutHow), help="(%(default)s)")
    add("--stall-after", type=int, metavar="N", help="stop sending after so many bytes")
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

These two change its behaviour and show what was asked. They contain a secret of this start:

  Control        {sandbox.control_url}
  Log            {sandbox.log_url}

Ask AeronPay, and start a conversation with Chatzy:

  curl -N {sandbox.aeronpay_url}/create-response -H 'client-id: me' \\
    -H 'client-secret: none-needed' -H 'Content-Type: application/json' \\
    -d '{body}'

  curl '{sandbox.chatzy_url}/init_conversation?chatbot_id={chatbot}'
"""


if __name__ == "__main__":
    raise SystemExit(main())
