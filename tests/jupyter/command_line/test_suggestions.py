from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from aeron_magic.jupyter.command_line.spec import FORMATS, SPEC, Argument, CommandSpec
from aeron_magic.jupyter.command_line.suggestions import Completion, Suggestions

SOURCES = {"turns": lambda: ["first", "two words"], "tokens": lambda: ["9f-3a"]}
SPACE: dict[str, object] = {
    "answer": "text",
    "author": {"name": "Ada", "native town": "London", 'said "x"': 1, 3: "int"},
    "frame": pd.DataFrame({"count_of": [1], "two words": [2]}),
    "record": SimpleNamespace(inner=SimpleNamespace(deep=1), other=2),
    "_private": 1,
    "a_function": len,
    "In": [],
}

OFFERS = Suggestions(dynamic=SOURCES, namespace=lambda: SPACE)


def found(cell: str, offers: Suggestions = OFFERS) -> Completion | None:
    """What is offered at the ``|`` of ``cell``."""
    before, _, after = cell.partition("|")
    last = before.rpartition("\n")[2]
    return offers.find(before + after, before.count("\n"), len(last))


def texts(cell: str, offers: Suggestions = OFFERS) -> list[str]:
    """What the line up to the cursor would become, with each of the offers."""
    offer = found(cell, offers)
    assert offer is not None
    last = cell.partition("|")[0].rpartition("\n")[2]
    assert last.endswith(offer.fragment)
    return [last.removesuffix(offer.fragment) + choice for choice in offer.choices]


OFFERED = {
    # options
    "%%aeron --fo|": ["%%aeron --format"],
    "%%aeron --no|": ["%%aeron --no-stream", "%%aeron --no-live"],
    "%%aeron -q --ti|": ["%%aeron -q --timeout"],
    "%%aeron -q --qu|": [],
    "%%aeron --image http://a --im|": ["%%aeron --image http://a --image"],
    "%%aeron --li| -q\ntext": ["%%aeron --live"],
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
    "%%aeron --timeout |": [],
    "%%aeron --image |": [],
    # lines
    "%aeron co|": ["%aeron connect", "%aeron conversations"],
    "x = 1\n%aeron hi|": ["%aeron history"],
    "x = %aeron la|": ["x = %aeron last"],
    "%aeron connect s|": ["%aeron connect sandbox"],
    "%aeron connect |": [f"%aeron connect {name}" for name in ("sandbox", "aeronpay", "chatzy")],
    "%aeron connect sandbox |": ["%aeron connect sandbox --service"],
    "%aeron connect sandbox --service c|": ["%aeron connect sandbox --service chatzy"],
    "%aeron connect sandbox --b|": [],
    "%aeron connect aeronpay --|": ["%aeron connect aeronpay --base-url"],
    "%aeron connect --b|": ["%aeron connect --base-url"],
    "%aeron history --order |": ["%aeron history --order asc", "%aeron history --order desc"],
    "%aeron history --order asc |": [
        "%aeron history --order asc --remote",
        "%aeron history --order asc --last",
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


@pytest.mark.parametrize("cell", OFFERED)
def test_what_fits_is_offered_and_nothing_else(cell: str) -> None:
    assert texts(cell) == OFFERED[cell]


@pytest.mark.parametrize("cell", NOT_OURS)
def test_other_places_are_left_to_ipython(cell: str) -> None:
    assert found(cell) is None


def test_after_the_magics_name_everything_that_can_be_typed_is_offered() -> None:
    assert texts("%aeron |") == [f"%aeron {entry.name}" for entry in SPEC.commands]
    longs = [option.flags[-1] for option in SPEC.question.options]
    assert texts("%%aeron |") == [f"%%aeron {flag}" for flag in longs]
    assert texts("%aeron ask |") == [f"%aeron ask {flag}" for flag in longs]
    both = [flag for option in SPEC.question.options for flag in option.flags]
    assert texts("%%aeron -|") == [f"%%aeron {flag}" for flag in both]


def test_an_entry_added_to_the_table_is_offered_with_its_values() -> None:
    go = CommandSpec(
        "go", "switch", arguments=(Argument("NAME", completion_source="conversations"),)
    )
    table = SPEC._replace(commands=(*SPEC.commands, go))
    offers = Suggestions(table, {"conversations": lambda: ["mine"]})
    assert texts("%aeron g|", offers) == ["%aeron go"]
    assert texts("%aeron go |", offers) == ["%aeron go mine"]


def test_at_every_place_of_every_cell_the_fragment_ends_at_the_cursor() -> None:
    for cell in OFFERED:
        whole = cell.replace("|", "")
        for at in range(len(whole) + 1):
            if found(whole[:at] + "|" + whole[at:]) is not None:
                texts(whole[:at] + "|" + whole[at:])


def test_a_property_that_fails_offers_nothing() -> None:
    class Broken:
        @property
        def part(self) -> str:
            raise ZeroDivisionError

    offers = Suggestions(namespace=lambda: {"broken": Broken()})
    assert texts("%%aeron\n{{broken.|", offers) == ["{{broken.part"]
    assert texts("%%aeron\n{{broken.part.|", offers) == []
