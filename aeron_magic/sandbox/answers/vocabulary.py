"""The words of a question: notation spelt out, synonyms made one, empty words known."""

from __future__ import annotations

import re

__all__ = ["STOP_WORDS", "tokenize"]

_SAY_NOTHING = """
    a about actually aeron aeronmagic all also am an and another any anything are as at be been
    being but by came can cannot could did do does doing done dont else ever explain for from get
    gets getting give go goes going got had happen happened happens has have having he help her
    here him his how i if im in into is isnt it its just kind know let lets like made make makes
    making may maybe me mean means might more most much must my need needs no not now of off on
    once only or other our out own please possible really say seem shall she should show so some
    something still such tell than thank thanks that the their them then there these they thing
    things this those through to too up us use used uses using very want was way ways we well
    were what when where which who why will with work works would yes you your
"""
STOP_WORDS = frozenset(_SAY_NOTHING.split())

# Each line: the word that stands for all of them, then the others.
_SYNONYMS = """
    reply answer answers answered replies response responses
    question prompt prompts questions query queries
    conversation chat chatting chats conversations dialogue dialog talk discussion thread session
    lost disconnect disconnected disconnects lose loses dropped drops
    picture image images pictures photo photos screenshot figure diagram png jpg jpeg
    stop cancel abort halt kill quit terminate
    save store stored storing saved saving keep kept
    earlier previous past prior older old
    error errors problem problems failure failures issue trouble broke
    dataframe df pandas frame
    variable var variables
    many several multiple lots bulk hundreds thousands dozens
    delete remove erase wipe discard
    restart reboot restarted restarting
    password credentials credential passwords key keys
    computer machine machines computers laptop
    network internet wifi online
    show display print see view displayed shown
    begin start starts started starting beginning begins
    new fresh anew
    address url addresses urls host
    option flag flags options switch switches parameter parameters argument arguments
    setting settings configuration config configure configured configurable preference preferences
    same identical
    fetch retrieve
    script scripts program programs application app
    name named naming names label labels
    piece pieces chunk chunks
    quick fast
    parallel concurrent concurrently simultaneous simultaneously simultaneous
    graphical ui gui interface
    export exported convert
    retry retries repeat repeated resend
    document documents
    cost costs charged charge pay paid billed price expensive money
    turn turns
    continue continuing carry proceed
    twice again
"""
_ONE = {
    word: group[0]
    for group in (line.split() for line in _SYNONYMS.strip().splitlines())
    for word in group[1:]
}

_NOTATION = (
    (re.compile(r"%%\s*aeron"), " cellmagicsign "),
    (re.compile(r"\{\{|\}\}"), " doublebraces "),
    (re.compile(r"(?<![\w-])--?([a-z][a-z-]*)"), r" option\1 \1 "),
    (re.compile(r"\bf[- ]strings?\b"), " fstring "),
    (re.compile(r"\btime[- ]?outs?\b", re.IGNORECASE), " timeout "),
    (re.compile(r"\bre-(?=run|exec|start|send|sent|open)", re.IGNORECASE), "re"),
    (re.compile(r"\b(?:switch|turn)(?:ed|ing)?((?: \w+){0,2}) off\b"), r" disable \1 "),
    (re.compile(r"\b(?:switch|change|move)(?=(?: \w+)? (?:between|to|from)\b)"), " change "),
    (re.compile(r"\bdata[- ]frames?\b"), " dataframe "),
    (re.compile(r"\b(?:what|how|that|it|there|who|where|let)'s\b|n't\b|'(?:re|ve|ll|d|m)\b"), " "),
)
_CAMEL = re.compile(r"\b(?:[A-Z][a-z]+){2,}\b")


def tokenize(text: str) -> list[str]:
    """The words of a text for indexing and asking, in order.

    Parameters
    ----------
    text
        Prose with the notation of the product in it.
    """
    text = _CAMEL.sub(lambda m: " ".join([m[0], *re.findall("[A-Z][a-z]+", m[0])]), text)
    for pattern, word in _NOTATION:
        text = pattern.sub(word, text)
    found = re.findall(r"[a-z0-9]+", text.lower().replace("_", " "))
    return [_ONE.get(word, word) for word in found]
