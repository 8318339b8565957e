"""The card of a release: what it is, how it was made, what was left out and why. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from apps.datasets.cards import card_cell

FIGURES = "figures"


def release_card(
    card: str,
    *,
    notes: str,
    checks: Iterable[Mapping[str, Any]],
    steps: Mapping[str, list[dict[str, Any]]],
    takedowns: Mapping[str, int],
    figures: Mapping[str, list[tuple[str, str]]],
) -> str:
    """`card`: the version's. `steps`: reports of all steps of each set. `takedowns`: how many by their reason.
    `figures`: title and file of each chart of a set.

    Source: the questions of Gebru et al. (2021), Datasheets for Datasets, that the site can answer.
    """
    lines = [card.rstrip().replace("What each step did is in `report.json`. ", ""), ""]
    if notes:
        lines += ["## Notes", "", notes, ""]
    lines += ["## Statistics", ""]
    for set_name, drawn in figures.items():
        lines += [f"### {set_name}", "", *(f"![{title} of {set_name}]({file})" for title, file in drawn), ""]
    lines += ["## Cleaning", "", "Of every step what came, what went on, and why rows were dropped.", ""]
    for set_name, reports in steps.items():
        lines += [f"### Steps of {set_name}", "", *_steps(reports), ""]
    lines += ["## Before the release", ""]
    lines += [f"- {one['name']}: {one['words']}" for one in checks]
    lines += ["", "## Takedowns", ""]
    if takedowns:
        lines += [f"- {reason}: {n}" for reason, n in sorted(takedowns.items())]
    else:
        lines += ["Nothing was taken down from this dataset so far."]
    lines += [
        "",
        "Whoever finds something here that must not be here asks the people who publish it, and names the `id` of the "
        "row: later versions are without it. Use the newest version.",
        "",
    ]
    return "\n".join(lines)


def _steps(reports: list[dict[str, Any]]) -> list[str]:
    """Without the reports' examples, which quote rows that were left out."""
    lines = ["| step | in | out | dropped |", "|---|---:|---:|---|"]
    for one in reports:
        dropped = ", ".join(f"{card_cell(reason)} {n}" for reason, n in one["dropped"].items())
        lines.append(f"| {one['name']} | {one['n_in']} | {one['n_out']} | {dropped} |")
    return lines
