"""`manage.py trace ID`: what became of a request, from its arrival to its end."""

from argparse import ArgumentParser
from datetime import datetime
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from apps.core.logs import pseudonym
from apps.workers.models import PoolRequest
from apps.workers.timeline import Moment, lines


class Command(BaseCommand):
    help = "Print the timeline of a request: the X-Request-ID of an API call, or the id of an answer in a chat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("id", nargs="?", help="X-Request-ID of the reply, or the answer's id")
        what.add_argument("--end-user", help="`user` or `safety_identifier` of an API call: print how the log names it")

    def handle(self, *args: object, **options: object) -> None:
        if options["end_user"]:
            self.stdout.write(f"end user {pseudonym(str(options['end_user']))}")
            return
        wanted = str(options["id"])
        found = list(PoolRequest.objects.filter(_names(wanted)).select_related("model", "worker").order_by("pk"))
        if not found:
            raise CommandError(f"no request {wanted!r} is in the log, which goes back REQUEST_LOG_DAYS days")
        for request in found:
            self.stdout.write(f"{request.path} of {request.model.name} for {request.party}, id {request.trace_id}")
            for line in lines(_moments(request)):
                self.stdout.write(line)


def _names(wanted: str) -> Q:
    try:
        return Q(trace_id=wanted) | Q(generation_id=UUID(wanted))
    except ValueError:
        return Q(trace_id=wanted)


def _moments(request: PoolRequest) -> list[Moment]:
    moments = [Moment(request.created_at, "arrived, and was queued")]
    if request.admitted_at is not None:
        moments.append(Moment(request.admitted_at, "its turn came"))
    moments += [
        Moment(datetime.fromisoformat(attempt["at"]), f"worker {attempt['worker']} failed: {attempt['cause']}")
        for attempt in request.attempts
    ]
    if request.first_event_at is not None:
        moments.append(Moment(request.first_event_at, f"first event, from worker {request.worker or 'that is gone'}"))
    if request.ended_at is not None:
        moments.append(Moment(request.ended_at, f"ended: {request.outcome}"))
    return moments
