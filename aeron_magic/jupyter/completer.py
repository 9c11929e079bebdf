"""Registers the completions of aeron-magic lines in IPython.

The completions come from ``aeron_magic.jupyter.command_line.suggestions``, imported at the first
Tab in a cell with our magics: loading the extension must stay cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

_IDENTIFIER = "aeron_magic"


class _NoCompletions:
    """An empty result that reports length 1.

    IPython lets only a non-empty matcher suppress the others, and without that prose would be
    completed with Python names.
    """

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Any]:
        return iter(())


def register(ip: InteractiveShell, names: Callable[[str], Sequence[str]]) -> None:
    """Register the matcher in ``ip``, or replace it.

    ``names`` returns the values of a ``completion_source`` of an option or argument.
    """
    from IPython.core.completer import SimpleCompletion, context_matcher

    def complete(context: CompletionContext) -> SimpleMatcherResult:
        found = None
        if "%aeron" in context.full_text:
            from aeron_magic.jupyter.command_line.suggestions import Suggestions

            suggestions = Suggestions(names, ip.user_ns)
            found = suggestions.find(
                context.full_text, context.cursor_line, context.cursor_position
            )
        if found is None:
            return {"completions": [], "suppress": False}
        some: Any = [SimpleCompletion(one, type=found.kind) for one in found.choices]
        none: Any = _NoCompletions()
        return {
            "completions": some or none,
            "matched_fragment": found.fragment,
            "suppress": True,
            "ordered": True,
        }

    unregister(ip)
    # First, because a matcher that suppresses, such as the one for \alpha, would hide ours.
    decorate = context_matcher(identifier=_IDENTIFIER, priority=1000)
    ip.Completer.custom_matchers.append(decorate(complete))


def unregister(ip: InteractiveShell) -> None:
    """Remove the matcher from ``ip``, if it is registered."""
    ip.Completer.custom_matchers[:] = [
        matcher
        for matcher in ip.Completer.custom_matchers
        if getattr(matcher, "matcher_identifier", "") != _IDENTIFIER
    ]
