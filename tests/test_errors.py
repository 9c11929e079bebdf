"""Errors: the short block, the hint, no secrets, and pickling."""

from __future__ import annotations

import ast
import copy
import inspect
import pickle
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from aeron_magic import errors
from aeron_magic.errors import (
    LINE_WIDTH,
    MESSAGE_SHOWN,
    PARTIAL_SHOWN,
    TOKEN_SHOWN,
    AccessRestricted,
    AeronError,
    AuthenticationError,
    CredentialsError,
    FailedReply,
    IncompleteReply,
    Interrupted,
    RateLimited,
    ReplyError,
    ServiceError,
    TokenError,
    UnexpectedAnswer,
    Unreachable,
    UsageError,
    ValueRefused,
    fetch_command,
)

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, AeronError) and kind.__module__ == errors.__name__
]


def full(kind: type[AeronError] = AeronError) -> AeronError:
    return kind(
        "It went wrong.",
        hint="Do this.",
        status_code=418,
        service_message="teapot",
        context_token="apay_1",
        partial="Half a",
    )


BLOCK = [
    "  HTTP status: 418",
    "  the service says: teapot",
    "  context_token: apay_1",
    "  received so far: Half a",
    "  → Do this.",
]


def documented_tree() -> dict[str, str]:
    """Each class in the tree of the module's docstring, and its base class there."""
    above: dict[int, str] = {}
    found = {}
    for line in (errors.__doc__ or "").splitlines():
        mark, _, rest = line.partition("* ")
        if mark.strip() or not rest:
            continue
        depth, name = len(mark) // 4, rest.split()[0]
        above[depth] = name
        found[name] = above.get(depth - 1, "Exception")
    return found


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    assert documented_tree() == {kind.__name__: kind.__bases__[0].__name__ for kind in KINDS}


def test_every_class_is_exported() -> None:
    assert set(errors.__all__) == {kind.__name__ for kind in KINDS}


def test_the_short_block_has_every_fact_and_the_hint() -> None:
    """Message, status, service message, token, partial text, hint."""
    for kind in KINDS:
        assert full(kind).lines() == [f"{kind.__name__}: It went wrong.", *BLOCK]


def test_the_short_block_of_an_error_without_facts_is_its_message() -> None:
    for kind in KINDS:
        assert kind("It went wrong.").lines() == [f"{kind.__name__}: It went wrong."]


def test_a_pickled_error_is_the_same() -> None:
    """A batch receives errors from other processes."""
    for kind in KINDS:
        error = full(kind)
        for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert type(twin) is kind
            assert vars(twin) == vars(error)
            assert twin.lines() == error.lines()
            assert str(twin) == str(error)


def test_ipython_shows_the_block_and_no_traceback() -> None:
    """IPython calls ``_render_traceback_`` of an exception that has it."""
    for kind in KINDS:
        assert full(kind)._render_traceback_() == full(kind).lines()


def test_long_lines_are_wrapped_at_words() -> None:
    """JupyterLab would break them inside words; a long address stays whole."""
    address = f"https://x.example/{'a' * 120}"
    error = UsageError("word " * 60 + address, hint="word-by-word " * 20)
    lines = error._render_traceback_()
    assert [line for line in lines if len(line) > LINE_WIDTH] == [f"    {address}"]
    assert " ".join(" ".join(lines).split()) == " ".join(" ".join(error.lines()).split())


def test_a_long_partial_text_is_truncated_in_the_block_only() -> None:
    """`lines(partial_limit=None)` shows all."""
    error = IncompleteReply("Cut.", partial="x" * (PARTIAL_SHOWN + 1))
    assert error.lines()[1] == f"  received so far: {'x' * PARTIAL_SHOWN} […]"
    assert error.lines(partial_limit=None)[1] == f"  received so far: {error.partial}"


def test_a_long_service_message_is_truncated() -> None:
    error = ServiceError("No.", service_message="y" * (MESSAGE_SHOWN + 1))
    assert error.lines()[1] == f"  the service says: {'y' * MESSAGE_SHOWN} […]"
    assert error.lines(partial_limit=None)[1] == f"  the service says: {error.service_message}"


def test_escape_sequences_are_removed_from_every_line() -> None:
    evil = "a\x1b]0;owned\x07b\u202ec"
    error = AeronError(
        evil, hint=evil, service_message=evil, context_token=evil, partial=evil, status_code=1
    )
    shown = "\n".join([str(error), *error.lines()])
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "abc" in shown


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_redacted_secret_is_removed_everywhere(kind: type[AeronError]) -> None:
    """Message, hint, service message, token, partial text, args and pickle."""
    secret = "s3cr3t-0815"
    text = f"see {secret} twice: {secret}"
    error = kind(
        text, hint=text, service_message=text, context_token=text, partial=text, status_code=403
    )
    error.redact(["", secret])
    shown = [
        str(error),
        repr(error),
        repr(vars(error)),
        repr(error.args),
        *error.lines(),
        *error._render_traceback_(),
        *traceback.format_exception(error),
        repr(pickle.dumps(error)),
    ]
    assert not [one for one in shown if secret in one]
    assert "[secret]" in str(error)


def test_an_uncaught_error_shows_its_remedy_below_the_traceback() -> None:
    """And the service's words; a note of the user's own comes last."""
    error = ServiceError("It failed.", hint="Ask again.", service_message="Slow down\x1b[2J")
    error.add_note("while asking row 7")
    shown = "".join(traceback.format_exception(error)).splitlines()
    assert shown == [
        "aeron_magic.errors.ServiceError: It failed.",
        "  the service says: Slow down",
        "  → Ask again.",
        "while asking row 7",
    ]
    again = pickle.loads(pickle.dumps(error))
    again.__notes__ = error.__notes__  # as libraries do that move errors between processes
    assert again.__notes__ == error.__notes__


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        (
            "`%aeron fetch a` (in Python `fetch`) asks.",
            "`fetch` (in a notebook `%aeron fetch a`) asks.",
        ),
        (
            "`%aeron connect sandbox` (in Python: Client('sandbox')) works; or wait.",
            "Client('sandbox') (in a notebook `%aeron connect sandbox`) works; or wait.",
        ),
        (
            "Ask again (-n, in Python without a token).",
            "Ask again (-n, in Python without a token).",
        ),
    ],
)
def test_in_a_script_the_remedy_names_python_first(hint: str, shown: str) -> None:
    """What the service says is not changed."""
    error = ServiceError("It failed.", hint=hint, service_message=hint)
    assert error.__notes__ == [f"  the service says: {hint}", f"  → {shown}"]
    assert error.lines()[-1] == f"  → {hint}"
    error.__notes__ = error.__notes__
    assert len(error.__notes__) == 2


def test_a_long_token_is_truncated_in_the_block_only() -> None:
    """A line that cannot be copied is not given."""
    token = "t" * (TOKEN_SHOWN + 1)
    error = IncompleteReply("Cut.", context_token=token, hint=fetch_command(token))
    assert error.lines()[1] == f"  context_token: {'t' * TOKEN_SHOWN} […]"
    assert error.lines(partial_limit=None)[1] == f"  context_token: {token}"
    assert error.lines()[2] == "  → `%aeron fetch TOKEN` with the context_token"
    assert fetch_command(token[1:]) == f"`%aeron fetch {token[1:]}`"


def test_only_interrupted_is_a_keyboard_interrupt() -> None:
    """It stops Run All as the stop button does."""
    assert [kind for kind in KINDS if issubclass(kind, KeyboardInterrupt)] == [Interrupted]


def test_the_subclasses_of_each_base() -> None:
    assert {kind for kind in KINDS if issubclass(kind, UsageError)} == {
        UsageError,
        CredentialsError,
        ValueRefused,
    }
    assert {kind for kind in KINDS if issubclass(kind, ServiceError)} == {
        ServiceError,
        AccessRestricted,
        AuthenticationError,
        TokenError,
        RateLimited,
        UnexpectedAnswer,
    }
    assert {kind for kind in KINDS if issubclass(kind, ReplyError)} == {
        ReplyError,
        IncompleteReply,
        FailedReply,
        Interrupted,
    }
    assert Unreachable.__bases__ == (AeronError,)


NOTEBOOK = re.compile(r"%aeron|%config|(?<![\w-])-n\b|--[a-z]|\bcell\b")
PYTHON = re.compile(r"Python|Client\(|ask_many|_BASE_URL")


def hints(package: Path) -> Iterator[str]:
    """The texts of all hints in the source files of a package, without inserted values."""
    for file in package.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                parts = [one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant)]
                yield "".join(one for one in parts if isinstance(one, str))


@pytest.mark.parametrize("name", ["client", "services", "protocol", "prompts", "batch"])
def test_a_hint_that_a_script_can_get_names_what_to_do_in_python(name: str) -> None:
    """Not only what to do in a notebook."""
    found = list(hints(Path(errors.__file__).parent / name))
    assert found
    about_notebooks = [hint for hint in found if NOTEBOOK.search(hint)]
    assert [hint for hint in about_notebooks if not PYTHON.search(hint)] == []
