"""What a web page can do to a running sandbox: nothing, even if it knows the secret address."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext

from aeron_magic.sandbox import Faults, Sandbox

pytestmark = pytest.mark.browser


@pytest.fixture
def running() -> Iterator[Sandbox]:
    with Sandbox(faults=Faults(say="Hello."), control=True) as sandbox:
        yield sandbox


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser profile without anything of Jupyter."""
    context = chromium.new_context()
    yield context
    context.close()


ATTACK = """async (at) => {
  const evil = JSON.stringify({say: 'evil'});
  const read = [];
  const attempt = async (url, options) => {
    try {
      read.push(await (await fetch(url, options)).text());
    } catch {}
  };
  for (const url of at.urls) {
    for (const type of ['text/plain', 'text/plain; x=application/json', 'application/json']) {
      const options = {method: 'POST', body: evil, headers: {'Content-Type': type}};
      for (const mode of ['cors', 'no-cors']) await attempt(url, {...options, mode});
    }
    for (const method of ['GET', 'DELETE']) await attempt(url, {method});
    await attempt(url, {mode: 'no-cors'});
    navigator.sendBeacon(url, new Blob([evil], {type: 'text/plain'}));
    const form = document.createElement('form');
    Object.assign(form, {action: url, method: 'post', enctype: 'text/plain', target: url});
    form.innerHTML = `<input name='{"say":"evil","x":"' value='"}'>`;
    const ended = [];
    for (const [tag, name] of [['iframe', 'src'], ['img', 'src'], ['script', 'src']]) {
      const element = Object.assign(document.createElement(tag), {[name]: url});
      ended.push(new Promise((done) => (element.onload = element.onerror = done)));
      document.body.append(element);
    }
    await Promise.all(ended);
    const frame = Object.assign(document.createElement('iframe'), {name: url});
    document.body.append(frame, form);
    ended.push(new Promise((done) => (frame.onload = done)));
    form.submit();
    await ended.at(-1);
  }
  return read.join();
}"""


def test_a_web_page_cannot_use_the_sandbox(
    visitor: BrowserContext, other_server: tuple[str, list[str]], running: Sandbox
) -> None:
    """Nothing is changed, read or served: fetch, forms, beacons, frames, images, scripts."""
    page = visitor.new_page()
    page.goto(f"{other_server[0]}/page.html")  # another port of this machine: the nearest stranger
    urls = [
        running.control_url,
        running.log_url,
        f"{running.aeronpay_url}/create-response",
        f"{running.chatzy_url}/init_conversation?chatbot_id=00000000-0000-4000-8000-000000000000",
    ]
    read = page.evaluate(ATTACK, {"urls": urls})
    assert "say" not in read
    assert running.faults == Faults(say="Hello.")
    assert not len(running.log)


def test_a_name_that_leads_to_this_machine_is_no_way_in(
    visitor: BrowserContext, running: Sandbox
) -> None:
    """The page of a rebound name is of the same origin: the server has to refuse it."""
    page = visitor.new_page()
    for url in (running.control_url, running.log_url, f"{running.aeronpay_url}/create-response"):
        answer = page.goto(url.replace("127.0.0.1", "rebound.localhost"))
        assert answer is not None
        assert answer.status == 403
        status = page.evaluate("() => fetch('', {method: 'POST'}).then((given) => given.status)")
        assert status == 403


def test_the_reader_can_look_at_the_log(visitor: BrowserContext, running: Sandbox) -> None:
    """By its printed address."""
    answer = visitor.new_page().goto(running.log_url)
    assert answer is not None
    assert json.loads(answer.body()) == []
