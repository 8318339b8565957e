"""Tokens of a version are counted, in as many processes as are given, and kept beside it."""

import hashlib
from pathlib import Path

from django.utils.timezone import now

from apps.datasets.charts import token_figures
from apps.datasets.errors import RecipeWrong, TokenizerWrong
from apps.datasets.models import DatasetVersion, TokenCount
from apps.datasets.processes import processes
from apps.datasets.selectors import lines_of
from apps.datasets.services.versions import drawn
from apps.datasets.token_totals import TokenTotals, in_chunks, tokens_total


def tokens_count(version: DatasetVersion, set_name: str, folder: Path, n_workers: int) -> TokenCount:
    """Of the rows that were not erased. What was counted before by the same tokenizer is replaced.

    Raises: TokenizerWrong, WorkerLost.
    """
    path = folder / "tokenizer.json"
    try:
        hash_ = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as exc:
        raise TokenizerWrong(path=str(path), reason=exc.strerror or str(exc)) from exc
    totals = TokenTotals()
    lines = (line for _, line in lines_of(version, set_name))
    try:
        with processes(n_workers) as pool:
            for part in pool.in_order(tokens_total, in_chunks(lines, str(folder.absolute()))):
                totals.join(part)
    except RecipeWrong as exc:
        raise TokenizerWrong(path=str(path), reason=exc.details["reason"]) from exc
    name = folder.resolve().name[:200]
    told = totals.as_dict()
    found, _ = TokenCount.objects.update_or_create(
        version=version,
        set_name=set_name,
        tokenizer_hash=hash_,
        defaults={
            "tokenizer": name,
            "totals": told,
            "charts": list(map(drawn, token_figures(name, told))),
            "counted_at": now(),
        },
    )
    return found
