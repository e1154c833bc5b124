"""What a revision changes, for `policy diff`: the lines with their colours."""

from consentry.policy import ChangeClass
from streams.cli.frame import show
from streams.differing import Difference, difference, lines_of

__all__ = ["Difference", "difference", "show_difference"]

COLOUR_OF = {ChangeClass.EDITORIAL: "green", ChangeClass.NARROWING: "green", ChangeClass.MATERIAL: "yellow"}


def show_difference(found: Difference) -> None:
    for line in lines_of(found):
        colour = "red" if line.reduces else None if line.weight is None else COLOUR_OF[line.weight]
        show(line.text, fg=colour, bold=line.title)
