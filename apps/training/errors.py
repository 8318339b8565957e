"""What can go wrong with a training run. The words are in `apps.core.errors.WORDS`."""

from apps.core.errors import SiteError, Whose


class TrainingError(SiteError):
    """Root of this app's errors."""

    whose = Whose.USER
    http_status = 400


class ConfigUnreadable(TrainingError):
    """Details: path, reason."""

    code = "training.config_unreadable"


class ConfigInvalid(TrainingError):
    """Details: reason, which names the key."""

    code = "training.config_invalid"


class DataUnfit(TrainingError):
    """Details: path, n_wrong, n_records, and the first `faults`, a line each."""

    code = "training.data_unfit"


class OutputExists(TrainingError):
    """Details: directory."""

    code = "training.output_exists"
    http_status = 409


class RunActive(TrainingError):
    """Details: name, seconds until its lease ends unless somebody renews it."""

    code = "training.run_active"
    http_status = 409
    retryable = True


class RunLost(TrainingError):
    """The row was closed by somebody else while this command followed it. Details: name."""

    code = "training.run_lost"
    http_status = 409
    whose = Whose.US


class RunFailed(TrainingError):
    """The training process failed. Details: reason."""

    code = "training.run_failed"
    http_status = 500
    whose = Whose.WORKER
