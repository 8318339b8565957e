"""The form on the page "My data"."""

from django import forms

from apps.consents.models import Consent, How, Kind

_LABELS = {Kind.CHATS: "My chats may be used for training", Kind.BATTLES: "My arena battles may be used for training"}


class ConsentForm(forms.Form):
    """A tick for each kind; the same fields as `Kind`."""

    chats = forms.BooleanField(label=_LABELS[Kind.CHATS], required=False)
    battles = forms.BooleanField(label=_LABELS[Kind.BATTLES], required=False)

    @classmethod
    def of(cls, answers: dict[Kind, Consent | None]) -> "ConsentForm":
        """As it stands now, with when that was said."""
        form = cls(initial={kind: answer is not None and answer.is_given for kind, answer in answers.items()})
        for kind, answer in answers.items():
            form.fields[kind].help_text = _since(answer)
        return form


def _since(answer: Consent | None) -> str:
    if answer is None:
        return "You have not answered: they are not used."
    said = "Allowed" if answer.is_given else "Not allowed"
    why = (
        " You signed in then, and had not said the same with the account and without."
        if answer.how == How.SIGN_IN
        else ""
    )
    return f"{said} since {answer.answered_at:%-d %b %Y, %H:%M} UTC.{why}"
