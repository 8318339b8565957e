"""Admin pages of the arena. Battles and votes cannot be deleted or changed; whether a vote counts can be decided."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from apps.accounts.models import User
from apps.arena.models import Arena, Battle, Contestant, Integrity, Position, Side, Vote
from apps.arena.services.entries import arena_fill, contestant_retire
from apps.arena.services.votes import vote_overrule
from apps.core.admin import KeptAdmin

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Any]
else:
    _ModelForm = forms.ModelForm  # generic in its stubs only


@admin.register(Arena)
class ArenaAdmin(ModelAdmin):
    list_display = ("name", "slug", "kind", "is_open", "enters_all_models", "pairing")
    list_filter = ("kind", "is_open")
    search_fields = ("name", "slug")
    autocomplete_fields = ("groups", "members")

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False  # its battles and votes stay: close it instead

    def get_readonly_fields(self, request: HttpRequest, obj: Arena | None = None) -> tuple[str, ...]:
        # Links to it are with those who fought there, and programs name it.
        has_battles = obj is not None and obj.battles.exists()
        return ("slug",) if has_battles else ()

    def save_model(self, request: HttpRequest, obj: Arena, form: object, change: bool) -> None:
        super().save_model(request, obj, form, change)
        arena_fill(obj)


class ContestantForm(_ModelForm):
    """Targets are others of the same arena. One whose model was deleted, or has not come yet, goes without."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "model" in self.fields and self.instance.pk is not None and self.instance.model_id is None:
            self.fields["model"].required = False

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        targets, arena = cleaned.get("targets"), cleaned.get("arena")
        arena_pk = self.instance.arena_id if arena is None else arena.pk
        for target in targets or ():
            if target.arena_id != arena_pk or target.pk == self.instance.pk:
                raise forms.ValidationError({"targets": f"{target} is not another contestant of this arena."})
        if cleaned.get("has_strict_targets") and not targets:
            raise forms.ValidationError({"has_strict_targets": "Without targets it would meet nobody."})
        return cleaned


@admin.register(Contestant)
class ContestantAdmin(ModelAdmin):
    form = ContestantForm
    list_display = ("name", "arena", "model", "weight", "boost", "is_available", "is_anonymous_only", "retired_at")
    list_editable = ("weight", "boost", "is_available")
    list_filter = ("arena", "is_available", "is_anonymous_only", "retired_at")
    list_select_related = ("arena", "model")
    search_fields = ("name", "model__name")
    autocomplete_fields = ("arena", "model", "targets")
    readonly_fields = ("public_id", "created_at")
    actions = ("retire",)

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False  # everybody who ever took part stays on record: retire it instead

    def get_readonly_fields(self, request: HttpRequest, obj: Contestant | None = None) -> tuple[str, ...]:
        # Votes say who won under which instructions: another model or other instructions are another contestant.
        fixed = ("arena", "model", "system_prompt", "temperature", "top_p", "max_tokens")
        has_fought = obj is not None and Side.objects.filter(contestant=obj).exists()
        return (*self.readonly_fields, *fixed) if has_fought else tuple(self.readonly_fields)

    def save_model(self, request: HttpRequest, obj: Contestant, form: _ModelForm, change: bool) -> None:
        if {"is_available", "model"} & {*form.changed_data}:
            obj.awaits_model = False
        super().save_model(request, obj, form, change)

    @admin.action(description="Retire: take part in no new battles")
    def retire(self, request: HttpRequest, queryset: QuerySet[Contestant]) -> None:
        retired = [contestant for contestant in queryset if contestant_retire(contestant)]
        for contestant in retired:
            self.log_change(request, contestant, "retired by action")
        self.message_user(request, f"{len(retired)} contestant(s) retired.", messages.SUCCESS)


class SideInline(TabularInline):
    model = Side
    extra = 0
    can_delete = False
    show_change_link = False
    fields = readonly_fields = ("position", "contestant", "conversation")

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Side]:
        queryset: QuerySet[Side] = super().get_queryset(request)
        return queryset.select_related("contestant", "conversation")


@admin.register(Battle)
class BattleAdmin(KeptAdmin):
    list_display = (
        "public_id", "arena", "is_anonymous", "a", "b", "n_turns", "follows", "user", "visitor", "created_at",
    )  # fmt: skip
    list_filter = ("arena", "is_anonymous", "follows", "created_at")
    list_select_related = ("arena", "user", "visitor")
    search_fields = ("public_id", "user__username", "visitor__public_id")
    search_help_text = "Id of a battle or visitor, or a user name"
    show_full_result_count = False
    fields = readonly_fields = (
        "public_id",
        "arena",
        "user",
        "visitor",
        "api_key",
        "is_anonymous",
        "n_turns",
        "previous",
        "follows",
        "revealed_at",
        "created_at",
    )
    inlines = (SideInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Battle]:
        queryset: QuerySet[Battle] = super().get_queryset(request)
        return queryset.prefetch_related("sides__contestant")

    @admin.display(description="A")
    def a(self, battle: Battle) -> str:
        return _contestant(battle, Position.A)

    @admin.display(description="B")
    def b(self, battle: Battle) -> str:
        return _contestant(battle, Position.B)


class VoteForm(_ModelForm):
    """A decision says why."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("overruled") and not (cleaned.get("overruled_why") or "").strip():
            raise forms.ValidationError({"overruled_why": "Say why, for those who look at it later."})
        return cleaned


@admin.register(Vote)
class VoteAdmin(KeptAdmin):
    form = VoteForm
    list_display = (
        "created_at", "battle", "a", "b", "verdict", "is_anonymous", "integrity", "reasons", "weight", "overruled",
    )  # fmt: skip
    list_filter = ("integrity", "overruled", "verdict", "battle__arena", "battle__is_anonymous", "created_at")
    list_select_related = ("battle",)
    search_fields = ("battle__public_id", "battle__user__username", "battle__visitor__public_id")
    search_help_text = "Id of a battle or visitor, or a user name"
    show_full_result_count = False
    date_hierarchy = "created_at"
    readonly_fields = (
        "battle",
        "verdict",
        "n_turns",
        "integrity",
        "reasons",
        "weight",
        "created_at",
        "overruled_by",
        "overruled_at",
    )
    fields = (*readonly_fields, "overruled", "overruled_why")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Vote]:
        queryset: QuerySet[Vote] = super().get_queryset(request)
        return queryset.prefetch_related("battle__sides__contestant")

    def save_model(self, request: HttpRequest, obj: Vote, form: VoteForm, change: bool) -> None:
        if not form.has_changed():
            return  # looked at and saved as it was: nobody has decided anything
        assert isinstance(request.user, User)  # noqa: S101  # whoever is here is signed in
        decision = Integrity(obj.overruled) if obj.overruled else None
        vote_overrule(vote=obj, decision=decision, why=obj.overruled_why, admin=request.user)

    @admin.display(description="A")
    def a(self, vote: Vote) -> str:
        return _contestant(vote.battle, Position.A)

    @admin.display(description="B")
    def b(self, vote: Vote) -> str:
        return _contestant(vote.battle, Position.B)

    @admin.display(description="anonymous", boolean=True)
    def is_anonymous(self, vote: Vote) -> bool:
        return vote.battle.is_anonymous


def _contestant(battle: Battle, position: Position) -> str:
    return next((str(side.contestant) for side in battle.sides.all() if side.position == position), "")
