from __future__ import annotations

import pytest
from fresh_process import modules_after

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line import parser
from aeron_magic.jupyter.command_line.parser import (
    Command,
    Options,
    parse_command,
    parse_options,
    tokens,
)
from aeron_magic.jupyter.command_line.spec import (
    COMMANDS,
    QUESTION,
    Argument,
    CommandSpec,
    option,
)

VALID_OPTIONS = {
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
    "-o answer  # a comment": Options(out="answer"),
    "-o \N{MICRO SIGN}": Options(out="\N{GREEK SMALL LETTER MU}"),  # as Python names it
    "#": Options(),
    "-q #comment with 'one quote": Options(quiet=True),
    " -q\t-n ": Options(new=True, quiet=True),
}

INVALID_OPTIONS = {
    "--frmat text": ("has no option --frmat", "`--format`"),
    "--concurrent 3": ("has no option --concurrent", "`--concurrency`"),
    "--timeout 3": ("--timeout is not an option any more", "AeronMagics.timeout"),
    "--live": ("--live is not an option any more", "AeronMagics.live = True"),
    "--zzzzzz": ("has no option --zzzzzz", "%aeron help"),
    "-o": ("-o needs a value", "`-o NAME`"),
    "-o -q": ("-o needs a value", "`-o NAME`"),
    "-o --new=3": ("-o needs a value", "`-o NAME`"),
    "--out=": ("--out needs a value", ""),
    '--after ""': ("--after needs a value", ""),
    "-o 1st": ("-o needs the name of a variable", ""),
    "-o a.b": ("-o needs the name of a variable", ""),
    "-o class": ("-o needs another name: `class` is a keyword of Python", ""),
    "--ot x": ("has no option --ot", "`--out`"),
    "-o context_token": ("`context_token` is the conversation's own", ""),
    "-f html": ("-f must be one of markdown, text", ""),
    "-f JSON": ("-f must be one of markdown, text", "`json`"),
    "-f markdwon": ("-f must be one of markdown, text", "`markdown`"),
    "--each x --rate soon": ("--rate needs a number of requests", ""),
    "--each x --rate 0": ("--rate needs a number of requests", ""),
    "--each x --rate -5": ("--rate needs a number of requests", ""),
    "--each x --rate nan": ("--rate needs a number of requests", ""),
    "--each x --rate inf": ("--rate needs a number of requests", ""),
    "--image cat.png": ("--image needs an address without spaces that begins with http", ""),
    '--image "https://a/x y.png"': ("--image needs an address without spaces", ""),
    "--image file:///etc/passwd": (
        "--image needs an address without spaces that begins with http",
        "",
    ),
    "--image data:image/png;base64,AAAA": (
        "--image needs an address without spaces that begins with http",
        "",
    ),
    "--image http://me:pw@host/a": ("--image needs an address without a user name", ""),
    "-n --after 3": ("--new and --after contradict", "leave one of them out"),
    "-q -q": ("-q is given twice", ""),
    "-q --quiet": ("--quiet is given twice", ""),
    "--raw=yes": ("--raw takes no value", "`--raw`"),
    "hello there": ("accepts only options", "lines below"),
    "-q hello": ("accepts only options", "`%aeron ask`"),
    "connect sandbox": ("`connect` is a command of %aeron", "`%aeron connect sandbox|aeronpay"),
    '--after "open': ("A closing quote is missing", "other kind"),
    '--after "a"b': ("A space is missing after a closing quote", "in quotes"),
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
    # After `ask`, text that does not begin with a dash is the question.
    if before != "ask " or secret.startswith("-")
]

VALID_COMMANDS = {
    "": Command(""),
    "connect sandbox --service chatzy": Command(
        "connect",
        {
            "target": "sandbox",
            "service": "chatzy",
            "answers": None,
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
            "answers": None,
            "base_url": "http://[::1]:80/x",
            "chatbot_id": "1-2",
            "stream_url": "https://s",
        },
    ),
    "check a.chat.md 'b c/*.chat.md' --repeat 5 -o r d.jsonl": Command(
        "check",
        {
            "files": ("a.chat.md", "b c/*.chat.md", "d.jsonl"),
            "repeat": 5,
            "each": None,
            "against": None,
            "out": "r",
            "dry_run": False,
            "at_most": None,
        },
    ),
    "login": Command("login", {"service": None}),
    "logout chatzy": Command("logout", {"service": "chatzy"}),
    "history": Command("history", {"remote": False, "order": None, "find": None, "name": None}),
    "history --remote --order desc": Command(
        "history", {"remote": True, "order": "desc", "find": None, "name": None}
    ),
    "history --find refund 'of fees' --order asc": Command(
        "history", {"remote": False, "order": "asc", "find": "refund of fees", "name": None}
    ),
    "use": Command("use", {"name": None}),
    "use plots": Command("use", {"name": "plots"}),
    "use plots # a comment": Command("use", {"name": "plots"}),
    "use plots #a comment": Command("use", {"name": "plots"}),
    "use # list all": Command("use", {"name": None}),
    "use #1": Command("use", {"name": "#1"}),
    "use '#'": Command("use", {"name": "#"}),
    "# the status": Command(""),
    "last # --remote": Command("last", {}),
    "history --find #12 paid # both": Command(
        "history", {"remote": False, "order": None, "find": "#12 paid", "name": None}
    ),
    "record": Command("record", {"file": None}),
    "record off": Command("record", {"file": "off"}),
    "replay talk.jsonl": Command("replay", {"file": "talk.jsonl"}),
    "fetch": Command("fetch", {"token": None}),
    "fetch 9f-3a": Command("fetch", {"token": "9f-3a"}),
    "last": Command("last", {}),
    "help": Command("help", {"topic": None}),
    "help running cells again": Command("help", {"topic": "running cells again"}),
}

INVALID_COMMANDS = {
    "conect sandbox": ("no command conect", "`connect`"),
    "what is a token?": ("no command what", "`%aeron ask …`"),
    "--help": ("no command --help", "%aeron help"),
    "connect": ("%aeron connect needs sandbox or aeronpay or chatzy", "`%aeron connect "),
    "connect sandbx": ("TARGET must be one of sandbox", "`sandbox`"),
    "connect sandbox --base-url http://x": (
        "--base-url is not an option of",
        "chatzy. To a sandbox in a terminal: `%aeron connect aeronpay --base-url http://127.",
    ),
    "connect aeronpay --service chatzy": ("--service is not an option of", "sandbox"),
    "ASK why?": ("no command ASK", "`ask`"),
    "list": ("no command list", "Did you mean `use`?"),
    "errors": ("no command errors", "Did you mean `last`?"),
    "use two words": ("Too many arguments", "in quotes"),
    "connect sandbox aeronpay": ("Too many arguments", "`%aeron connect "),
    "login aeronpay hunter2hunter2": ("Too many arguments", "`%aeron login "),
    "login hunter2hunter2": ("SERVICE must be one of aeronpay, chatzy", ""),
    "history --order up": ("--order must be one of asc, desc", ""),
    "new plots": ("new is not a command any more", "`%aeron use NAME`"),
    "conversations": ("conversations is not a command any more", "`%aeron use`"),
    "status": ("status is not a command any more", "`%aeron` alone"),
    "error": ("error is not a command any more", "`%aeron last`"),
    "record x.jsonl --mode replay": ("--mode is not an option any more", "`%aeron replay FILE`"),
    "history --find": ("--find needs a value", ""),
    "replay": ("%aeron replay needs FILE", ""),
    "ask": ("%aeron ask needs TEXT", "`%aeron ask [options] TEXT`"),
    "ask -q --": ("%aeron ask needs TEXT", "`%aeron ask [options] TEXT`"),
    "ask --qiet why?": ("%aeron ask has no option --qiet", "write `--`"),
    "ask why? -o answer": ("-o is after it", "`%aeron ask -o … TEXT`"),
    "ask why? -f json --quiet": ("-f is after it", "`%aeron ask -- TEXT`"),
    "ask Don't -q stop --as 'new name'": ("text, and --as is after it", "`%aeron ask --as … TEXT`"),
    "ask why? --each rows --columns 'a: int'": ("--each is after it", ""),
}

QUESTIONS = {
    "ask What's a token?": ("What's a token?", Options()),
    'ask "two" words\\n {{x}} {y}': ('"two" words\\n {{x}} {y}', Options()),
    "ask -q  --after 'turn 1'  hello   world ": (
        "hello   world ",
        Options(quiet=True, after="turn 1"),
    ),
    "ask hello -q": ("hello -q", Options()),
    "ask What does gcc -o do?": ("What does gcc -o do?", Options()),
    "ask What is pip --quiet for?": ("What is pip --quiet for?", Options()),
    "ask Explain cut -f 1": ("Explain cut -f 1", Options()),
    "ask Explain tar -c": ("Explain tar -c", Options()),
    "ask -- Explain gcc -o prog": ("Explain gcc -o prog", Options()),
    "ask # Title": ("# Title", Options()),
    "ask -q what # not a comment": ("what # not a comment", Options(quiet=True)),
    "ask -- -q": ("-q", Options()),
    "ask -5 degrees, is that cold?": ("-5 degrees, is that cold?", Options()),
    "ask What does client_secret=x mean?": ("What does client_secret=x mean?", Options()),
}


def rejected(line: str) -> UsageError:
    """The error for a line that begins with %%aeron, or for the rest of an %aeron line."""
    with pytest.raises(UsageError) as caught:
        parse_options(line[7:]) if line.startswith("%%aeron") else parse_command(line)
    return caught.value


def test_valid_options_are_parsed() -> None:
    for line, options in VALID_OPTIONS.items():
        assert parse_options(line) == options, line


def test_another_word_has_no_similar_option() -> None:
    """Hyphens do not make it similar."""
    for word in ("--bogus", "--zzzzzz"):
        assert "Did you mean" not in rejected(f"%%aeron -o x {word}").hint


def test_invalid_options_are_rejected_with_the_cause_and_a_remedy() -> None:
    for line, (message, hint) in INVALID_OPTIONS.items():
        error = rejected(f"%%aeron {line}")
        assert message in str(error), line
        assert hint in error.hint, line


def test_a_secret_on_a_line_is_rejected_and_not_repeated() -> None:
    for line in SECRETS:
        error = rejected(line)
        assert error.message == "A secret is never accepted on a magic line.", line
        assert "%aeron login" in error.hint
        assert "hunter2" not in "".join(error.lines()), line


def test_valid_commands_are_parsed() -> None:
    for line, command in VALID_COMMANDS.items():
        assert parse_command(line) == command, line


def test_invalid_commands_are_rejected_with_the_cause_and_a_remedy() -> None:
    for line, (message, hint) in INVALID_COMMANDS.items():
        error = rejected(line)
        assert message in str(error), line
        assert hint in error.hint, line
        assert "hunter2" not in "".join(error.lines()), line


def test_the_text_of_a_question_is_verbatim_after_its_options() -> None:
    for line, question in QUESTIONS.items():
        command = parse_command(line)
        assert (command["text"], command.options) == question, line


def test_an_entry_in_commands_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    rejected("write x.md")
    write = CommandSpec("write", "write a file", (Argument("FILE", required=True),))
    monkeypatch.setitem(COMMANDS, "write", write)
    for path in ('"C:\\My Notes\\new.md"', "C:\\notes\\new.md", "'it \"is\".md'"):
        assert parse_command(f"write {path}")["file"] == path.strip("\"'")


def test_an_option_of_a_question_is_valid_in_a_cell_and_on_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert COMMANDS["ask"].options is QUESTION.options
    rejected("%%aeron --label x")
    label = option("--label NAME", "name this turn", dest="as_")
    monkeypatch.setattr(parser, "QUESTION", QUESTION._replace(options=(label,)))
    monkeypatch.setitem(COMMANDS, "ask", COMMANDS["ask"]._replace(options=(label,)))
    assert parse_options('--label "two words"').as_ == "two words"
    assert parse_command("ask --label=x why?").options == Options(as_="x")


def test_the_options_of_a_question_are_the_fields_of_options() -> None:
    given = {option.dest: option.default for option in QUESTION.options}
    given["format"] = ""
    assert Options(**given) == Options()  # type: ignore[arg-type]


def test_a_token_has_its_position_in_the_line() -> None:
    line = '  --after="two wor'
    (token,) = tokens(line)
    assert (token.flag, token.text, token.closed) == ("--after", "two wor", False)
    assert line[token.start :] == '--after="two wor'
    assert line[token.text_start :] == "two wor"
    assert list(tokens("a  ", 1)) == []


def test_the_parser_imports_neither_ipython_nor_the_http_library() -> None:
    found = modules_after("import aeron_magic.jupyter.command_line.parser")
    assert not found & {"IPython", "httpx"}
