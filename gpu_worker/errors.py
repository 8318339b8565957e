"""What the worker reports when it cannot do what it was asked: one exception, translated at one door.

The codes are the wire's (`protocol.WorkerErrorCode`); the HTTP status follows from the code.
"""

from gpu_worker.protocol import Json, WorkerErrorCode, error_body

HTTP_STATUS = {
    WorkerErrorCode.INVALID_REQUEST: 400,
    WorkerErrorCode.UNSUPPORTED_PARAMETER: 400,
    WorkerErrorCode.CONTEXT_LENGTH_EXCEEDED: 400,
    WorkerErrorCode.UNAUTHORISED: 401,
    WorkerErrorCode.MODEL_NOT_FOUND: 404,
    WorkerErrorCode.GENERATION_NOT_FOUND: 404,
    WorkerErrorCode.GENERATION_EXISTS: 409,
    WorkerErrorCode.REQUEST_TOO_LARGE: 413,
    WorkerErrorCode.INTERNAL: 500,
    WorkerErrorCode.OUT_OF_MEMORY: 503,
    WorkerErrorCode.OVERLOADED: 503,
    WorkerErrorCode.MODEL_LOADING: 503,
    WorkerErrorCode.SHUTTING_DOWN: 503,
}


class WorkerError(Exception):
    """A refusal or failure with a stable code and a sentence for people.

    `param` names the field of the request that is at fault, as OpenAI's envelope does.
    """

    def __init__(self, code: WorkerErrorCode, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param

    @property
    def http_status(self) -> int:
        return HTTP_STATUS[self.code]

    @property
    def retryable(self) -> bool:
        return self.http_status == 503

    def body(self) -> Json:
        return error_body(self.code, self.message, param=self.param)


def invalid(param: str, message: str) -> WorkerError:
    """A 400 that names the parameter at fault."""
    return WorkerError(WorkerErrorCode.INVALID_REQUEST, f"{param}: {message}", param=param)


def unsupported(param: str, message: str) -> WorkerError:
    """A 400 for something that OpenAI's API knows and this worker does not do."""
    return WorkerError(WorkerErrorCode.UNSUPPORTED_PARAMETER, f"{param}: {message}", param=param)
