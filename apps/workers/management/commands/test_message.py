"""`manage.py test_message MODEL`: ask the pool one thing and print the answer as it comes."""

import asyncio
import time
from argparse import ArgumentParser
from contextlib import aclosing

from django.core.management.base import BaseCommand, CommandError

from apps.accounts.actors import Actor
from apps.core.errors import SiteError
from apps.workers import relay
from apps.workers.call import Call
from apps.workers.fairness import Place


class Command(BaseCommand):
    help = "Send one message through queue and dispatch to a worker, and print the answer and how long it took."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model")
        parser.add_argument("--message", default="Tell me a story with more than 1000 words.")
        parser.add_argument("--max-tokens", type=int, default=32)

    def handle(self, *args: object, **options: object) -> None:
        body = {
            "messages": [{"role": "user", "content": str(options["message"])}],
            "max_tokens": int(str(options["max_tokens"])),
            "temperature": 0,
        }
        try:
            asyncio.run(
                self._ask(Call(Actor(is_installation=True), str(options["model"]), body, on_place=self._waiting))
            )
        except SiteError as exc:
            raise CommandError(exc.message) from exc

    async def _ask(self, call: Call) -> None:
        started, first = time.monotonic(), None
        async with aclosing(relay.generate(call)) as events:
            async for event in events:
                if event.text:
                    first = first or time.monotonic()
                    self.stdout.write(event.text, ending="")
                    self.stdout.flush()
        self.stdout.write("")
        ttft = "no text came" if first is None else f"first text after {first - started:.2f} s"
        self.stderr.write(f"{ttft}, the end after {time.monotonic() - started:.2f} s")

    async def _waiting(self, place: Place) -> None:
        time_left = "" if place.eta_s is None else f", about {place.eta_s:.0f} s"
        self.stderr.write(f"waiting: place {place.number}{time_left}")
