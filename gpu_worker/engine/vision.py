"""Models that see: the vision part turns each image into vectors, which stand where the prompt keeps places for them.

From there on an image is like text: its vectors go through the layers in chunks, its keys and values lie in the cache,
and the beginning of a prompt may be reused, as long as its images are the same. An image is looked at once for all
requests that run with it.

Positions are those of the tokens, but for the family of Qwen2-VL, where an image takes fewer than it has tokens.
"""

import inspect
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import torch

from gpu_worker.engine.lora import AdapterBank
from gpu_worker.engine.picture import Picture
from gpu_worker.engine.request import Request
from gpu_worker.engine.runner import GenericRunner


@dataclass(slots=True)
class _Seen:
    """What a running request's images are to the model."""

    places: list[int]
    """Of its prompt, in order: here stands the next vector of the images."""
    positions: torch.Tensor | None
    """`[3, prompt tokens]` for a model that has three positions for each token."""
    vectors: torch.Tensor | None = None
    """`[places, hidden]`, once they are needed: a prompt that is reused needs none."""


class VisionRunner(GenericRunner):
    """A model for text and images, and the cache of its running requests."""

    def __init__(self, model: Any) -> None:
        super().__init__(model, AdapterBank())
        self.image_token_id: int = model.config.image_token_id
        self._wanted = set(inspect.signature(model.get_image_features).parameters)
        self._rope = getattr(model.model, "get_rope_index", None)
        self._embed = model.get_input_embeddings()

    @property
    def adapters(self) -> None:
        return None

    def reset(self) -> None:
        super().reset()
        self._seen: dict[str, _Seen] = {}
        self._looked_at: WeakValueDictionary[tuple[str, ...], torch.Tensor] = WeakValueDictionary()
        """Vectors of a prompt's images while a request holds them, by digests. Nobody writes into them."""

    def add(self, requests: Sequence[Request]) -> None:
        super().add(requests)
        for request in requests:
            if request.pictures:
                self._seen[request.id] = self._find(request)

    def drop(self, request: Request, *, wipe: bool = False) -> None:
        super().drop(request, wipe=wipe)
        self._seen.pop(request.id, None)

    def _find(self, request: Request) -> _Seen:
        places = [place for place, token in enumerate(request.prompt_ids) if token == self.image_token_id]
        if self._rope is None:
            return _Seen(places, None)
        kinds = torch.zeros(len(request.prompt_ids), dtype=torch.int)
        kinds[places] = 1
        grids = torch.cat([picture.inputs["image_grid_thw"] for picture in request.pictures])
        positions, _ = self._rope(torch.tensor([request.prompt_ids]), kinds[None], image_grid_thw=grids)
        return _Seen(places, positions[:, 0].to(self.device))

    def _inputs(self, requests: Sequence[Request], starts: Sequence[int], tokens: torch.Tensor) -> dict[str, Any]:
        n_tokens = tokens.shape[1]
        found = []
        for row, (request, start) in enumerate(zip(requests, starts, strict=True)):
            seen = self._seen.get(request.id)
            if seen is None:
                continue
            first, end = (bisect_left(seen.places, at) for at in (start, start + n_tokens))
            if first < end:
                places = [at - start for at in seen.places[first:end]]
                found.append((row, places, self._vectors(request, seen)[first:end]))
        if not found:
            return {"input_ids": tokens}
        embedded = self._embed(tokens).clone()
        for row, places, vectors in found:
            embedded[row, places] = vectors.to(embedded)
        return {"inputs_embeds": embedded}

    def _positions(self, requests: Sequence[Request], columns: torch.Tensor) -> torch.Tensor:
        if self._rope is None:
            return columns
        positions = columns[None].repeat(3, 1, 1)
        for row, request in enumerate(requests):
            seen = self._seen.get(request.id)
            if seen is not None and seen.positions is not None:
                positions[:, row] = _continued(seen.positions, columns[row])
        return positions

    def _vectors(self, request: Request, seen: _Seen) -> torch.Tensor:
        if seen.vectors is not None:
            return seen.vectors
        key = tuple(picture.digest for picture in request.pictures)
        vectors = self._looked_at.get(key)
        if vectors is None:
            vectors = self._looked_at[key] = torch.cat([self._look_at(picture) for picture in request.pictures])
        if vectors.shape[0] != len(seen.places):
            raise ValueError(f"{len(seen.places)} places are kept for {vectors.shape[0]} vectors of images")
        seen.vectors = vectors
        return vectors

    def _look_at(self, picture: Picture) -> torch.Tensor:
        """`[its tokens, hidden]`"""
        inputs = {name: value.to(self.device) for name, value in picture.inputs.items() if name in self._wanted}
        features = self.model.get_image_features(**inputs, return_dict=True).pooler_output
        return torch.cat([one.flatten(0, -2) for one in features])


def _continued(known: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """`[3, tokens]`: those of the prompt `[3, n]` as they are; what comes after goes on from the highest of them."""
    n = known.shape[1]
    after = columns - n + known.max() + 1
    return torch.where(columns < n, known[:, columns.clamp(max=n - 1)], after)
