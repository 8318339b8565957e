"""Forms of the account pages."""

from django import forms


class ApiKeyForm(forms.Form):
    """Name of a new key."""

    name = forms.CharField(max_length=100, label="Name", help_text="What will use it, to recognise it by later.")
