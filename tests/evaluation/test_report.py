"""Tables in plain text."""

import numpy as np

from mmseg.evaluation.confusion import scores
from mmseg.evaluation.report import render_table, score_table


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_table_is_drawn_in_ascii_under_its_title():
    table = render_table(["class", "id"], [["road", 1], ["woodland", 12]], title="Classes")
    assert table.splitlines() == [
        "Classes",
        "+---------------+",
        "| class    | id |",
        "|----------+----|",
        "| road     |  1 |",
        "| woodland | 12 |",
        "+---------------+",
    ]


def test_long_row_is_neither_wrapped_nor_cut():
    row = ["x" * 400] * 5
    assert cells(render_table(list("abcde"), [row]).splitlines()[3]) == row


def test_markup_in_a_name_is_shown_as_it_is():
    assert "[red]a :smile: [/]" in render_table(["[b]"], [["[red]a :smile: [/]"]])


def test_score_table_shows_each_class_and_the_summary():
    matrix = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    lines = score_table(scores(matrix), ["road", "water", "nothing"], ["mIoU"]).splitlines()
    rows = [cells(line) for line in lines if line.startswith("| ")]
    assert rows == [
        ["class", "IoU", "Acc"],
        ["road", "75.00", "75.00"],
        ["water", "80.00", "100.00"],
        ["nothing", "n/a", "n/a"],
        ["aAcc", "mIoU", "mAcc"],
        ["87.50", "77.50", "87.50"],
    ]
