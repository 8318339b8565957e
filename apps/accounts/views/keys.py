"""A person's own API keys: make, rotate, revoke."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import services
from apps.accounts.errors import KeyInvalid, KeyNameEmpty, KeyNameTaken, KeyScopeWrong
from apps.accounts.forms import ApiKeyForm, KeyScopeForm, RotationForm
from apps.accounts.models import ApiKey, User
from apps.accounts.services import NewKey


@login_required
@require_http_methods(["GET", "POST"])
def keys(request: HttpRequest) -> HttpResponse:
    """List one's keys; a POST makes one and shows its secret, this once."""
    assert isinstance(request.user, User)  # noqa: S101  # login_required
    form, scope_form = ApiKeyForm(request.POST or None), KeyScopeForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and scope_form.is_valid():
        try:
            new_key = services.api_key_create(name=form.cleaned_data["name"], user=request.user, scope=scope_form.scope)
            return _page(request, new_key=new_key)
        except (KeyNameTaken, KeyNameEmpty) as exc:
            form.add_error("name", exc.message)
        except KeyScopeWrong as exc:
            scope_form.add_error(exc.field, exc.message)
    return _page(request, form=form, scope_form=scope_form)


@login_required
@require_POST
def key_rotate(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a key another secret and show it, this once."""
    key = get_object_or_404(ApiKey, pk=pk, user=request.user)
    rotation = RotationForm(request.POST)
    if not rotation.is_valid():
        return _page(request, problem="Choose for how long the old secret works.", status=400)
    try:
        return _page(request, new_key=services.api_key_rotate(key, overlap=rotation.overlap))
    except KeyInvalid:
        return _page(request, problem=f"“{key.name}” is revoked or has expired. Make a new key instead.", status=409)


@login_required
@require_POST
def key_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    services.api_key_revoke(get_object_or_404(ApiKey, pk=pk, user=request.user))
    return redirect("accounts:keys")


def _page(
    request: HttpRequest,
    *,
    form: ApiKeyForm | None = None,
    scope_form: KeyScopeForm | None = None,
    new_key: NewKey | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    user = request.user
    assert isinstance(user, User)  # noqa: S101  # login_required
    context = {
        "keys": user.api_keys.all(),
        "new_key": new_key,
        "problem": problem,
        "form": form or ApiKeyForm(),
        "scope_form": scope_form or KeyScopeForm(),
        "rotation_form": RotationForm(),
    }
    response = render(request, "accounts/api_keys.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response
