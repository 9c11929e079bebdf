from __future__ import annotations

from collections.abc import Iterator

import pytest
from fresh_process import printed
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from live_kernel import Kernel

from aeron_magic.jupyter.completer import register, unregister


@pytest.fixture
def ip(plain_shell: InteractiveShell) -> Iterator[InteractiveShell]:
    plain_shell.user_ns.update(answer="text", author={"name": "Ada"})
    register(plain_shell, {"turns": ["two words"]}.__getitem__)
    yield plain_shell
    unregister(plain_shell)


def completed(ip: InteractiveShell, cell: str) -> list[str]:
    with provisionalcompleter():
        return [one.text for one in ip.Completer.completions(cell, len(cell))]


IN_IPYTHON = {
    "%%aeron --fo": ["--format"],
    "%%aeron -f ": ["markdown", "text", "json", "table", "code"],
    "%aeron connect s": ["sandbox"],
    '%%aeron --after "tw': ["two words"],
    "%%aeron\nWhat does pri": [],
    "%%aeron\nWhat is \\alph": [],
    "%%aeron\nWhat does ": [],
    "%%aeron\nos.": [],
    "%%aeron\nIs {{answ": ["answer"],
    '%%aeron\nIs {{author["nam': ['"name"]'],
}


def test_ipython_shows_our_completions_and_no_python_names(ip: InteractiveShell) -> None:
    for cell, choices in IN_IPYTHON.items():
        assert completed(ip, cell) == choices, cell


def test_elsewhere_ipython_completes_as_before(ip: InteractiveShell) -> None:
    ip.Completer.use_jedi = False
    assert "print" in completed(ip, "pri")
    assert completed(ip, "answ") == ["answer"]


def test_the_older_interface_of_ipython_works(ip: InteractiveShell) -> None:
    with pytest.warns(PendingDeprecationWarning):
        assert ip.complete("", "%aeron connect s", 16) == ("s", ["sandbox"])


def test_registering_twice_is_undone_by_unregistering_once(ip: InteractiveShell) -> None:
    register(ip, list)
    assert completed(ip, "%aeron connect s") == ["sandbox"]
    unregister(ip)
    assert ip.Completer.custom_matchers == []
    assert completed(ip, "%%aeron\npri") != []


def test_the_module_and_a_completion_elsewhere_import_nothing_else() -> None:
    code = (
        "import sys, ipykernel.ipkernel\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "ip = InteractiveShell(); ip.Completer.use_jedi = False; ip.complete('pri')\n"
        "before = set(sys.modules)\n"
        "from aeron_magic.jupyter.completer import register\n"
        "register(ip, list); ip.complete('pri')\n"
        "print(sorted(set(sys.modules) - before))"
    )
    ours = ["aeron_magic", "aeron_magic.jupyter", "aeron_magic.jupyter.completer"]
    assert printed(code).strip() == str(ours)


@pytest.mark.jupyter
def test_a_real_kernel_answers_a_complete_request(kernel: Kernel) -> None:
    kernel.execute("answer = 1")
    cases = {
        "%%aeron --fo": ("--fo", ["--format"]),
        "%%aeron\npri": ("", []),
        "%%aeron\n{{answ": ("answ", ["answer"]),
    }
    for cell, (fragment, matches) in cases.items():
        content = kernel.complete(cell)
        assert content["matches"] == matches
        assert cell[content["cursor_start"] :] == fragment
