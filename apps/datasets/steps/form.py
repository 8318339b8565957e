"""Which conversations can be written in a format that holds less than the others."""

from collections import Counter
from dataclasses import dataclass

from apps.datasets.formats.writing import Form, misfit
from apps.datasets.records import Record
from apps.datasets.steps.base import Dropped, MapStep, OptionWrong, Outcome, step


@step
@dataclass(frozen=True)
class FitsForm(MapStep):
    """Drop conversations that cannot be written as `form`: alpaca or completion. With `--write` it comes by itself.

    Alpaca has questions and answers in turn, a system message, and texts alone; both end with an answer.
    """

    name = "fits_form"
    form: str

    def __post_init__(self) -> None:
        if self.form not in list(Form):
            raise OptionWrong(f"form is one of {', '.join(Form)}, and not {self.form!r}")

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        why = misfit(record, Form(self.form))
        return record if why is None else Dropped(f"cannot be written as {self.form}: {why}")
