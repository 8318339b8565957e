"""An assistant's message that may call functions, in OpenAI's shapes.

Source: OpenAI API reference, "The chat completion chunk object": the first delta of a call has its index, id and name,
later ones fragments of its arguments.
"""

import uuid

from gpu_worker.engine.request import StepOutput
from gpu_worker.engine.token_text import TokenText
from gpu_worker.protocol import FinishReason, Json
from gpu_worker.server.choices import ChatChoice
from gpu_worker.tools.call_reader import Arguments, CallBegins, Content, Piece
from gpu_worker.tools.parser import ToolCallParser


class CallingChoice(ChatChoice):
    """Reads the calls out of what the model writes."""

    def __init__(self, index: int, parser: ToolCallParser, tokens: TokenText | None = None) -> None:
        super().__init__(index, tokens)
        self._parser = parser
        self._calls: list[Json] = []

    def deltas(self, output: StepOutput) -> list[Json]:
        pieces = self._parser.feed(output.text)
        if output.is_last:
            pieces += self._parser.flush()
        return [self._delta(piece) for piece in pieces]

    def reason(self, given: FinishReason) -> FinishReason:
        return FinishReason.TOOL_CALLS if given is FinishReason.STOP and self._calls else given

    def message(self) -> Json:
        message: Json = {"role": "assistant", "content": self.text}
        if self._calls:
            message |= {"content": self.text or None, "tool_calls": self._calls}
        return message

    def _delta(self, piece: Piece) -> Json:
        match piece:
            case Content(text):
                self._texts.append(text)
                return {"content": text}
            case CallBegins(name):
                call = {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function"}
                self._calls.append({**call, "function": {"name": name, "arguments": ""}})
                opened = {"index": len(self._calls) - 1, **call, "function": {"name": name, "arguments": ""}}
                return {"tool_calls": [opened]}
            case Arguments(text):
                self._calls[-1]["function"]["arguments"] += text
                return {"tool_calls": [{"index": len(self._calls) - 1, "function": {"arguments": text}}]}
