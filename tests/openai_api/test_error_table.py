"""The table of errors in docs/api.md has every code that a program may meet, with its status, and no other."""

import re
from types import ModuleType

import apps.accounts.errors as accounts
import apps.arena.errors as arena
import apps.catalog.errors as catalog
import apps.conversations.errors as conversations
import apps.moderation.errors as moderation
import apps.openai_api.errors as api
import apps.workers.errors as workers
from apps.core.errors import NotFound, SiteError
from tests.live import ROOT

OF_OTHER_DOORS = {
    accounts.KeyNameEmpty,
    accounts.KeyNameTaken,
    accounts.KeyScopeWrong,
    arena.BattleErased,
    arena.BattleLimitExceeded,
    arena.SideBusy,
    arena.SideFailed,
    arena.TooLongForOne,
    conversations.ChatBehind,
    conversations.ChooseOne,
    conversations.ColumnsWrong,
    conversations.CommentTooLong,
    conversations.FeedbackRefused,
    conversations.ImageNotTaken,
    conversations.ImagesBusy,
    conversations.ImportRefused,
    conversations.NothingToAnswer,
    conversations.NothingToContinue,
    conversations.NothingToShare,
    conversations.PresetNameWrong,
    conversations.ShareNotFound,
    conversations.ShareTooLong,
    conversations.SignInRequired,
    conversations.TitleEmpty,
    conversations.TooManyAtOnce,
    conversations.TooManyAttached,
    conversations.TooManyChats,
    conversations.TooManyImagesKept,
    conversations.TooManyPresets,
    conversations.TooManyShares,
    conversations.UnknownChange,
    moderation.AlreadyReviewed,
    moderation.CannotBlock,
    moderation.NothingKept,
    moderation.StillWritten,
    workers.AddressNotAllowed,
    workers.AllowedMalformed,
    workers.CredentialWrong,
    workers.GenerationGone,
    workers.LeaseMalformed,
    workers.ProviderWrong,
    workers.SecretWeak,
    workers.TokenExpired,
    workers.TokenUsed,
    workers.WorkerAlive,
    workers.WorkerRemoved,
}
OF_SEVERAL_CODES = {
    accounts.LimitExceeded: {"rate_limit_exceeded", "quota_exceeded", "insufficient_quota"},
    api.InvalidRequest: {"invalid_value", "missing_required_parameter", "unsupported_parameter"},
    workers.WorkerRefused: {"invalid_request", "unsupported_parameter"},
}
WITHOUT_A_CLASS = {
    (400, "invalid_json"),
    (400, "invalid_multipart"),
    (400, "unsupported_media_type"),
    (405, "method_not_allowed"),
    (413, "request_too_large"),
    (500, "internal_error"),
    (504, "timeout"),  # nginx's
}


def errors_of(module: ModuleType) -> set[type[SiteError]]:
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    return {one for one in classes if issubclass(one, SiteError) and one.__module__ == module.__name__}


def codes_of(error: type[SiteError]) -> set[str]:
    if issubclass(error, accounts.LimitExceeded):
        return OF_SEVERAL_CODES[accounts.LimitExceeded]
    return OF_SEVERAL_CODES.get(error, {api._CODES.get(error.code, error.code.rpartition(".")[2])})


def test_the_table_has_each_code_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| ([^|]+) \|", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    told = {(int(status), code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}

    errors: set[type[SiteError]] = {NotFound}
    for module in (accounts, api, arena, catalog, conversations, moderation, workers):
        errors |= errors_of(module)
    met = {(error.http_status, code) for error in errors - OF_OTHER_DOORS for code in codes_of(error)} | WITHOUT_A_CLASS
    assert told == met
