"""Where a worker is and how it lets the site in."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Upstream:
    """What a provider is, and what it calls the model that is asked for."""

    kind: str
    """One of `providers.kinds.KINDS`."""
    model: str
    longest_answer: int | None = None
    """Tokens, as far as an admin said."""


@dataclass(frozen=True, slots=True)
class Target:
    """A worker's address and its token, which stays out of logs."""

    worker_id: int
    base_url: str
    access_token: str = field(repr=False)
    upstream: Upstream | None = None
    """Set if it is somebody else's server, and speaks as that does."""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}
