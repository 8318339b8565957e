"""A person's own API keys."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import services
from apps.accounts.errors import KeyNameEmpty, KeyNameTaken
from apps.accounts.forms import ApiKeyForm
from apps.accounts.models import ApiKey, User


@login_required
@require_http_methods(["GET", "POST"])
def keys(request: HttpRequest) -> HttpResponse:
    """List one's keys; a POST makes one and shows its secret, this once."""
    assert isinstance(request.user, User)  # noqa: S101  # login_required
    form = ApiKeyForm(request.POST or None)
    new_key = None
    if request.method == "POST" and form.is_valid():
        try:
            new_key = services.api_key_create(name=form.cleaned_data["name"], user=request.user)
            form = ApiKeyForm()
        except (KeyNameTaken, KeyNameEmpty) as exc:
            form.add_error("name", exc.message)
    own = ApiKey.objects.filter(user=request.user)
    response = render(request, "accounts/api_keys.html", {"keys": own, "new_key": new_key, "form": form})
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def key_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    services.api_key_revoke(get_object_or_404(ApiKey, pk=pk, user=request.user))
    return redirect("accounts:keys")
