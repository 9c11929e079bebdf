"""A table of cases in one test."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["each_case"]

Test = Callable[..., None]


def each_case(names: str | tuple[str, ...], cases: Iterable[Any]) -> Callable[[Test], Test]:
    """Run a test for each case in turn; the error of the first that fails names it.

    As ``pytest.mark.parametrize``, which makes a test of each case: that takes 2 ms, and many
    cases take less. The test's fixtures are the same for all cases.
    """
    of = (names,) if isinstance(names, str) else names
    table = [(case,) if isinstance(names, str) else tuple(case) for case in cases]
    assert table

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def run(*given: Any, **fixtures: Any) -> None:
            __tracebackhide__ = True
            for values in table:
                case = dict(zip(of, values, strict=True))
                try:
                    test(*given, **fixtures, **case)
                except BaseException as error:
                    error.add_note(f"case: {', '.join(f'{k}={v!r}' for k, v in case.items())}")
                    raise

        signature = inspect.signature(test)
        others = [one for name, one in signature.parameters.items() if name not in of]
        run.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
        return run

    return decorate
