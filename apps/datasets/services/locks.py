"""Datasets are locked in one order, whoever locks them. Other tables are not locked here."""

from collections.abc import Iterable

from apps.datasets.models import Dataset


def datasets_lock(names: Iterable[str]) -> list[Dataset]:
    """Until the transaction ends no version is stored in those of these that there are, and nothing is taken down.

    In the order of their keys: who took some of them in another order might wait for somebody who waits for them.
    """
    return list(Dataset.objects.select_for_update().filter(name__in=set(names)).order_by("pk"))
