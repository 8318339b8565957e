"""Why there is no board. Each of these keeps the old one: nothing doubtful is published."""

from apps.core.errors import SiteError, Whose


class RatingRefused(SiteError):
    """Root of the refusals of `rating`."""

    code = "leaderboard.refused"
    http_status = 422
    whose = Whose.USER


class NoBattles(RatingRefused):
    """Nothing to rate."""

    code = "leaderboard.no_battles"


class BattlesMalformed(RatingRefused):
    """Arrays that do not describe battles."""

    code = "leaderboard.battles_malformed"


class TooManyModels(RatingRefused):
    """The information matrix would not fit."""

    code = "leaderboard.too_many_models"


class NotConnected(RatingRefused):
    """Some models cannot be compared with others: the maximum of the likelihood does not exist."""

    code = "leaderboard.not_connected"


class TiesWanted(RatingRefused):
    """A tie model needs ties, and decided battles too."""

    code = "leaderboard.ties_wanted"


class NotConverged(RatingRefused):
    """The search for the maximum did not end."""

    code = "leaderboard.not_converged"


class BootstrapLost(RatingRefused):
    """Some of the resampled boards have no maximum, so their spread says nothing."""

    code = "leaderboard.bootstrap_lost"


class AnchorUnknown(RatingRefused):
    """The anchor is not among the rated models."""

    code = "leaderboard.anchor_unknown"


class BattleFileUnreadable(RatingRefused):
    """It cannot be opened or read."""

    code = "leaderboard.file_unreadable"


class BattleFileRefused(RatingRefused):
    """A row is wrong, and `--strict` was asked for."""

    code = "leaderboard.file_refused"


class SnapshotUnknown(RatingRefused):
    """No board has this id."""

    code = "leaderboard.snapshot_unknown"
    http_status = 404
