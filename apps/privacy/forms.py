"""The form by which somebody asks to be erased."""

from typing import Any

from django import forms

from apps.accounts.models import User


class EraseForm(forms.Form):
    """A person with a password gives it: whoever finds an open browser must not erase everything."""

    password = forms.CharField(
        label="Your password",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    is_sure = forms.BooleanField(label="Erase all of it. I know that nobody can bring it back.")

    def __init__(self, *args: Any, user: User | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._user = user
        if user is None or not user.has_usable_password():
            del self.fields["password"]

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if self._user is None or not self._user.check_password(password):
            raise forms.ValidationError("This is not your password.")
        return password
