"""The root of every error the site raises on purpose, and the words that people read.

An error is raised, never returned. Its `code` is stable and dotted; its prose lives in `WORDS` alone, so that pages,
the API and the socket say the same thing. Each door (HTML, OpenAI envelope, WebSocket, command) has one translator.
"""

from enum import StrEnum
from typing import ClassVar


class Whose(StrEnum):
    """Whose fault an error is: decides the log level and whether shared state may learn from it."""

    USER = "user"
    US = "us"
    WORKER = "worker"


class SiteError(Exception):
    """Root of our errors. Subclasses set the class attributes; `details` fill the placeholders of the words."""

    code: ClassVar[str] = "site.internal"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    whose: ClassVar[Whose] = Whose.US

    def __init__(self, **details: object) -> None:
        super().__init__(self.code, details)
        self.details = details

    def __reduce__(self) -> tuple[object, ...]:
        """For the way from one process to another, where an exception is made again from what it was made of."""
        return _made_again, (type(self), self.details), self.__dict__

    @property
    def message(self) -> str:
        """One or two sentences: what happened and what to do."""
        return WORDS[self.code].format_map(self.details)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def _made_again(kind: type[SiteError], details: dict[str, object]) -> SiteError:
    error = kind.__new__(kind)
    SiteError.__init__(error, **details)
    return error


class BadFrame(SiteError):
    """A frame that is not in the contract of its socket."""

    code = "site.bad_frame"
    http_status = 400
    whose = Whose.USER


class NotFound(SiteError):
    """There is no such thing, or it is somebody else's: the two are not told apart."""

    code = "site.not_found"
    http_status = 404
    whose = Whose.USER


def http_status_of(code: str) -> int:
    """The status of an error of which only the code is kept, as with an answer that failed."""
    waiting = [SiteError]
    while waiting:
        one = waiting.pop()
        if one.code == code:
            return one.http_status
        waiting += one.__subclasses__()
    return SiteError.http_status


WORDS: dict[str, str] = {
    "site.internal": "Something went wrong on our side. Try again; if it stays, tell an administrator.",
    "site.bad_frame": "The page sent something the site does not understand: {reason}. Reload the page.",
    "site.not_found": "There is nothing here, or it is not yours.",
    "site.secret_unreadable": "A stored secret cannot be used: {reason}. Give it again, or put the key with which it "
    "was encrypted back into ENCRYPTION_KEYS.",
    "accounts.key_invalid": "The API key is missing, unknown, expired or revoked, or not meant for your address. Send "
    "'Authorization: Bearer YOUR_KEY'.",
    "accounts.key_scope_wrong": "{reason}",
    "accounts.endpoint_not_allowed": "This key may not be used at {endpoint}, only at {allowed}. Use another key.",
    "accounts.model_not_allowed": "This key may not be used for {model!r}, only for {allowed}. Use another key.",
    "accounts.key_name_taken": "There is already an active key named {name!r}. Choose another name or revoke that one.",
    "accounts.key_name_empty": "A key needs a name of 1 to 100 characters.",
    "accounts.limit_exceeded": "The limit of {limit} does not allow this call: {used} used, {reserved} held by running "
    "calls, and this one asks for {asked}.{resets} {advice}",
    "accounts.limit_needs_bound": "A limit on tokens or cost is in force, and how much of {model!r} this call may use "
    "cannot be told: {reason}.",
    "api.invalid_request": "Invalid request: {reason}.",
    "api.no_model": "There is no model here that may answer you. Ask an administrator for one.",
    "api.files_too_large": "Your files would be over {limit} MiB together. Delete some that you need no more.",
    "api.batch_ended": "The batch is {state} and cannot be cancelled any more.",
    "api.too_many_batches": "You have {limit} unfinished batches, and no more may. Wait for one, or cancel it.",
    "api.too_many_responses": "You have {limit} background responses that have not ended, and no more may. "
    "Wait for one, or cancel it.",
    "api.previous_response_not_found": "{response} is not here, or it is not yours: the conversation cannot be "
    "continued from there. Send its items as 'input'.",
    "api.answer_unstorable": "The answer holds something that cannot be stored: {reason}. Ask for it without a batch.",
    "api.database_away": "The database broke off while it worked for this call. Try again in a moment.",
    "api.unknown_endpoint": "There is no endpoint {path} here. docs/api.md lists those that there are.",
    "api.unsupported_endpoint": "{path} is not supported here: {instead}.",
    "arena.not_found": "There is no such arena, or it is not open to you.",
    "arena.closed": "This arena begins no new battles at the moment. Look again later, or choose another arena.",
    "arena.no_opponents": "A battle needs two models that are ready, and there are not two now. Try again shortly.",
    "arena.nobody_sees": "A battle with images needs two models that see and are ready, and there are not two now. "
    "Leave the images out, or try again later.",
    "arena.image_too_late": "Images belong into the first message of a battle. Begin a new round with this one.",
    "arena.sight_lost": "One of the two can see images no more, so this battle cannot go on. Vote on what is there, or "
    "begin a new round.",
    "arena.contestant_unknown": "Choose two different contestants of this arena.",
    "arena.battle_not_found": "This battle does not exist, or it is not yours.",
    "arena.not_ready": "Both answers are not there yet. Wait until they are complete.",
    "arena.battle_failed": "One of the two could not answer, so there is nothing to judge. Ask for a new opponent, or "
    "begin a new round.",
    "arena.battle_whole": "Both have answered: vote, or begin a new round.",
    "arena.followed": "This battle went on against a new opponent: go on there. You find it among your latest battles.",
    "arena.not_revealed": "A rematch is of two whose names you know. Vote first, or have the names shown.",
    "arena.changed": "This battle has gone on in another window. Reload to see what was said.",
    "arena.choice_missing": "Choose two contestants for a battle side by side.",
    "arena.erased": "What was said in this battle was erased. Begin a new round.",
    "arena.too_long": "A battle has at most {limit} turns. Vote, or begin a new round.",
    "arena.already_voted": "This battle has its vote. Begin a new round to vote again.",
    "arena.already_revealed": "The names of these two were shown, so a vote would not be blind. Begin a new round.",
    "arena.side_failed": "One of the two could not answer. Nobody loses by that: ask for a new opponent, or begin a "
    "new round.",
    "arena.side_busy": "One of the two has too many questions waiting. Ask for a new opponent, or try again later.",
    "arena.too_long_for_one": "The battle has become too long for one of the two. Begin a new round.",
    "arena.limit_exceeded": "A limit does not allow these answers just now. Your limits are on the page Usage.",
    "chat.empty_message": "The message is empty. Write something first.",
    "chat.message_too_long": "The message has {length} characters; at most {limit} are allowed. Shorten it.",
    "chat.answer_running": "An answer is still being written in this conversation. Wait for it or stop it.",
    "chat.nothing_to_continue": "The last answer did not break off, so there is nothing to go on with. Ask for more.",
    "chat.columns_wrong": "The message was not sent side by side: {reason}.",
    "chat.choose_one": "Several answers are side by side. Go on with one of them first: a link shows one.",
    "chat.nothing_to_answer": "There is no question before this answer, so it cannot be answered again. Ask one.",
    "chat.image_not_taken": "The image was not taken: {reason}.",
    "chat.images_busy": "Many images are read at the moment. Attach it again in a few seconds.",
    "chat.image_not_found": "An image of this message is not there any more, or it is not yours. Attach it again.",
    "chat.too_many_images": "A model can be shown {limit} images at once, and this branch of the chat has more. Begin "
    "a new chat, or leave some out.",
    "chat.too_many_images_kept": "You keep {limit} images, and no more may be. Delete chats with images first.",
    "chat.not_found": "This conversation does not exist, or it is not yours.",
    "chat.sign_in_required": "Sign in to chat here.",
    "chat.setting_refused": "{reason}.",
    "chat.preset_name_wrong": "A preset needs a name of 1 to {limit} characters.",
    "chat.too_many_presets": "You keep {limit} presets, and no more may be. Delete one that you need no more.",
    "chat.too_many_at_once": "At most {limit} chats can be changed at once. Choose fewer.",
    "chat.unknown_change": "Say what to do with the chats: pin, unpin, archive, restore, move or delete.",
    "chat.search_too_broad": "This search takes too long. Use more words, or rarer ones.",
    "chat.import_refused": "The file was not imported: {reason}. Nothing of it was stored.",
    "chat.too_many_shares": "You share {limit} chats, and no more may be. Revoke a link that is needed no more.",
    "chat.nothing_to_share": "There is nothing to share yet. Wait for an answer.",
    "chat.share_too_long": "The chat is too long to be shared: {reason}. Fork a shorter one, and share that.",
    "chat.behind": "The chat changed meanwhile. Look at it as it is now, and try again.",
    "chat.too_many_chats": "You keep {limit} chats, and no more may be imported or forked. Delete some.",
    "chat.share_not_found": "This link leads nowhere: it was revoked, has expired, or never was.",
    "chat.feedback_refused": "The feedback was not kept: {reason}.",
    "chat.comment_too_long": "A comment may have {limit} characters at most. Shorten it.",
    "chat.title_empty": "A conversation needs a title. Write one first.",
    "chat.too_many_attached": "This page follows {limit} answers already. Wait for one, or open another page.",
    "datasets.file_unreadable": "{path} cannot be read: {reason}.",
    "datasets.format_unknown": "{path} is in no format that is known here: {seen}. Known are {known}; name one with "
    "--format.",
    "datasets.dataset_wrong": "{what} cannot be read as a dataset: {reason}.",
    "datasets.hub_refused": "{what} cannot be fetched: {reason}.",
    "datasets.record_refused": "{where}: {reason}. Mend it, or leave out --strict to count such records and go on.",
    "datasets.recipe_wrong": "The recipe cannot be used: {reason}.",
    "datasets.output_exists": "{path} is there already, and what was made is never changed. Choose another name, or "
    "replace it with --force.",
    "datasets.output_foreign": "{path} is not replaced: {reason}. Only what manage.py clean made is. Choose another "
    "name, or move away what is there.",
    "datasets.output_busy": "Another run is at work in {path}. Wait until it has ended, or choose another name.",
    "datasets.output_unwritable": "{path} cannot be written: {reason}. Make room or choose another folder, and start "
    "again.",
    "datasets.work_stale": "{path} is what a run left that was broken off, with another recipe, other input or "
    "another version. Begin anew with --force, or remove it.",
    "datasets.name_wrong": "{name!r} names no dataset, or no set of one: {reason}.",
    "datasets.version_unknown": "There is no {what}. `manage.py dataset list` prints those that there are.",
    "datasets.row_unknown": "There is no row {what} in {version}. `manage.py dataset show` says how many each set has.",
    "datasets.folder_wrong": "{path} cannot be stored as a version: {reason}.",
    "datasets.derivation_wrong": "{reason}.",
    "datasets.tokenizer_wrong": "Tokens cannot be counted by {path}: {reason}.",
    "datasets.consent_gone": "Of what was taken from the site, something may be used no more: {reasons}. Nothing was "
    "stored. Start the same command again, with --force if the output is there: it begins anew without that.",
    "datasets.site_folder": "Some of these rows were made of what people wrote on a site. They are stored by "
    "`manage.py clean --input site:... --dataset NAME` alone, so that an erasure finds them.",
    "datasets.takedown_refused": "{what} is not taken down: {reason}.",
    "datasets.release_refused": "{what}: {reason}.",
    "datasets.release_unknown": "There is no release {what}. `manage.py dataset releases` prints those that there are.",
    "datasets.publishing_failed": "{what} is not published in {place}: {reason}.",
    "datasets.worker_lost": "A process of the run was ended from outside, most likely for want of memory. Start the "
    "same command again, with fewer --workers: it goes on where it was.",
    "datasets.chunk_failed": "A chunk failed on {worker}: {reason}. Mend that and start the same command again: it "
    "goes on where it was.",
    "gateway.no_backends": "There is no web backend yet: add one in the admin under Gateway, Web backends.",
    "gateway.file_not_written": "{path} cannot be written: {reason}",
    "gateway.nginx_refused": "`{command}` failed: {reason}",
    "appeals.text_wrong": "An appeal says in 1 to {limit} characters why a decision was a mistake.",
    "appeals.already_made": "You have appealed against this decision. The answer comes on this page.",
    "appeals.already_answered": "Another moderator has answered this appeal.",
    "holds.held": "This must be kept as it is for now. Ask the people who run this site.",
    "holds.already": "There is a hold on this already. Lift it first, or leave it.",
    "holds.not_in_force": "This hold was lifted before.",
    "leaderboard.refused": "There is no board: {reason}.",
    "leaderboard.file_unreadable": "{path} cannot be read: {reason}.",
    "leaderboard.file_cut": "Line {line}: {reason}. What follows cannot be read, so nothing of it was used. Get the "
    "whole file, or mend it there.",
    "leaderboard.file_refused": "Line {line}: {reason}. Mend it, or leave out --strict to have such rows skipped and "
    "counted.",
    "leaderboard.overtaken": "Another board was published while this one was made, and stays. Try again.",
    "leaderboard.board_missing": "There is no such board: too few battles are of this category, or nothing is known of "
    "how their answers are written.",
    "leaderboard.contestant_unseen": "There is no such model on this leaderboard.",
    "leaderboard.import_unknown": "There is no such import. `manage.py leaderboard imports` lists them.",
    "leaderboard.snapshot_unknown": "There is no such board. `manage.py leaderboard list` prints those that there are.",
    "leaderboard.no_battles": "There is no board: there are no battles that count of two models that can be compared.",
    "leaderboard.battles_malformed": "These are no battles: {reason}.",
    "leaderboard.too_many_models": "There are {n_models} models, and a board has at most {limit}. Leave some out.",
    "leaderboard.not_connected": "The models fall into {n_components} groups between which nobody both won and lost, "
    "so that they have no common scale. Rate one group, or wait for more battles.",
    "leaderboard.ties_wanted": "The tie model {model} needs ties and decided battles. Use the tie model half.",
    "leaderboard.no_maximum": "The votes say nothing yet about ties and sides apart from the models: they become "
    "likelier without end. Use the tie model half without a side effect, or wait for more battles.",
    "leaderboard.not_identified": "The votes cannot tell two effects apart, for example the first side and a model "
    "that is always first. Leave out the side effect or the style, or wait for more battles.",
    "leaderboard.style_wanted": "Style cannot be taken out: {reason}.",
    "leaderboard.independence_wanted": "There is only one of the {of}, and intervals need two that are independent. "
    "Choose other intervals, or wait for more votes.",
    "leaderboard.too_few_battles": "There are no two models with {min_battles} battles that can be compared. Wait for "
    "more, or lower --min-battles.",
    "leaderboard.config_wrong": "{field} {reason}.",
    "leaderboard.times_wanted": "Online Elo needs the time of each battle, and rows without a tstamp have none.",
    "leaderboard.not_converged": "The ratings did not settle within {rounds} rounds (last step {step:.1e}). The board "
    "stays as it was.",
    "leaderboard.bootstrap_lost": "Resampled board {round} of {rounds} cannot be rated: there are too few battles for "
    "a bootstrap. Use the sandwich intervals, or wait for more battles.",
    "leaderboard.anchor_unknown": "{anchor!r} is not among the rated models, so it cannot be the anchor.",
    "moderation.refused": "The text is not accepted here: {reason}. Change it and try again. If this is a "
    "mistake, appeal on the page /account/appeals.",
    "moderation.image_refused": "The image is not accepted here: {reason}. Leave it out, or send another one.",
    "moderation.banned": "You may not take part here {until}. Reason: {reason}. You may still read, export and delete "
    "what is yours. If this is wrong, appeal on the page /account/appeals.",
    "moderation.already_reviewed": "{by} has decided about this incident: {review}.",
    "moderation.nothing_kept": "Nothing of it is kept here any more, so there is nothing to take out.",
    "moderation.still_written": "This is still being written. Take it out when it has ended.",
    "moderation.cannot_block": "The author cannot be blocked: {reason}.",
    "moderation.nothing_set_up": "There is nothing here that judges texts: an administrator has made no rule and no "
    "classifier.",
    "moderation.unavailable": "The texts cannot be judged now: {reason}. Try again later.",
    "models.unknown": "There is no model named {model!r} here. Choose one from the list.",
    "models.wrong_kind": "{model!r} {does}.",
    "models.sees_nothing": "{model!r} cannot see images. Choose a model that can, or leave the images out.",
    "training.config_unreadable": "The configuration {path} cannot be read: {reason}",
    "training.config_invalid": "The configuration is wrong. {reason}",
    "training.data_unfit": "{path} is not fit to train on: {n_wrong} of {n_records} records have a fault.\n{faults}\n"
    "'manage.py dataset check {path}' names the first 20, and with --all every one.",
    "training.output_exists": "{directory} is not empty. Use --overwrite, --resume or another --output.",
    "training.run_active": "{name!r} is being trained by another command. If it was killed, try again in {seconds} s.",
    "training.run_lost": "The run of {name!r} was closed by somebody else; its training process was stopped.",
    "training.run_failed": "Training failed: {reason}",
    "workers.none": "No worker serves {model!r} at the moment. Try again shortly or choose another model.",
    "workers.loading": "{model!r} is still being loaded ({percent} %). Try again in a moment.",
    "workers.failed": "{model!r} could not be loaded by its worker: {reason}",
    "workers.overloaded": "{model!r} has more requests than it can queue. Try again in {retry_after_s} seconds.",
    "workers.provider_loading": "{model!r} is still being loaded where it runs. Try again in {retry_after_s} seconds.",
    "workers.queue_full": "{limit} requests wait for {model!r} already. Try again in {retry_after_s} seconds.",
    "workers.too_many_waiting": "You have {limit} requests waiting for {model!r}, and no more may. Try again later.",
    "workers.waited_too_long": "No place for {model!r} became free within {limit_s} seconds. Try again later.",
    "workers.died": "The worker went away in the middle of the answer. What came so far is kept; ask again.",
    "workers.unreachable": "No worker for {model!r} could be reached ({attempts}). Try again shortly.",
    "workers.timed_out": "A worker took the request for {model!r} and did not begin to answer in time ({attempts}). "
    "Try again; if it stays, tell an administrator.",
    "workers.too_large": "The worker takes no request of this size: {reason}",
    "workers.refused": "The worker refused the request: {reason}",
    "workers.internal": "The worker failed while answering: {reason}",
    "workers.mismatch": "The worker is not what the site takes it for: {reason}. Try again shortly.",
    "workers.generation_gone": "The worker no longer knows this answer. What came so far is kept; ask again.",
    "workers.resting": "No provider of {model!r} takes requests just now. Try again in {retry_after_s} seconds.",
    "workers.provider_wrong": "{reason}.",
    "workers.credential_wrong": "This is neither an enrolment token nor this worker's secret. Make a token with "
    "'manage.py workers token' and start the worker with it as FASTCHAT_ENROLMENT_TOKEN.",
    "workers.secret_weak": "A worker's secret needs at least {length} random characters. Leave it out to get one made.",
    "workers.token_used": "This enrolment token has been used. Make a new one with 'manage.py workers token'; a worker "
    "with --identity needs none when it is restarted.",
    "workers.token_expired": "This enrolment token has expired. Make a new one with 'manage.py workers token'.",
    "workers.alive": "A worker with this id is running. If it is gone, its place is free within a minute.",
    "workers.address_not_allowed": "The worker may not be at this address: {reason}.",
    "workers.allowed_malformed": "{reason}.",
    "workers.lease_malformed": "The lease request is malformed: {reason}",
    "workers.removed": "An administrator removed this worker. Restore it in the admin to let it come back.",
    "privacy.unknown": "There is nothing of this name here. Give the user name or e-mail address of one account, "
    "or the id of a visitor, a conversation or a battle.",
    "privacy.staff": "An account that works in the admin is not erased. Have another administrator take its staff "
    "rights away first.",
    "prompt.too_long": "The conversation does not fit into the model: {reason}",
}
