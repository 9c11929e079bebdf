"""Each case is run, and the error of the first that fails names it."""

from __future__ import annotations

import pytest
from each_case import each_case


def test_the_error_names_the_case() -> None:
    seen = []

    @each_case(("value", "limit"), [(1, 2), (3, 2), (9, 2)])
    def below(value: int, limit: int) -> None:
        seen.append(value)
        assert value < limit

    with pytest.raises(AssertionError) as caught:
        below()
    assert caught.value.__notes__ == ["case: value=3, limit=2"]
    assert seen == [1, 3]


@pytest.mark.parametrize("above", [4])
@each_case("value", [1, 2])
def test_fixtures_and_parameters_are_passed(
    value: int, above: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert value < above
    assert tmp_path_factory
