"""The shape of a conversation: which message answers which, without their texts."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from apps.conversations.models import Message


@dataclass(frozen=True, slots=True)
class Siblings:
    """Where a message stands among its alternatives, the oldest first; `index` counts from 1."""

    index: int
    count: int
    previous: UUID | None
    next: UUID | None


ALONE = Siblings(index=1, count=1, previous=None, next=None)


@dataclass(frozen=True, slots=True)
class Node:
    pk: int
    parent: int | None
    public_id: UUID


class Tree:
    """The messages of one conversation. A parent is always older than its child, so its key is smaller."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes: dict[int, Node] = {}
        self._children: defaultdict[int | None, list[Node]] = defaultdict(list)
        for node in nodes:
            self._nodes[node.pk] = node
            self._children[node.parent].append(node)

    def path(self, leaf: int | None) -> list[int]:
        """Keys from the first message to this one."""
        found: list[int] = []
        while leaf is not None and (node := self._nodes.get(leaf)) is not None:
            found.append(leaf)
            leaf = node.parent
        return found[::-1]

    def siblings(self, pk: int) -> Siblings:
        alternatives = self._children[self._nodes[pk].parent]
        at = next(index for index, node in enumerate(alternatives) if node.pk == pk)
        return Siblings(
            index=at + 1,
            count=len(alternatives),
            previous=alternatives[at - 1].public_id if at > 0 else None,
            next=alternatives[at + 1].public_id if at + 1 < len(alternatives) else None,
        )

    def newest_leaf(self, pk: int) -> int:
        """Of this message and all that follow it, the one that was written last; nothing can follow that one."""
        newest, waiting = pk, [pk]
        while waiting:
            following = [node.pk for node in self._children.get(waiting.pop(), ())]
            newest = max([newest, *following])
            waiting += following
        return newest


def tree_get(conversation_pk: int) -> Tree:
    """In one query, however large it is."""
    rows = Message.objects.filter(conversation_id=conversation_pk).order_by("pk")
    return Tree(Node(*row) for row in rows.values_list("pk", "parent_id", "public_id"))


def siblings_get(message: Message) -> Siblings:
    """Of one message, without the rest of its tree."""
    alternatives = Message.objects.filter(conversation_id=message.conversation_id, parent_id=message.parent_id)
    rows = alternatives.order_by("pk").values_list("pk", "parent_id", "public_id")
    return Tree(Node(*row) for row in rows).siblings(message.pk)
