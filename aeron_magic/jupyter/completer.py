"""Tab on an aeron-magic line, put into IPython and taken out again.

The suggestions come from ``aeron_magic.jupyter.command_line.suggestions``, which is imported at
the first Tab in a cell that is ours: loading the extension must stay cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from aeron_magic.jupyter.command_line.suggestions import Completion

__all__ = ["Matcher", "register", "unregister"]

_IDENTIFIER = "aeron_magic"


class Matcher:
    """Finds what Tab offers, by a ``Suggestions`` object that is created when it is needed."""

    def __init__(
        self,
        dynamic: Mapping[str, Callable[[], Sequence[str]]] | None = None,
        namespace: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self._dynamic = dynamic
        self._namespace = namespace

    def find(self, text: str, line_number: int, column: int) -> Completion | None:
        """Return what to offer at a place of a cell, or None where the place is not ours.

        ``line_number`` and ``column`` count from 0.
        """
        if "%aeron" not in text:
            return None
        from aeron_magic.jupyter.command_line.suggestions import Suggestions

        offers = Suggestions(dynamic=self._dynamic, namespace=self._namespace)
        return offers.find(text, line_number, column)


class _NoCompletions:
    """Completions of which there are none, though their number is one.

    IPython lets a matcher suppress the others only if it has completions of its own, and asks
    for their number; then it iterates over them. Without this, prose would be completed with
    Python names.
    """

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Any]:
        return iter(())


def register(ip: InteractiveShell, matcher: Matcher) -> None:
    """Let ``matcher`` complete in ``ip``; one that was registered before is replaced."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    def complete(context: CompletionContext) -> SimpleMatcherResult:
        found = matcher.find(context.full_text, context.cursor_line, context.cursor_position)
        if found is None:
            return {"completions": [], "suppress": False}
        some: Any = [SimpleCompletion(one, type=found.kind) for one in found.choices]
        silence: Any = _NoCompletions()
        return {
            "completions": some or silence,
            "matched_fragment": found.fragment,
            "suppress": True,
            "ordered": True,
        }

    unregister(ip)
    # Before the others: one that suppresses, such as the one for \alpha, would silence ours.
    decorate = context_matcher(identifier=_IDENTIFIER, priority=1000)
    ip.Completer.custom_matchers.append(decorate(complete))


def unregister(ip: InteractiveShell) -> None:
    """Take back what :func:`register` did; without it, do nothing."""
    ip.Completer.custom_matchers[:] = [
        matcher
        for matcher in ip.Completer.custom_matchers
        if getattr(matcher, "matcher_identifier", "") != _IDENTIFIER
    ]
