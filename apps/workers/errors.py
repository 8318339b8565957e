"""Errors of the worker pool. Only those that are the worker's fault make it cool down; a client's never do."""

from apps.core.errors import SiteError, Whose


class NoWorker(SiteError):
    """No live worker holds the model."""

    code = "workers.none"
    http_status = 503
    retryable = True


class ModelLoading(SiteError):
    """Some worker has the model, and is still loading it."""

    code = "workers.loading"
    http_status = 503
    retryable = True


class ModelFailed(SiteError):
    """The only workers that have the model could not load it."""

    code = "workers.failed"
    http_status = 503
    whose = Whose.WORKER


class WorkerOverloaded(SiteError):
    """The worker's queue is full."""

    code = "workers.overloaded"
    http_status = 503
    retryable = True


class ProviderResting(WorkerOverloaded):
    """A provider lets nobody in for a while: a rate limit of its own or of ours, a key that it refuses. `reason` is for
    the admins."""

    code = "workers.resting"


class ProviderLoading(WorkerOverloaded):
    """A provider's server was started a moment ago and reads its model."""

    code = "workers.provider_loading"


class ProvidersFull(WorkerOverloaded):
    """Those that are left have as many requests as they may have at once; there is room when one of these ends."""


class QueueFull(SiteError):
    """As many requests wait for the model as the site lets wait."""

    code = "workers.queue_full"
    http_status = 503
    retryable = True


class PartyQueueFull(SiteError):
    """As many requests of one person or key wait for the model as may."""

    code = "workers.too_many_waiting"
    http_status = 429
    retryable = True
    whose = Whose.USER


class WaitedTooLong(SiteError):
    """No place became free in time."""

    code = "workers.waited_too_long"
    http_status = 503
    retryable = True


class WorkerDied(SiteError):
    """The worker went away in mid-answer."""

    code = "workers.died"
    http_status = 502
    retryable = True
    whose = Whose.WORKER


class WorkerUnreachable(SiteError):
    """No worker that should hold the model answered with a first event; `attempts` lists each and its cause."""

    code = "workers.unreachable"
    http_status = 503
    retryable = True
    whose = Whose.WORKER


class WorkerTimedOut(SiteError):
    """A worker took the request and was silent; `attempts` lists each that was tried and its cause."""

    code = "workers.timed_out"
    http_status = 504
    retryable = True
    whose = Whose.WORKER


class WorkerRefused(SiteError):
    """The worker found fault with the request (4xx). `worker_code` and `param` are its own."""

    code = "workers.refused"
    http_status = 400
    whose = Whose.USER

    def __init__(self, *, reason: str, worker_code: str | None = None, param: str | None = None) -> None:
        super().__init__(reason=reason)
        self.worker_code = worker_code
        self.param = param


class PromptTooLong(WorkerRefused):
    """The prompt does not fit into the model's context."""

    code = "prompt.too_long"


class RequestTooLarge(WorkerRefused):
    """More than a worker takes at once."""

    code = "workers.too_large"
    http_status = 413


class WorkerInternal(SiteError):
    """The worker reported an error of its own."""

    code = "workers.internal"
    http_status = 502
    retryable = True
    whose = Whose.WORKER


class AnswerUnreadable(WorkerInternal):
    """An answer came, of `n_bytes` as far as they were read, and says nothing that makes sense. It was computed."""

    def __init__(self, *, reason: str, n_bytes: int) -> None:
        super().__init__(reason=reason)
        self.n_bytes = n_bytes


class WorkerMismatch(SiteError):
    """The worker does not let the site in, or no longer has the model: the site's picture of it is out of date."""

    code = "workers.mismatch"
    http_status = 503
    retryable = True


class GenerationGone(SiteError):
    """The worker does not know the generation: it was restarted, or the answer ended too long ago."""

    code = "workers.generation_gone"
    http_status = 410
    whose = Whose.WORKER


class ProviderWrong(SiteError):
    """What an admin says about a provider does not hold together."""

    code = "workers.provider_wrong"
    http_status = 400
    whose = Whose.USER


class CredentialWrong(SiteError):
    """Neither an enrolment token nor this worker's secret."""

    code = "workers.credential_wrong"
    http_status = 401
    whose = Whose.USER


class SecretWeak(SiteError):
    """A secret that was brought could be guessed."""

    code = "workers.secret_weak"
    http_status = 400
    whose = Whose.USER


class TokenUsed(SiteError):
    """Another worker has enrolled with the token."""

    code = "workers.token_used"
    http_status = 401
    whose = Whose.USER


class TokenExpired(SiteError):
    """The token was not used in time."""

    code = "workers.token_expired"
    http_status = 401
    whose = Whose.USER


class WorkerAlive(SiteError):
    """A worker with this id is running; a token must not put another in its place."""

    code = "workers.alive"
    http_status = 409
    retryable = True
    whose = Whose.USER


class AddressNotAllowed(SiteError):
    """The worker names an address that it may not bring."""

    code = "workers.address_not_allowed"
    http_status = 403
    whose = Whose.USER


class AllowedMalformed(SiteError):
    """What a worker may be allowed has another form."""

    code = "workers.allowed_malformed"
    http_status = 400
    whose = Whose.USER


class LeaseMalformed(SiteError):
    """The lease request does not have the protocol's shape."""

    code = "workers.lease_malformed"
    http_status = 400
    whose = Whose.USER


class WorkerRemoved(SiteError):
    """An admin removed this worker."""

    code = "workers.removed"
    http_status = 403
    whose = Whose.USER
