"""A page as the contract of the chat socket sees it: sends frames, and shows what it is told to show."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from uuid import uuid4

from channels.testing import WebsocketCommunicator

from tests.socket_page import Frame, SocketPage, open_socket_page

ENDS = ("complete", "stopped", "failed")


@dataclass
class ShownAnswer:
    """What a page shows of one answer, put together as docs/chat_socket.md says."""

    state: str = ""
    blocks: list[str] = field(default_factory=list)
    tail: str = ""
    end: Frame | None = None
    n_snapshots: int = 0

    def apply(self, frame: Frame) -> None:
        assert self.end is None or frame["type"] == "generation.snapshot", f"{frame['type']} after the end"
        match frame["type"]:
            case "generation.snapshot":
                self.state, self.blocks, self.tail = frame["state"], list(frame["blocks"]), frame["tail"]
                self.n_snapshots += 1
                self.end = None
            case "generation.delta":
                assert self.n_snapshots, "a delta before the snapshot"
                assert frame["text"], "an empty delta"
                self.tail += frame["text"]
            case "generation.blocks":
                assert self.n_snapshots, "blocks before the snapshot"
                self.blocks += frame["blocks"]
                self.tail = frame["tail"]
            case "generation.end":
                assert frame["state"] in ENDS
                assert not self.tail, "a tail at the end"
                self.state, self.end = frame["state"], frame

    @property
    def html(self) -> str:
        return "".join(self.blocks)


class Page(SocketPage):
    """Frames of answers are applied to `answers`; all others are only returned."""

    REFUSED = "turn.refused"

    def __init__(self, communicator: WebsocketCommunicator) -> None:
        super().__init__(communicator)
        self.answers: dict[str, ShownAnswer] = {}

    def apply(self, text: str, frame: Frame) -> None:
        if frame["type"].startswith("generation."):
            self.answers.setdefault(frame["generation"], ShownAnswer()).apply(frame)

    async def until_shown(self, generation: str, text: str) -> ShownAnswer:
        """Read on until the answer shows this text in its tail or blocks."""
        answer = self.answers.setdefault(generation, ShownAnswer())
        while text not in answer.tail + answer.html:
            await self.next()
        return answer

    async def until_end(self, generation: str) -> ShownAnswer:
        answer = self.answers.setdefault(generation, ShownAnswer())
        while answer.end is None:
            await self.next()
        return answer

    async def ask(self, text: str, *, conversation: str | None = None, model: str = "scripted") -> Frame:
        """Send a turn and return how it was accepted."""
        ref = uuid4().hex
        await self.send({"type": "turn.send", "ref": ref, "conversation": conversation, "model": model, "text": text})
        accepted = await self.until("turn.accepted")
        assert accepted["ref"] == ref
        return accepted

    async def attach(self, generation: str) -> None:
        """Follow an answer from a snapshot on."""
        self.answers.pop(generation, None)
        await self.send({"type": "generation.attach", "generation": generation})


def open_page(cookies: dict[str, str], origin: str = "http://localhost") -> AbstractAsyncContextManager[Page]:
    return open_socket_page(Page, "/ws/chat", cookies, origin)
