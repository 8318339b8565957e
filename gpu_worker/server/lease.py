"""Keeps the worker enrolled with the site: says where it is and how it is doing, again and again.

What goes wrong is logged once per change, not once per try. It never gives up: a site that is down comes back.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from gpu_worker.protocol import LEASE_RENEW_S, LeaseGrant, LeaseRequest, ProtocolError

logger = logging.getLogger(__name__)

TIMEOUT_S = 10.0
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 2.0


@dataclass(slots=True)
class Credentials:
    """What a worker shows to the site: its secret if it has one, else a token, with which it gets one."""

    token: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    keep: Callable[[str], None] = lambda secret: None
    """Is given a new secret before it is used, so that it is not lost with this process."""

    @property
    def header(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret or self.token}"}

    def take(self, secret: str) -> None:
        self.keep(secret)
        self.secret = secret

    def fall_back(self) -> bool:
        """The site does not know the secret. True if there is a token to try instead."""
        has_both = bool(self.secret and self.token)
        if has_both:
            self.secret = ""
        return has_both


class LeaseClient:
    """One worker's lease at one site."""

    def __init__(
        self,
        site: str,
        worker_id: str,
        credentials: Credentials,
        describe: Callable[[], LeaseRequest],
        *,
        on_granted: Callable[[LeaseRequest], None] = lambda request: None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`describe` says how the worker is doing now; `on_granted` hears what the site has taken note of.

        `tls` decides which certificates of the site are believed; by default those of the usual authorities.
        """
        self._address = f"{site.rstrip('/')}/internal/workers/{worker_id}/lease"
        self._credentials = credentials
        self._tls = tls or ssl.create_default_context()
        self._describe = describe
        self._on_granted = on_granted
        self._news = asyncio.Event()
        self._trouble: str | None = None
        self._is_enrolled = False
        self._was_drained = False

    def poke(self) -> None:
        """Renew now: something has changed."""
        self._news.set()

    async def run(self) -> None:
        """Renew until cancelled."""
        pause_s = FIRST_PAUSE_S
        # A proxy of the environment is for the outside world; the site is named by the operator.
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=self._tls) as client:
            while True:
                self._news.clear()
                renew_in_s = await self._renew(client)
                if renew_in_s is not None:
                    pause_s = FIRST_PAUSE_S
                    await self._sleep(renew_in_s)
                else:
                    # Also while the site is down: news must not make the tries any denser.
                    await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def leave(self) -> None:
        """Tell the site that this worker stops. The site finds out by itself if this fails."""
        try:
            async with httpx.AsyncClient(timeout=2.0, trust_env=False, verify=self._tls) as client:
                await client.delete(self._address, headers=self._credentials.header)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            logger.info("could not tell the site that this worker stops: %s", _words(exc))

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return

    async def _renew(self, client: httpx.AsyncClient) -> float | None:
        """Return after how many seconds to renew, or None when it failed."""
        request = self._describe()
        try:
            response = await client.put(self._address, json=request.to_json(), headers=self._credentials.header)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            self._failed(f"the site cannot be reached: {_words(exc)}")
            return None
        if response.status_code != 200:
            if response.status_code == 401 and self._credentials.fall_back():
                logger.warning("the site does not know this worker's secret; enrolling anew with the token")
            self._failed(_refusal(response))
            return None
        try:
            grant = LeaseGrant.from_json(response.json())
            if grant.secret is not None:
                self._credentials.take(grant.secret)
        except (ProtocolError, ValueError) as exc:
            self._failed(f"the site's answer is not a lease: {exc}")
            return None
        except OSError as exc:
            self._failed(f"the secret of this worker cannot be kept: {exc}")
            return None
        self._granted(grant)
        self._on_granted(request)
        return min(grant.renew_in_s, LEASE_RENEW_S * 4)

    def _failed(self, trouble: str) -> None:
        if trouble != self._trouble:
            logger.warning("not enrolled, trying on: %s", trouble)
        self._trouble = trouble

    def _granted(self, grant: LeaseGrant) -> None:
        if self._trouble is not None or not self._is_enrolled:
            logger.info("enrolled with the site")
        if grant.drain != self._was_drained:
            logger.info("the site has put this worker %s dispatch", "out of" if grant.drain else "back into")
        self._is_enrolled, self._trouble, self._was_drained = True, None, grant.drain


def _refusal(response: httpx.Response) -> str:
    if response.status_code >= 500:
        return f"the site is in trouble ({response.status_code})"
    return f"the site refuses this worker ({response.status_code}): {_message(response)}"


def _message(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return response.text[:300]
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return str(message or body)[:300]


def _words(exc: Exception) -> str:
    return str(exc) or type(exc).__name__
