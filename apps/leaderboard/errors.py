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


class NoMaximum(RatingRefused):
    """However far apart the strengths are put, the votes become likelier still."""

    code = "leaderboard.no_maximum"


class NotIdentified(RatingRefused):
    """Two parameters explain the same."""

    code = "leaderboard.not_identified"


class StyleWanted(RatingRefused):
    """Style cannot be taken out: nothing is known of it, or all answers are alike."""

    code = "leaderboard.style_wanted"


class IndependenceWanted(RatingRefused):
    """A spread needs at least two that were independent."""

    code = "leaderboard.independence_wanted"


class TooFewBattles(RatingRefused):
    """Hardly a model has as many battles as a rank needs."""

    code = "leaderboard.too_few_battles"


class ConfigWrong(RatingRefused):
    """A number of the configuration is none that can be used."""

    code = "leaderboard.config_wrong"


class TimesWanted(RatingRefused):
    """Online Elo needs to know what came first."""

    code = "leaderboard.times_wanted"


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


class BattleFileCut(RatingRefused):
    """It ends too early, or what follows a broken row cannot be told apart."""

    code = "leaderboard.file_cut"


class BattleFileRefused(RatingRefused):
    """A row is wrong, and `--strict` was asked for."""

    code = "leaderboard.file_refused"


class SnapshotUnknown(RatingRefused):
    """No board has this id."""

    code = "leaderboard.snapshot_unknown"
    http_status = 404


class BoardMissing(RatingRefused):
    """The newest votes give no board of this category or style."""

    code = "leaderboard.board_missing"
    http_status = 404


class BoardOvertaken(RatingRefused):
    """Somebody published another board, perhaps with other options, while this one was made."""

    code = "leaderboard.overtaken"
    http_status = 409
    retryable = True


class ContestantUnseen(RatingRefused):
    """No such model took part, or it is not for whoever asks."""

    code = "leaderboard.contestant_unseen"
    http_status = 404


class ImportUnknown(RatingRefused):
    """No imported file has this id."""

    code = "leaderboard.import_unknown"
    http_status = 404
