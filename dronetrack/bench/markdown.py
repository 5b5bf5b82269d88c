"""How does a run read as Markdown? Tables, with its pictures beside it."""

from typing import Any

from dronetrack.bench.pictures import pictures
from dronetrack.bench.words import METHOD, SIGNS, facts, figure_tables, goal_words, job_rows, peer_rows

Entry = dict[str, Any]


def markdown_page(document: Entry) -> str:
    """Return the same as Markdown, with its pictures beside it.

    Parameters
    ----------
    document : dict
        Of `dronetrack.bench.run`.

    Returns
    -------
    str
        Markdown.
    """
    lines = ["# Results of the benchmarks", "", "Made by `dronetrack bench`, never by hand.", ""]
    lines += [f"- {name}: {words}" for name, words in facts(document).items()] + ["", METHOD, "", "## Goals", ""]
    lines += ["| workload | what | goal | measured | verdict | why |", "|---|---|--:|--:|---|---|"]
    for workload in document["workloads"]:
        for goal in workload["goals"]:
            what, wanted, measured = goal_words(goal)
            verdict = f"{SIGNS[goal['verdict']]} {goal['verdict']}"
            lines.append(_line(workload["name"], what, wanted, measured, verdict, goal["reason"]))
    for workload in document["workloads"]:
        lines += ["", f"## {workload['name']}", "", workload["question"], ""]
        for head, *rows in figure_tables(workload):
            lines += ["", _line(*head), "|---|" + "--:|" * (len(head) - 1), *(_line(*row) for row in rows)]
        lines += [f"\n![{kind}](plots/{workload['name']}-{kind}.svg)\n" for kind in pictures(workload)]
        rows = list(job_rows(workload))
        if rows:
            lines += ["", f"| case | way | median | min to max | {workload['unit']} | ours is | accuracy, remarks |"]
            lines += ["|---|---|--:|--:|--:|--:|---|", *(_line(*row) for row in rows)]
    skipped = peer_rows(document)
    if skipped:
        lines += [
            "",
            "## Peers that were skipped",
            "",
            "| peer | why | in |",
            "|---|---|---|",
            *(_line(*row) for row in skipped),
        ]
    return "\n".join(lines) + "\n"


def _line(*cells: str) -> str:
    return "| " + " | ".join(one.replace("|", "\\|") for one in cells) + " |"
