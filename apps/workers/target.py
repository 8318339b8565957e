"""Where a worker is and how it lets the site in."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """A worker's address and its token, which stays out of logs."""

    worker_id: int
    base_url: str
    access_token: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}
