"""Releases are proposed by one person and approved or declined by another, once."""

from dataclasses import dataclass

from django.contrib.auth.models import Permission
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts.models import User
from apps.core.texts import clean_text
from apps.datasets.errors import ReleaseRefused
from apps.datasets.models import DatasetVersion
from apps.datasets.release_checks import as_json, checks_of, is_large, n_taken, n_unusable
from apps.datasets.release_models import DatasetRelease, ReleaseState

MAY_PROPOSE, MAY_DECIDE = "datasets.add_datasetrelease", "datasets.approve_datasetrelease"


def release_propose(version: DatasetVersion, set_names: list[str], *, notes: str, by: User) -> DatasetRelease:
    """Raises: ReleaseRefused: somebody may not, something that is needed is not there, or it was proposed before."""
    if not (by.is_active and by.is_staff and by.has_perm(MAY_PROPOSE)):
        raise ReleaseRefused(what=version, reason=f"{by} may not propose releases; an administrator can allow it")
    set_names = sorted(set(set_names))  # in another order it is the same release
    if _open_of(version, set_names).exists():
        raise ReleaseRefused(what=version, reason="it was proposed before, and is not declined")
    checks = checks_of(version, set_names)
    if missing := [check for check in checks if check.is_needed and not check.is_fine]:
        raise ReleaseRefused(what=version, reason="; ".join(f"{check.name}: {check.words}" for check in missing))
    try:
        with transaction.atomic():
            return DatasetRelease.objects.create(
                version=version, sets=set_names, notes=clean_text(notes).strip(), checks=as_json(checks), proposed_by=by
            )
    except IntegrityError as exc:
        raise ReleaseRefused(what=version, reason="it was proposed before, and is not declined") from exc


def release_decide(release: DatasetRelease, *, is_approved: bool, reason: str, by: User) -> DatasetRelease:
    """Raises: ReleaseRefused: by somebody who may not, without a reason, a second time, or of rows taken down since."""
    reason = clean_text(reason).strip()
    may = decision_of(release, by)
    if not may.is_allowed:
        raise ReleaseRefused(what=release, reason=may.words)
    if not reason:
        raise ReleaseRefused(what=release, reason="say why, for whoever asks later")
    if is_approved:
        check_still_allowed(release, is_waited_for=True)
    state = ReleaseState.APPROVED if is_approved else ReleaseState.DECLINED
    n_decided = DatasetRelease.objects.filter(pk=release.pk, state=ReleaseState.PROPOSED).update(
        state=state, reason=reason, decided_by=by, decided_at=timezone.now(), is_alone=may.is_alone
    )
    if not n_decided:
        raise ReleaseRefused(what=release, reason="somebody has decided about it before")
    release.refresh_from_db()
    return release


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether somebody may decide; `words` say why not."""

    is_allowed: bool
    is_alone: bool = False
    words: str = ""


def decision_of(release: DatasetRelease, user: User) -> Decision:
    """Not by whoever proposed it, unless nobody else here could."""
    if not (user.is_active and user.is_staff and user.has_perm(MAY_DECIDE)):
        return Decision(False, words=f"{user} may not approve releases; an administrator can allow it")
    if release.state != ReleaseState.PROPOSED:
        return Decision(False, words="somebody has decided about it before")
    if release.proposed_by_id != user.pk:
        return Decision(True)
    if others_may_decide(user):
        return Decision(False, words="whoever proposed it does not decide about it: ask another who may")
    return Decision(True, is_alone=True)


def others_may_decide(user: User) -> bool:
    app, _, codename = MAY_DECIDE.partition(".")
    permission = Permission.objects.filter(content_type__app_label=app, codename=codename)
    may = Q(is_superuser=True) | Q(user_permissions__in=permission) | Q(groups__permissions__in=permission)
    return User.objects.filter(may, is_active=True, is_staff=True).exclude(pk=user.pk).exists()


def check_still_allowed(release: DatasetRelease, *, is_waited_for: bool = False) -> None:
    """`is_waited_for`: by a page. Of a large release it is then left to its publication to look at whose the rows are.

    Raises: ReleaseRefused.
    """
    if n := n_taken(release.version, release.sets):
        reason = f"{n} of its rows were taken down. Make the next version with `dataset renew`, and release that"
        raise ReleaseRefused(what=release, reason=reason)
    if is_waited_for and is_large(release.version, release.sets):
        return
    if n := n_unusable(release.version, release.sets):
        reason = f"{n} of its rows may be used no more. Make the next version with `dataset renew`, and release that"
        raise ReleaseRefused(what=release, reason=reason)


def _open_of(version: DatasetVersion, set_names: list[str]) -> QuerySet[DatasetRelease]:
    return DatasetRelease.objects.filter(version=version, sets=set_names).exclude(state=ReleaseState.DECLINED)
