"""The way to Hugging Face's hub for what is published there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from django.conf import settings

from apps.datasets.errors import PublishingFailed
from apps.datasets.hub_door import AddressForbidden, hub_door

REPO_ID_MAX_CHARS = 200


def repo_id_check(repo_id: str) -> None:
    """Whether a dataset of the hub may have that name. Raises: PublishingFailed."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    with _told(repo_id):
        validate_repo_id(repo_id)
        if len(repo_id) > REPO_ID_MAX_CHARS:
            raise HFValidationError


def folder_upload(folder: Path, repo_id: str, *, message: str, replaces: list[str]) -> tuple[str, str]:
    """The hub's commit and the dataset's address. Files that are there already with the same content are not sent, and
    if all are, no commit is made. `replaces`: patterns of files that go if they are not in the folder.

    Raises: PublishingFailed.
    """
    from huggingface_hub import HfApi

    with hub_door(), _told(repo_id):
        api = HfApi(endpoint=settings.HF_ENDPOINT, token=settings.HF_TOKEN or None)
        if not api.repo_exists(repo_id, repo_type="dataset"):
            api.create_repo(repo_id, repo_type="dataset")
        info = api.upload_folder(
            repo_id=repo_id,
            repo_type="dataset",
            folder_path=folder,
            commit_message=message,
            delete_patterns=replaces,
        )
    return info.oid, f"{settings.HF_ENDPOINT}/datasets/{repo_id}"


_BY_STATUS = {
    401: "the hub does not know the token: set HF_TOKEN to one of an account that may write there",
    403: "the token may not write there: give it the permission on the hub, or set HF_TOKEN to another one",
    404: "the hub does not know it: look at the name of the account or organisation, and at HF_TOKEN",
}


@contextmanager
def _told(repo_id: str) -> Iterator[None]:
    """What went wrong, in words that say what to do and hold nothing that was sent. Raises: PublishingFailed."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    def failed(reason: str) -> PublishingFailed:
        return PublishingFailed(what="The release", place=f"hf:{repo_id}", reason=reason)

    try:
        yield
    except HFValidationError as exc:
        raise failed("that is no name of a dataset: write ORG/NAME") from exc
    except OfflineModeIsEnabled as exc:
        raise failed("HF_HUB_OFFLINE forbids to call the hub") from exc
    except (HfHubHTTPError, httpx2.HTTPError, OSError, RuntimeError, ValueError) as exc:
        raise failed(_reason(exc)) from exc


def _reason(error: BaseException) -> str:
    """Of a part of the upload it is told by the error that it was raised from."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return _BY_STATUS.get(status, f"the hub answers with {status}: try again later")
    if isinstance(error, AddressForbidden):
        return str(error)
    if isinstance(error, httpx2.TransportError | OSError):
        return f"it was cut off ({type(error).__name__}); look at the network and HF_ENDPOINT, and try again"
    if error.__cause__ is not None:
        return _reason(error.__cause__)
    return f"the hub's answer cannot be used ({type(error).__name__}); look at HF_ENDPOINT"
