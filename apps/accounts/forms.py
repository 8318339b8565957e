"""Forms of the account pages. What a scope may be is decided by `KeyScope`; here texts become lists."""

import re
from datetime import UTC, date, datetime, time, timedelta

from django import forms

from apps.accounts.key_scope import KeyScope
from apps.accounts.models import Endpoint

OVERLAPS = {
    "0": "stops at once",
    "3600": "works for an hour more",
    "86400": "works for a day more",
    "604800": "works for a week more",
}
"""What happens to the old secret of a key that is rotated, by seconds."""


class ApiKeyForm(forms.Form):
    """Name of a new key."""

    name = forms.CharField(max_length=100, label="Name", help_text="What will use it, to recognise it by later.")


class KeyScopeForm(forms.Form):
    """What a new key is restricted to."""

    expires_at = forms.DateField(
        required=False,
        label="Last day",
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="In UTC. Without one the key works until it is revoked.",
    )
    model_names = forms.CharField(
        required=False,
        label="Models",
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Names as programs give them, one for each line. Without any: all models.",
    )
    endpoints = forms.MultipleChoiceField(
        required=False,
        label="Only for",
        choices=Endpoint.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text="Without any: everything.",
    )
    ip_ranges = forms.CharField(
        required=False,
        label="Addresses",
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="From which it may be used, such as 192.0.2.7 or 10.0.0.0/8, one for each line. Without any: all.",
    )

    def clean_expires_at(self) -> date | None:
        last_day: date | None = self.cleaned_data["expires_at"]
        if last_day == date.max:
            raise forms.ValidationError("Choose an earlier day, or none at all.")
        return last_day

    @property
    def scope(self) -> KeyScope:
        """Of a valid form."""
        last_day = self.cleaned_data["expires_at"]
        return KeyScope(
            model_names=_items(self.cleaned_data["model_names"]),
            endpoints=self.cleaned_data["endpoints"],
            ip_ranges=_items(self.cleaned_data["ip_ranges"]),
            expires_at=last_day and datetime.combine(last_day + timedelta(days=1), time.min, UTC),
        )


class RotationForm(forms.Form):
    """For how long the old secret works beside the new one."""

    overlap_s = forms.ChoiceField(label="The old secret", choices=list(OVERLAPS.items()), initial="86400")

    @property
    def overlap(self) -> timedelta:
        """Of a valid form."""
        return timedelta(seconds=int(self.cleaned_data["overlap_s"]))


def _items(text: str) -> list[str]:
    """The words of a text, each once, in their order."""
    return list(dict.fromkeys(re.findall(r"[^\s,]+", text)))
