"""A person's answers come in here. The form stands on the page "My data"."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from apps.accounts.actors import actor_get
from apps.consents.forms import ConsentForm
from apps.consents.models import Kind
from apps.consents.services import consent_answer


@require_POST
def answer(request: HttpRequest) -> HttpResponse:
    """Write down what has changed. Who is unknown has nothing that could be used."""
    form, actor = ConsentForm(request.POST), actor_get(request.user, request.COOKIES)
    form.full_clean()
    changed = [kind for kind in Kind if consent_answer(actor=actor, kind=kind, is_given=form.cleaned_data[kind])]
    for kind in changed:
        told = "may be used for training from now on" if form.cleaned_data[kind] else "are not used any more"
        messages.success(request, f"{kind.label}: they {told}.")
    return redirect("privacy:erase")
