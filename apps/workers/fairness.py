"""In which order waiting requests get their turns. Pure: it reads no clock and no database.

Each party (a person, a visitor, a key) is served in turn, however many requests it has waiting: a heavy user delays a
light one by at most one request per place that becomes free.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """One request in the queue. `request_id` grows with the time of arrival."""

    request_id: int
    party: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request stands: 1 is next. `eta_s` is None until answers of this model were measured."""

    number: int
    eta_s: float | None


def fair_order(
    waiting: Sequence[Waiting], n_running: Mapping[str, int], last_admitted: Mapping[str, float]
) -> list[int]:
    """The ids in the order in which they are admitted, if nothing else arrives or ends meanwhile.

    First comes the party with the fewest requests running; among equals the one whose last turn is longest ago
    (`last_admitted`, seconds; never: first), then the one that asked first. O(n log n).

    Source: max-min fairness by round robin; Nagle (1987), "On Packet Switches With Infinite Storage", section 4.
    """
    queues: dict[str, deque[int]] = defaultdict(deque)
    for request in sorted(waiting, key=lambda request: request.request_id):
        queues[request.party].append(request.request_id)
    latest = max(last_admitted.values(), default=0.0)
    turns = [
        (n_running.get(party, 0), last_admitted.get(party, float("-inf")), queue[0], party)
        for party, queue in queues.items()
    ]
    heapq.heapify(turns)
    order: list[int] = []
    while turns:
        n, _, _, party = heapq.heappop(turns)
        queue = queues[party]
        order.append(queue.popleft())
        latest += 1.0
        if queue:
            heapq.heappush(turns, (n + 1, latest, queue[0], party))
    return order
