"""What goes wrong with files, recipes and datasets, always the user's to mend."""

from apps.core.errors import SiteError, Whose


class DatasetError(SiteError):
    http_status = 400
    whose = Whose.USER


class FileUnreadable(DatasetError):
    code = "datasets.file_unreadable"


class FormatUnknown(DatasetError):
    """No shape that is read here fits the first record."""

    code = "datasets.format_unknown"


class DatasetWrong(DatasetError):
    """A folder or a dataset of a hub of which it cannot be said what is to be read."""

    code = "datasets.dataset_wrong"


class HubRefused(DatasetError):
    code = "datasets.hub_refused"


class RecordRefused(DatasetError):
    """With --strict: the first record that cannot be read."""

    code = "datasets.record_refused"


class RecipeWrong(DatasetError):
    code = "datasets.recipe_wrong"


class OutputExists(DatasetError):
    code = "datasets.output_exists"


class OutputForeign(DatasetError):
    """No run made what is there, and so none takes it away."""

    code = "datasets.output_foreign"


class OutputBusy(DatasetError):
    """Another run is making the same folder."""

    code = "datasets.output_busy"


class OutputUnwritable(DatasetError):
    code = "datasets.output_unwritable"


class WorkStale(DatasetError):
    """What an earlier run left belongs to another recipe, other input or other code."""

    code = "datasets.work_stale"


class TokenizerWrong(DatasetError):
    code = "datasets.tokenizer_wrong"


class WorkerLost(DatasetError):
    """A process of the run ended by itself, most likely killed for memory."""

    code = "datasets.worker_lost"


class ChunkFailed(DatasetError):
    """A Celery worker could not do its part of a run."""

    code = "datasets.chunk_failed"


class NameWrong(DatasetError):
    code = "datasets.name_wrong"


class VersionUnknown(DatasetError):
    code = "datasets.version_unknown"
    http_status = 404


class RowUnknown(DatasetError):
    code = "datasets.row_unknown"
    http_status = 404


class FolderWrong(DatasetError):
    """What stands in a folder is not what its report says."""

    code = "datasets.folder_wrong"


class DerivationWrong(DatasetError):
    """Versions cannot be merged or split as asked."""

    code = "datasets.derivation_wrong"


class ConsentGone(DatasetError):
    """Something that was taken from the site may be used no more."""

    code = "datasets.consent_gone"
    http_status = 409


class SiteFolder(DatasetError):
    """What people wrote here comes into versions by `clean` alone, which knows whose it is."""

    code = "datasets.site_folder"


class TakedownRefused(DatasetError):
    code = "datasets.takedown_refused"


class ReleaseRefused(DatasetError):
    """A version cannot be proposed, decided about or published as asked."""

    code = "datasets.release_refused"


class ReleaseUnknown(DatasetError):
    code = "datasets.release_unknown"
    http_status = 404


class PublishingFailed(DatasetError):
    """The place did not take the release."""

    code = "datasets.publishing_failed"
