"""Datasets on Hugging Face's hub, or one that speaks as it does (HF_ENDPOINT): only files are fetched, and no code of a
dataset is run. Where its token is and where files are kept is as the library `huggingface_hub` has it."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from apps.datasets.errors import HubRefused

_REFERENCE = re.compile(
    r"hf:(?P<id>[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?)(@(?P<revision>[A-Za-z0-9][\w./-]{0,99}))?"
)
PREFIX = "hf:"
_TIMEOUT_S = 30.0
Choose = Callable[[Sequence[str], Callable[[str], str]], Sequence[str]]
"""Of all names of files, and by what stands in some, those that are wanted."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """`commit`: the revision's hash. `folder`: where the files are, under their names."""

    id: str
    commit: str
    folder: Path


def dataset_fetch(text: str, choose: Choose) -> Fetched:
    """`hf:ORG/NAME[@REVISION]`: download the files that `choose` names, unless they are here already.

    Raises: HubRefused, and what `choose` raises.
    """
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise HubRefused(what=text, reason="write hf:ORG/NAME, or hf:ORG/NAME@REVISION")
    from apps.datasets.hub_door import hub_door  # a client of HTTP, which files need not wait for

    with hub_door():
        return _fetched(text, found["id"], found["revision"], choose)


def _fetched(text: str, id_: str, revision: str | None, choose: Choose) -> Fetched:
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download

    with _told(text, id_, revision):
        info = HfApi().dataset_info(id_, revision=revision, timeout=_TIMEOUT_S)
    commit = info.sha or ""
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise HubRefused(what=text, reason="the hub does not say which commit the revision is")

    def text_of(name: str) -> str:
        with _told(text, id_, revision):
            path = Path(hf_hub_download(id_, name, repo_type="dataset", revision=commit))
            return path.read_text("utf-8", errors="replace")

    wanted = choose([one.rfilename for one in info.siblings or []], text_of)
    with _told(text, id_, revision):
        patterns = [escape(name) for name in wanted]
        folder = Path(snapshot_download(id_, repo_type="dataset", revision=commit, allow_patterns=patterns))
    if missing := [name for name in wanted if not (folder / name).is_file()]:
        raise HubRefused(what=text, reason=f"{missing[0]} could not be downloaded; start again")
    return Fetched(id_, commit, folder)


@contextmanager
def _told(text: str, id_: str, revision: str | None) -> Iterator[None]:
    """What the hub refuses, in words that say what to do. Raises: HubRefused."""
    import httpx2
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    from apps.datasets.hub_door import AddressForbidden

    try:
        yield
    except RevisionNotFoundError as exc:
        raise HubRefused(what=text, reason=f"the hub has the dataset, but no revision {revision!r} of it") from exc
    except GatedRepoError as exc:
        reason = (
            f"the hub gives it only to accounts that were granted access. Ask for it on the page of {id_}, and set "
            "HF_TOKEN to a token of that account"
        )
        raise HubRefused(what=text, reason=reason) from exc
    except RepositoryNotFoundError as exc:
        reason = "the hub has no such dataset, or it is private: look at its name, or set HF_TOKEN to a token that may"
        raise HubRefused(what=text, reason=f"{reason} read it") from exc
    except HFValidationError as exc:
        raise HubRefused(what=text, reason="write hf:ORG/NAME, or hf:ORG/NAME@REVISION") from exc
    except OfflineModeIsEnabled as exc:
        raise HubRefused(what=text, reason=f"HF_HUB_OFFLINE forbids to ask the hub, and {_kept(id_)}") from exc
    except HfHubHTTPError as exc:
        status = exc.response.status_code
        if status in (401, 403):
            reason = f"the hub refuses it ({status}): set HF_TOKEN to a token that may read it"
        else:
            reason = f"the hub answers with {status}: try again later"
        raise HubRefused(what=text, reason=reason) from exc
    except AddressForbidden as exc:
        raise HubRefused(what=text, reason=f"it could not be fetched: {exc}") from exc
    except (httpx2.HTTPError, OSError) as exc:
        words = getattr(exc, "strerror", None) or type(exc).__name__
        reason = f"it could not be fetched ({words}): look at the network, HF_ENDPOINT and the disk; {_kept(id_)}"
        raise HubRefused(what=text, reason=reason) from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        # The library takes any answer for one of a hub: also the page of a proxy that wants a login.
        reason = f"the hub's answer cannot be used ({type(exc).__name__}): look at HF_ENDPOINT and the network's proxy"
        raise HubRefused(what=text, reason=reason) from exc


def _kept(id_: str) -> str:
    """Where the newest download lies, if there is one."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        repositories = frozenset()
    kept = [
        one for repository in repositories if (repository.repo_type, repository.repo_id) == ("dataset", id_)
        for one in repository.revisions
    ]  # fmt: skip
    if not kept:
        return "nothing of it was downloaded before"
    newest = max(kept, key=lambda one: one.last_modified)
    return f"what was downloaded before lies in {newest.snapshot_path}: give that folder as the input"
