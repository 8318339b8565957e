"""A page in Debian's chromium, measured from the inside: until it can be used, and how long its one thread is held up.

Source: Chromium, "The Trace Event Profiling Tool": each task of a thread is a `RunTask` event in the category
`toplevel`, with its duration in microseconds.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
USABLE = "() => document.querySelector('#composer-text')?.style.height"
"""The page's script has run: the message box is as high as its text, and everything listens."""
WAIT_MS = 300_000
KEYS = "the quick brown fox jumps over the lazy dog and "

# From the key to the frame that shows it: the callback of a frame runs before it is painted, a message's after that.
WATCH_KEYS = """() => {
  window.keyTimes = [];
  document.querySelector("#composer-text").addEventListener("keydown", (event) => {
    const began = event.timeStamp;
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => window.keyTimes.push(performance.now() - began);
      channel.port2.postMessage(0);
    });
  });
}"""


@contextmanager
def browser_started() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(browser: Browser, url: str, session: str) -> Iterator[Page]:
    """A tab of whoever has this session."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    try:
        yield page
    finally:
        context.close()


def usable_after_ms(page: Page, address: str) -> float:
    """From the click to a chat that is shown whole and takes keys; what a browser caches is there already."""
    began = perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_function(USABLE)
    return 1000 * (perf_counter() - began)


def key_times_ms(page: Page) -> list[float]:
    """From each of some keys to the frame that shows it."""
    page.evaluate(WATCH_KEYS)
    page.focus("#composer-text")
    page.keyboard.type(KEYS, delay=20)
    page.wait_for_function("n => window.keyTimes.length >= n", arg=len(KEYS))
    times: list[float] = page.evaluate("window.keyTimes")
    return times


def copied(page: Page, text: str) -> None:
    """Put it on the clipboard, and the focus into the message box."""
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    page.focus("#composer-text")


def pasted(page: Page) -> None:
    """As a person does, with the keys for it, up to the frame that shows it."""
    page.keyboard.press("Control+V")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")


def longest_task_ms(browser: Browser, page: Page, act: Callable[[], Any]) -> float:
    """Of the tasks that the page's main thread does while `act` runs."""
    browser.start_tracing(page=page, categories=["toplevel", "__metadata"])
    try:
        act()
    finally:
        trace = browser.stop_tracing()
    return longest_of(json.loads(trace)["traceEvents"], page_pid(browser, page))


def page_pid(browser: Browser, page: Page) -> int:
    """The process that renders the page: the busiest one, in a browser with one tab."""
    session = browser.new_browser_cdp_session()
    found = [one for one in session.send("SystemInfo.getProcessInfo")["processInfo"] if one["type"] == "renderer"]
    session.detach()
    return int(max(found, key=lambda one: float(one["cpuTime"]))["id"])


def longest_of(events: list[dict[str, Any]], pid: int) -> float:
    """Milliseconds. Raises: ValueError when the trace has no task of that process's main thread."""
    names = {(event["pid"], event["tid"]): event["args"]["name"] for event in events if event["name"] == "thread_name"}
    return max(
        float(event["dur"]) / 1000
        for event in events
        if event["name"].endswith("RunTask")
        and event["pid"] == pid
        and names.get((pid, event["tid"])) == "CrRendererMain"
        and "dur" in event
    )
