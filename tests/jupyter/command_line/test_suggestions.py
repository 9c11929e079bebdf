from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from aeron_magic.jupyter.command_line.spec import (
    COMMANDS,
    FORMATS,
    QUESTION,
    Argument,
    CommandSpec,
)
from aeron_magic.jupyter.command_line.suggestions import Completion, Suggestions

NAMES = {
    "turns": ["first", "two words"],
    "tokens": ["9f-3a"],
    "conversations": [],
    "stored": [],
}
NAMESPACE: dict[str, object] = {
    "answer": "text",
    "author": {"name": "Ada", "native town": "London", 'said "x"': 1, 3: "int"},
    "frame": pd.DataFrame({"count_of": [1], "two words": [2]}),
    "record": SimpleNamespace(inner=SimpleNamespace(deep=1), other=2),
    "_private": 1,
    "a_function": len,
    "In": [],
}

SUGGESTIONS = Suggestions(NAMES.__getitem__, NAMESPACE)


def completion(cell: str, suggestions: Suggestions = SUGGESTIONS) -> Completion | None:
    """The completion at the ``|`` of ``cell``."""
    before, _, after = cell.partition("|")
    last = before.rpartition("\n")[2]
    return suggestions.find(before + after, before.count("\n"), len(last))


def completed(cell: str, suggestions: Suggestions = SUGGESTIONS) -> list[str]:
    """The line up to the cursor, completed with each of the choices."""
    found = completion(cell, suggestions)
    assert found is not None, cell
    last = cell.partition("|")[0].rpartition("\n")[2]
    assert last.endswith(found.fragment), cell
    return [last.removesuffix(found.fragment) + choice for choice in found.choices]


COMPLETED = {
    # options
    "%%aeron --fo|": ["%%aeron --format"],
    "%%aeron --no|": ["%%aeron --no-stream"],
    "%%aeron -q --ra|": ["%%aeron -q --raw", "%%aeron -q --rate"],
    "%%aeron -q --qu|": [],
    "%%aeron --image http://a --im|": ["%%aeron --image http://a --image"],
    "%%aeron --dr| -q\ntext": ["%%aeron --dry-run"],
    "\n%%aeron --fo|": ["%%aeron --format"],
    # values
    "%%aeron -f |": [f"%%aeron -f {form}" for form in FORMATS],
    "%%aeron -f m|": ["%%aeron -f markdown"],
    "%%aeron --format=t|": ["%%aeron --format=text", "%%aeron --format=table"],
    "%%aeron --format=|": [f"%%aeron --format={form}" for form in FORMATS],
    "%%aeron --after |": ["%%aeron --after first", '%%aeron --after "two words"'],
    "%%aeron --after tw|": ['%%aeron --after "two words"'],
    '%%aeron --after "tw|': ['%%aeron --after "two words'],
    '%%aeron --after "two words"|': [],
    "%%aeron -o an|": ["%%aeron -o answer"],
    "%%aeron --rate |": [],
    "%%aeron --image |": [],
    # lines
    "%aeron co|": ["%aeron connect", "%aeron code"],
    "x = 1\n%aeron hi|": ["%aeron history"],
    "x = %aeron la|": ["x = %aeron last"],
    "%aeron connect s|": ["%aeron connect sandbox"],
    "%aeron connect |": [f"%aeron connect {name}" for name in ("sandbox", "aeronpay", "chatzy")],
    "%aeron connect sandbox |": [
        "%aeron connect sandbox --service",
        "%aeron connect sandbox --answers",
    ],
    "%aeron check a.chat.md --re|": ["%aeron check a.chat.md --repeat"],
    "%aeron connect sandbox --service c|": ["%aeron connect sandbox --service chatzy"],
    "%aeron connect sandbox --b|": [],
    "%aeron connect aeronpay --|": ["%aeron connect aeronpay --base-url"],
    "%aeron connect --b|": ["%aeron connect --base-url"],
    "%aeron history --order |": ["%aeron history --order asc", "%aeron history --order desc"],
    "%aeron history --order asc |": [
        "%aeron history --order asc --remote",
        "%aeron history --order asc --find",
    ],
    "%aeron fetch |": ["%aeron fetch 9f-3a"],
    "%aeron login a|": ["%aeron login aeronpay"],
    "%aeron login aeronpay |": [],
    "%aeron nothing |": [],
    "%aeron ask --qu|": ["%aeron ask --quiet"],
    "%aeron ask why is pri|": [],
    "%aeron ask -q is {{au|": ["%aeron ask -q is {{author"],
    "%aeron ask -- -q {{au|": ["%aeron ask -- -q {{author"],
    # text
    "%%aeron\npri|": [],
    "%%aeron\n--fo|": [],
    "%%aeron\n%aeron co|": [],
    "%%aeron\nIs {{|": ["Is {{answer", "Is {{author", "Is {{frame", "Is {{record"],
    "%%aeron\nIs {{ an| }}": ["Is {{ answer"],
    "%%aeron -q\nline\nIs {{an|": ["Is {{answer"],
    "%%aeron\n{{{an|": ["{{{answer"],
    "%%aeron\n{{_|": [],
    "%%aeron\n\\{{an|": [],
    "%%aeron\n{{answer}} an|": [],
    "%%aeron\n{an|": [],
    "%%aeron\n{{record.|": ["{{record.inner", "{{record.other"],
    "%%aeron\n{{record.inner.d|": ["{{record.inner.deep"],
    "%%aeron\n{{frame.count|": ["{{frame.count_of"],
    "%%aeron\n{{frame.head|": [],
    "%%aeron\n{{author.na|": [],
    "%%aeron\n{{author[|": [
        '{{author["name"]',
        '{{author["native town"]',
        "{{author['said \"x\"']",
    ],
    "%%aeron\n{{author[|]}}": [
        '{{author["name"',
        '{{author["native town"',
        "{{author['said \"x\"'",
    ],
    '%%aeron\n{{author["na|': ['{{author["name"]', '{{author["native town"]'],
    '%%aeron\n{{author["nam|"]}}': ['{{author["name'],
    "%%aeron\n{{author['nam|": ["{{author['name']"],
    '%%aeron\n{{frame["two|': ['{{frame["two words"]'],
    "%%aeron\n{{unknown.|": [],
    "%%aeron\n{{answer[0|": [],
}

NOT_OURS = ["|", "pri|", "%aer|", "%aeron|", "%%aeron|", "%aeronx |", "%%aeronx\nx|", "x|\n%%aeron"]
NOT_OURS += ["%%bash\n%aeron co|", "%aeron last\npri|", "print('%aeron co|"]


def test_every_position_is_completed_with_what_is_valid_there() -> None:
    for cell, lines in COMPLETED.items():
        assert completed(cell) == lines, cell


def test_other_positions_are_left_to_ipython() -> None:
    for cell in NOT_OURS:
        assert completion(cell) is None, cell


def test_after_the_name_of_the_magic_everything_is_offered() -> None:
    assert completed("%aeron |") == [f"%aeron {name}" for name in COMMANDS]
    longs = [option.flags[-1] for option in QUESTION.options]
    assert completed("%%aeron |") == [f"%%aeron {flag}" for flag in longs]
    assert completed("%aeron ask |") == [f"%aeron ask {flag}" for flag in longs]
    assert completed("%%aeron -|") == [f"%%aeron {flag}" for flag in QUESTION.flags]


def test_an_entry_in_commands_is_completed_with_its_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = Argument("NAME", completion_source="conversations")
    monkeypatch.setitem(COMMANDS, "go", CommandSpec("go", "switch", (name,)))
    suggestions = Suggestions({"conversations": ["mine"]}.__getitem__, {})
    assert completed("%aeron g|", suggestions) == ["%aeron go"]
    assert completed("%aeron go |", suggestions) == ["%aeron go mine"]


def test_everywhere_the_fragment_ends_at_the_cursor() -> None:
    for cell in COMPLETED:
        whole = cell.replace("|", "")
        for at in range(len(whole) + 1):
            if completion(whole[:at] + "|" + whole[at:]) is not None:
                completed(whole[:at] + "|" + whole[at:])


def test_a_property_that_raises_has_no_completions() -> None:
    class Broken:
        @property
        def part(self) -> str:
            raise ZeroDivisionError

    suggestions = Suggestions(NAMES.__getitem__, {"broken": Broken()})
    assert completed("%%aeron\n{{broken.|", suggestions) == ["{{broken.part"]
    assert completed("%%aeron\n{{broken.part.|", suggestions) == []
