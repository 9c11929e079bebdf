from __future__ import annotations

import pytest
from fresh_process import modules_after

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line.parser import (
    Command,
    Options,
    next_token,
    parse_command,
    parse_options,
)
from aeron_magic.jupyter.command_line.spec import SPEC, Argument, CommandSpec, Option

GOOD_OPTIONS = {
    "": Options(),
    "   ": Options(),
    "-o answer": Options(out="answer"),
    "--out answer": Options(out="answer"),
    "--out=answer": Options(out="answer"),
    '--out="answer"': Options(out="answer"),
    "-f text": Options(format="text"),
    "--format markdown": Options(format="markdown"),
    "-n": Options(new=True),
    "--new -q": Options(new=True, quiet=True),
    "--after 3": Options(after="3"),
    "--after -3": Options(after="-3"),
    '--after "two words"': Options(after="two words"),
    "--after 'say \"hi\"'": Options(after='say "hi"'),
    "--after don't": Options(after="don't"),
    "--after C:\\new\\turn": Options(after="C:\\new\\turn"),
    '--after "-n"': Options(after="-n"),
    "--after=-n": Options(after="-n"),
    "--image http://a/1.png --image=HTTPS://b/2?x=1&y": Options(
        images=("http://a/1.png", "HTTPS://b/2?x=1&y")
    ),
    "--no-stream --raw --dry-run": Options(stream=False, raw=True, dry_run=True),
    "--timeout 2.5": Options(timeout=2.5),
    "--live": Options(live=True),
    "--no-live": Options(live=False),
    " -q\t-n ": Options(new=True, quiet=True),
}

BAD_OPTIONS = {
    "--frmat text": ("has no option --frmat", "`--format`"),
    "--time 3": ("has no option --time", "`--timeout`"),
    "--zzzzzz": ("has no option --zzzzzz", "%aeron help"),
    "-o": ("-o needs a value", "`-o NAME`"),
    "-o -q": ("-o needs a value", "`-o NAME`"),
    "-o --new=3": ("-o needs a value", "`-o NAME`"),
    "--out=": ("--out needs a value", ""),
    '--after ""': ("--after needs a value", ""),
    "-o 1st": ("-o needs the name of a variable", ""),
    "-o a.b": ("-o needs the name of a variable", ""),
    "-o class": ("-o needs the name of a variable", ""),
    "-o context_token": ("`context_token` is the conversation's own", ""),
    "-f html": ("-f is one of markdown, text", ""),
    "-f markdwon": ("-f is one of markdown, text", "`markdown`"),
    "--timeout soon": ("--timeout needs a number of seconds", ""),
    "--timeout 0": ("--timeout needs a number of seconds", ""),
    "--timeout -5": ("--timeout needs a number of seconds", ""),
    "--timeout nan": ("--timeout needs a number of seconds", ""),
    "--timeout inf": ("--timeout needs a number of seconds", ""),
    "--image cat.png": ("--image needs an address that begins with http", ""),
    "--image file:///etc/passwd": ("--image needs an address that begins with http", ""),
    "--image data:image/png;base64,AAAA": ("--image needs an address that begins with http", ""),
    "--image http://me:pw@host/a": ("--image needs an address without a user name", ""),
    "-n --after 3": ("--new and --after contradict", "leave one of them out"),
    "-q -q": ("-q is given twice", ""),
    "-q --quiet": ("--quiet is given twice", ""),
    "--live --no-live": ("--no-live and --live contradict", ""),
    "--raw=yes": ("--raw takes no value", "`--raw`"),
    "hello there": ("takes options only", "lines below"),
    "-q hello": ("takes options only", "`%aeron ask`"),
    "connect sandbox": ("`connect` is a command of %aeron", "`%aeron connect sandbox|aeronpay"),
    '--after "open': ("A quote is never closed", "other kind"),
    '--after "a"b': ("A blank is missing after a closing quote", "in quotes"),
}

SECRETS = [
    before + secret
    for secret in (
        "--client-secret hunter2hunter2",
        "--client-secret=hunter2hunter2",
        "--client_secret:hunter2hunter2",
        "client_secret=hunter2hunter2",
        "--password hunter2hunter2",
        "--aeron-api-key=hunter2hunter2",
        "--client-id hunter2hunter2",
        "--access-token hunter2hunter2",
    )
    for before in ("%%aeron ", "connect aeronpay ", "ask ", "login ", "")
    # After `ask`, words that do not begin with a dash are the question.
    if before != "ask " or secret.startswith("-")
]

GOOD_COMMANDS = {
    "": Command("status"),
    "status": Command("status"),
    "connect sandbox --service chatzy": Command(
        "connect",
        {
            "target": "sandbox",
            "service": "chatzy",
            "base_url": None,
            "chatbot_id": None,
            "stream_url": None,
        },
    ),
    "connect --base-url http://[::1]:80/x chatzy --chatbot-id 1-2 --stream-url=https://s": Command(
        "connect",
        {
            "target": "chatzy",
            "service": None,
            "base_url": "http://[::1]:80/x",
            "chatbot_id": "1-2",
            "stream_url": "https://s",
        },
    ),
    "login": Command("login", {"service": None}),
    "logout chatzy": Command("logout", {"service": "chatzy"}),
    "history": Command("history", {"remote": False, "order": None, "last": None, "name": None}),
    "history --remote --order desc": Command(
        "history", {"remote": True, "order": "desc", "last": None, "name": None}
    ),
    "fetch": Command("fetch", {"token": None}),
    "fetch 9f-3a": Command("fetch", {"token": "9f-3a"}),
    "last": Command("last", {}),
    "error": Command("error", {}),
    "help": Command("help", {}),
}

BAD_COMMANDS = {
    "conect sandbox": ("no command conect", "`connect`"),
    "what is a token?": ("no command what", "`%aeron ask …`"),
    "--help": ("no command --help", "%aeron help"),
    "connect": ("%aeron connect needs sandbox or aeronpay or chatzy", "`%aeron connect "),
    "connect sandbx": ("TARGET is one of sandbox", "`sandbox`"),
    "connect sandbox --base-url http://x": ("--base-url does not belong", "aeronpay or chatzy"),
    "connect aeronpay --service chatzy": ("--service does not belong", "sandbox"),
    "connect sandbox aeronpay": ("too much on the line", "`%aeron connect "),
    "login aeronpay hunter2hunter2": ("too much on the line", "`%aeron login "),
    "login hunter2hunter2": ("SERVICE is one of aeronpay, chatzy", ""),
    "history --order up": ("--order is one of asc, desc", ""),
    "ask": ("%aeron ask needs TEXT", "`%aeron ask [options] TEXT`"),
    "ask -q --": ("%aeron ask needs TEXT", "`%aeron ask [options] TEXT`"),
    "ask --qiet why?": ("%aeron ask has no option --qiet", "write `--`"),
}

ASKED = {
    "ask What's a token?": ("What's a token?", Options()),
    'ask "two" words\\n {{x}} {y}': ('"two" words\\n {{x}} {y}', Options()),
    "ask -q  --after 'turn 1'  hello   world ": (
        "hello   world ",
        Options(quiet=True, after="turn 1"),
    ),
    "ask hello -q": ("hello -q", Options()),
    "ask -- -q": ("-q", Options()),
    "ask -5 degrees, is that cold?": ("-5 degrees, is that cold?", Options()),
    "ask What does client_secret=x mean?": ("What does client_secret=x mean?", Options()),
}


@pytest.mark.parametrize("line", GOOD_OPTIONS)
def test_a_good_line_becomes_its_options(line: str) -> None:
    assert parse_options(line) == GOOD_OPTIONS[line]


@pytest.mark.parametrize("line", BAD_OPTIONS)
def test_a_bad_line_is_refused_with_what_is_wrong_and_a_remedy(line: str) -> None:
    message, hint = BAD_OPTIONS[line]
    with pytest.raises(UsageError) as caught:
        parse_options(line)
    assert message in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize("line", SECRETS)
def test_a_secret_on_a_line_is_refused_and_never_repeated(line: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_options(line[7:]) if line.startswith("%%aeron") else parse_command(line)
    assert caught.value.message == "A secret is never accepted on a magic line."
    assert "%aeron login" in caught.value.hint
    assert "hunter2" not in "".join(caught.value.lines())


@pytest.mark.parametrize("line", GOOD_COMMANDS)
def test_a_good_line_becomes_its_command(line: str) -> None:
    assert parse_command(line) == GOOD_COMMANDS[line]


@pytest.mark.parametrize("line", BAD_COMMANDS)
def test_a_bad_command_is_refused_with_what_is_wrong_and_a_remedy(line: str) -> None:
    message, hint = BAD_COMMANDS[line]
    with pytest.raises(UsageError) as caught:
        parse_command(line)
    assert message in str(caught.value)
    assert hint in caught.value.hint
    assert "hunter2" not in "".join(caught.value.lines())


@pytest.mark.parametrize("line", ASKED)
def test_the_text_of_a_question_is_verbatim_after_its_options(line: str) -> None:
    command = parse_command(line)
    assert (command["text"], command.options) == ASKED[line]


def test_one_entry_in_the_table_is_a_command() -> None:
    write = CommandSpec("write", "write a file", arguments=(Argument("FILE", required=True),))
    table = SPEC._replace(commands=(*SPEC.commands, write))
    for path in ('"C:\\My Notes\\new.md"', "C:\\notes\\new.md", "'it \"is\".md'"):
        assert parse_command(f"write {path}", table)["file"] == path.strip("\"'")
    with pytest.raises(UsageError, match="no command write"):
        parse_command("write x.md")


def test_one_entry_in_the_table_is_an_option_of_cell_and_line() -> None:
    name = Option(("--label",), "as_", "name this turn", "NAME")
    ask = SPEC.by_name["ask"]._replace(options=(name,))
    table = SPEC._replace(question=SPEC.question._replace(options=(name,)), commands=(ask,))
    assert parse_options('--label "two words"', table).as_ == "two words"
    asked = parse_command("ask --label=x why?", table)
    assert asked.options == Options(as_="x")
    with pytest.raises(UsageError, match="no option --label"):
        parse_options("--label x")


def test_every_field_of_the_table_is_a_field_of_options() -> None:
    given = {option.dest: option.default for option in SPEC.question.options}
    given["format"] = "markdown"
    given["live"] = None
    assert Options(**given) == Options()  # type: ignore[arg-type]


def test_a_word_tells_its_place_in_the_line() -> None:
    line = '  --after="two wor'
    word = next_token(line, 0)
    assert word is not None
    assert (word.flag, word.text, word.closed) == ("--after", "two wor", False)
    assert line[word.start :] == '--after="two wor'
    assert line[word.text_start :] == "two wor"
    assert next_token("a  ", 1) is None


def test_neither_ipython_nor_the_http_library_comes_with_the_parser() -> None:
    assert not modules_after("import aeron_magic.jupyter.command_line.parser") & {
        "IPython",
        "httpx",
    }
