"""`make bench-web`: how long the pages take, on the server and in a browser, for chats and histories of any length.

One run on a site with a database of its own, medians of rounds; each figure a JSON line. The parts, all by default:

`open`: chats of 10, 500 and 5,000 messages, and one in a history of 100,000: the server's time, the page's size,
queries, and the time until a person can write in chromium.
`pages`: a new chat and the list of all chats with 100,000 in the history, a search in it, a leaderboard of 100 models.
`typing`: in a chat of 500 messages, from a key to the frame that shows it, and the longest task of the page's thread
while somebody types, pastes the longest text that is let in, and pastes 1 MB, which is not.

Browser, site and Postgres share the cores. It takes about five minutes.
"""

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path
from time import perf_counter

import httpx
from playwright.sync_api import Browser

from benchmarks.comparison import print_lines
from benchmarks.gateway_servers import Site, manage, scripted_site
from benchmarks.report import Figure, middle, percentile
from benchmarks.serving import choice
from benchmarks.web_browser import browser_started, copied, key_times_ms, longest_task_ms, pasted, tab, usable_after_ms

PARTS = ("open", "pages", "typing")
LENGTHS = (10, 500, 5_000)
TYPED_IN = 500
HISTORY = 100_000
PREPARE = "from benchmarks.web_data import prepare; prepare({lengths}, {n_history})"
FRAME_MS, TASK_MS = 50.0, 50.0
"""A key that is shown within this feels instant, and a task no longer than this lets it be. Source: web.dev, "RAIL"."""
USABLE_MS = {10: 1000.0, 500: 1000.0}
LEADERBOARD_MS = 50.0
"""Source of both: what this project set out to reach."""
LONGEST_PASTE_CHARS, MEGABYTE = 190_000, 2**20


def main() -> int:
    options = _options()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    machine, load = platform.processor() or platform.machine(), os.getloadavg()[0]
    print(f"# {machine}, {os.cpu_count()} cores, load {load:.2f}, {options.rounds} rounds", flush=True)
    with tempfile.TemporaryDirectory(prefix="fastchat-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with scripted_site(folder) as site, browser_started() as browser:
            prepared = PREPARE.format(lengths=LENGTHS, n_history=options.history)
            told = manage(site.data_dir, "shell", "--no-imports", "--command", prepared)
            Measured(site, browser, json.loads(told.splitlines()[-1]), options).all()
    return 0


class Measured:
    """The parts of one run. `data` is what `web_data.Data` says, as JSON has it."""

    def __init__(self, site: Site, browser: Browser, data: dict, options: argparse.Namespace) -> None:  # type: ignore[type-arg]
        self._site, self._browser, self._data, self._options = site, browser, data, options
        self._chats = {int(length): path for length, path in data["chats"].items()}

    def all(self) -> None:
        if "open" in self._options.only:
            for length in LENGTHS:
                self._opened(f"web.chat.{length}", self._chats[length], self._data["session"], USABLE_MS.get(length))
            self._opened(f"web.history.{self._options.history}", self._chats[0], self._data["collector"], 1000.0)
        if "pages" in self._options.only:
            collector = self._data["collector"]
            for name, page in (("new_chat", "/chat"), ("all_chats", "/chats"), ("search", "/chats/search?q=number+77")):
                self._served(f"web.history.{self._options.history}.{name}", page, collector)
            self._served("web.leaderboard", "/leaderboard", self._data["session"], LEADERBOARD_MS)
        if "typing" in self._options.only:
            self._typed(self._chats[TYPED_IN])

    def _opened(self, name: str, page: str, session: str, usable_ms: float | None) -> None:
        self._served(name, page, session)
        with tab(self._browser, self._site.gateway.url, session) as opened:
            address = self._site.gateway.url + page
            usable_after_ms(opened, address)  # what a browser caches
            times = [usable_after_ms(opened, address) for _ in range(self._options.rounds)]
        print_lines([Figure(f"{name}.usable", middle(times), "ms", None, usable_ms, True)])

    def _served(self, name: str, page: str, session: str, target_ms: float | None = None) -> None:
        times, n_bytes = [], 0
        with closing(httpx.Client(cookies={"sessionid": session}, trust_env=False, timeout=120)) as client:
            client.get(self._site.gateway.url + page).raise_for_status()
            for _ in range(self._options.rounds):
                began = perf_counter()
                reply = client.get(self._site.gateway.url + page).raise_for_status()
                times.append(1000 * (perf_counter() - began))
                n_bytes = len(reply.content)
        lines = [
            Figure(f"{name}.server", middle(times), "ms", None, target_ms, True),
            Figure(f"{name}.size", n_bytes / 1024, "KiB"),
        ]
        if page in self._data["queries"]:
            lines.append(Figure(f"{name}.queries", self._data["queries"][page], "queries"))
        print_lines(lines)

    def _typed(self, page: str) -> None:
        name = f"web.chat.{TYPED_IN}"
        with tab(self._browser, self._site.gateway.url, self._data["session"]) as opened:
            usable_after_ms(opened, self._site.gateway.url + page)
            key_times_ms(opened)  # warm
            times: list[float] = []
            task = partial(longest_task_ms, self._browser, opened)
            lines = [Figure(f"{name}.typing.longest_task", task(lambda: times.extend(key_times_ms(opened))), "ms")]
            lines.append(Figure(f"{name}.key_p50", percentile(times, 0.5), "ms", None, None, True))
            lines.append(Figure(f"{name}.key_p95", percentile(times, 0.95), "ms", None, FRAME_MS, True))
            for size, n_chars in (("longest", LONGEST_PASTE_CHARS), ("1mb", MEGABYTE)):
                opened.fill("#composer-text", "")
                copied(opened, ("word " * (n_chars // 5 + 1))[:n_chars])
                took = task(partial(pasted, opened))
                lines.append(Figure(f"{name}.paste_{size}.longest_task", took, "ms", None, 2 * TASK_MS, True))
        print_lines(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-web ARGS=...", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=choice(PARTS), default=PARTS, help="parts, such as open,typing")
    parser.add_argument("--rounds", type=int, default=5, help="medians are printed (%(default)s)")
    parser.add_argument("--history", type=int, default=HISTORY, help="chats in the long history (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
