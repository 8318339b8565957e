"""The way to Hugging Face's hub for what is published there, by the library's own client, but through a door that calls
only addresses which the site calls: a hub names further addresses, for large files."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from logging import ERROR
from pathlib import Path

import httpx2
from django.conf import settings

from apps.core.addresses import Address, why_forbidden
from apps.datasets.errors import PublishingFailed

_CONNECT_TIMEOUT_S, _TIMEOUT_S = 10.0, 120.0


class AddressForbidden(httpx2.TransportError):
    """See OUTBOUND_ALLOWED_NETWORKS."""


class _CheckedTransport(httpx2.BaseTransport):
    """Calls the addresses that were checked, and no name again; as `apps.core.outbound` does."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._inner: dict[str, httpx2.HTTPTransport] = {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        *others, last = _checked_addresses(host, request.url.port or {"https": 443}.get(request.url.scheme, 80))
        request.extensions = {**request.extensions, "sni_hostname": host}
        for address in others:
            # Without a connection nothing was sent, so that the body is still whole for the next address.
            with suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
                return self._call(request, host, address)
        return self._call(request, host, last)

    def close(self) -> None:
        for transport in self._inner.values():
            transport.close()

    def _call(self, request: httpx2.Request, host: str, address: Address) -> httpx2.Response:
        request.url = request.url.copy_with(host=str(address))
        # A connection that was verified for one name is never used for another one at the same address.
        if host not in self._inner:
            self._inner[host] = httpx2.HTTPTransport(verify=self._tls, trust_env=False)
        return self._inner[host].handle_request(request)


def _checked_addresses(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise httpx2.ConnectError(f"no address is known for {host}") from exc
    addresses = [ip_address(str(info[4][0])) for info in found]
    for address in addresses:
        if (reason := why_forbidden(address, settings.OUTBOUND_ALLOWED_NETWORKS)) is not None:
            raise AddressForbidden(f"{host} is {address}, which is {reason}: the site does not call it")
    return addresses


def _client() -> httpx2.Client:
    from huggingface_hub.utils._http import hf_request_event_hook

    tls = ssl.create_default_context()
    if settings.OUTBOUND_CA_FILE:
        tls.load_verify_locations(settings.OUTBOUND_CA_FILE)
    return httpx2.Client(
        event_hooks={"request": [hf_request_event_hook]},
        follow_redirects=True,
        timeout=httpx2.Timeout(_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
        transport=_CheckedTransport(tls),
        trust_env=False,
    )


@contextmanager
def _door() -> Iterator[None]:
    """The library's client is one for the process: it gets ours, and its own again."""
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils import logging
    from huggingface_hub.utils._http import default_client_factory

    # Xet has connections of its own, of which nobody looks at the addresses.
    is_without_xet, constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_XET, True
    # It warns of each try that failed, with the whole address, which is signed.
    verbosity = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    set_client_factory(_client)
    try:
        yield
    finally:
        set_client_factory(default_client_factory)
        logging.set_verbosity(verbosity)
        constants.HF_HUB_DISABLE_XET = is_without_xet


def folder_upload(folder: Path, repo_id: str, *, message: str, replaces: list[str]) -> tuple[str, str]:
    """The hub's commit and the dataset's address. Files that are there already with the same content are not sent, and
    if all are, no commit is made. `replaces`: patterns of files that go if they are not in the folder.

    Raises: PublishingFailed.
    """
    from huggingface_hub import HfApi

    with _door(), _told(repo_id):
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
