"""How does a run look as one page? Goals with verdicts, why they are missed, and every workload with its pictures."""

import math
from collections.abc import Iterator
from html import escape
from typing import Any

from dronetrack.bench.pictures import pictures
from dronetrack.bench.style import STYLE
from dronetrack.bench.words import METHOD, SIGNS, facts, figure_tables, goal_words, job_rows, peer_rows

Entry = dict[str, Any]

WIDEST = 8.0  # a bar ends where eight times the goal is reached, or an eighth of it
COLUMNS = ("case", "way", "median", "min to max", "", "ours is", "accuracy, remarks")


def html_page(document: Entry) -> str:
    """Return the page that holds everything.

    Parameters
    ----------
    document : dict
        Of `dronetrack.bench.run`.

    Returns
    -------
    str
        HTML, with its style and pictures inside.
    """
    verdicts = [goal["verdict"] for one in document["workloads"] for goal in one["goals"]]
    tiles = "".join(
        f'<a href="#{"why" if one == "missed" else "goals"}"><b>{verdicts.count(one)}</b>{_chip(one)}</a>'
        for one in SIGNS
    )
    links = " ".join(f'<a href="#{one["name"]}">{one["name"]}</a>' for one in document["workloads"])
    about = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in facts(document).items())
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>dronetrack: benchmarks</title><style>{STYLE}</style>",
        "<h1>dronetrack beside its peers and the limits of the machine</h1>",
        f'<div class="tiles">{tiles}</div><dl>{about}</dl><p class="soft">{METHOD}</p><nav>{links}</nav>',
        '<h2 id="goals">Goals</h2>', _goal_table(document),
        _missed(document), *(_section(one) for one in document["workloads"]), _skipped(document),
    ]  # fmt: skip
    return "\n".join(filter(None, parts)) + "\n"


def _chip(verdict: str) -> str:
    return f'<span class="chip {verdict.split(maxsplit=1)[0]}">{SIGNS[verdict]} {verdict}</span>'


def _goal_table(document: Entry) -> str:
    rows = []
    for workload in document["workloads"]:
        for goal in workload["goals"]:
            what, wanted, measured = goal_words(goal)
            last = _bar(goal) if measured else f'<span class="soft">{escape(goal["reason"])}</span>'
            rows.append(
                f'<tr><td><a href="#{workload["name"]}">{workload["name"]}</a></td><td>{escape(what)}</td>'
                f'<td class="n" data-name="goal">{wanted}</td><td class="n" data-name="measured">{measured}</td>'
                f"<td>{last}</td><td>{_chip(goal['verdict'])}</td></tr>"
            )
    head = '<tr><th>workload<th>what<th class="n">goal<th class="n">measured<th>how far (line: goal)<th>verdict</tr>'
    return f'<div class="wide"><table class="goals"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'


def _bar(goal: Entry) -> str:
    """Draw how far a goal is reached, on a scale of powers with the goal in the middle; in a range, where it lies."""
    low, high, measured = goal.get("at_least"), goal.get("at_most"), goal["measured"]
    missed = " missed" if goal["verdict"] == "missed" else ""
    if low is not None and high is not None:
        at = 100.0 * min(max((measured - low) / (high - low) if high > low else 0.5, 0.0), 1.0)
        return f'<div class="goal{missed}"><i style="left:{max(at - 2.0, 0.0):.1f}%;width:4%"></i></div>'
    reached = (measured / low if low is not None else high / measured if measured else WIDEST) if (low or high) else 1.0
    at = 50.0 * (1.0 + min(max(math.log(max(reached, 1e-9)) / math.log(WIDEST), -0.96), 1.0))
    return f'<div class="goal{missed}"><i style="left:0;width:{at:.1f}%"></i><b></b></div>'


def _missed(document: Entry) -> str:
    """Say why goals are missed, each with its profile."""
    cards = [
        _card(workload, goal) for workload in document["workloads"] for goal in workload["goals"]
        if goal["verdict"] == "missed"
    ]  # fmt: skip
    if not cards:
        return ""
    key = '<p class="soft key">Of the processor\'s time:<i class="kernel"></i>kernels<i class="python"></i>Python'
    key += '<i class="system"></i>system calls</p>'
    return f'<h2 id="why">Why goals are missed</h2>{key}{"".join(cards)}'


def _card(workload: Entry, goal: Entry) -> str:
    what, wanted, measured = goal_words(goal)
    case = next(one for one in workload["cases"] if one["name"] == goal["case"])
    seen = case.get("profiles", {}).get(goal["of"], {})
    head = f"<h3>{workload['name']}, {escape(what)}: {measured}, wanted {wanted}</h3><p>{escape(goal['reason'])}</p>"
    return f'<div class="why">{head}{_shares(seen)}{_top(seen)}</div>'


def _shares(seen: Entry) -> str:
    if "kernel_share" not in seen:
        return ""
    parts = ("kernel", "python", "system")
    bars = "".join(f'<i class="{one}" style="width:{100.0 * seen[f"{one}_share"]:.1f}%"></i>' for one in parts)
    return f'<div class="shares" role="img" aria-label="{escape(seen["words"])}">{bars}</div>'


def _top(seen: Entry) -> str:
    rows = "".join(
        f'<tr><td><code>{escape(one["where"])}</code></td><td class="n">{one["share"]:.0%}</td>'
        f'<td class="n">{one["own_share"]:.0%}</td><td class="n">{one["calls"]:,}</td></tr>'
        for one in seen.get("top", ())
    )
    head = '<tr><th>function<th class="n">with what it calls<th class="n">itself<th class="n">calls</tr>'
    table = f'<div class="wide"><table>{head}{rows}</table></div>'
    return f"<details><summary>Where the time goes, by cProfile</summary>{table}</details>" if rows else ""


def _section(workload: Entry) -> str:
    head = f'<section><h2 id="{workload["name"]}">{workload["name"]}</h2><p>{escape(workload["question"])}</p>'
    if not workload["cases"]:
        why = workload["failed"] or (
            "A quick run leaves it out." if workload["quick"] else "What it needs is not here."
        )
        return f'{head}<p class="soft">{escape(why)}</p></section>'
    rows = "".join(_rows(workload))
    heads = "".join(
        f"<th{' class=n' if 2 <= k <= 5 else ''}>{escape(one or workload['unit'])}" for k, one in enumerate(COLUMNS)
    )
    figures = "".join(_figures(*rows) for rows in figure_tables(workload))
    table = f'<div class="wide"><table><tr>{heads}</tr>{rows}</table></div>' if rows else ""
    drawn = "".join(f'<div class="wide">{one}</div>' for one in pictures(workload).values())
    return f"{head}{figures}{drawn}{table}</section>"


def _figures(head: list[str], *rows: list[str]) -> str:
    """Make a table of numbers, which is no wider than they need."""

    def line(cells: list[str], tag: str) -> str:
        return "".join(f"<{tag}{' class=n' if k else ''}>{escape(one)}" for k, one in enumerate(cells))

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f'<div class="wide"><table class="figures"><tr>{line(head, "th")}</tr>{body}</table></div>'


def _rows(workload: Entry) -> Iterator[str]:
    """Make the rows of a table; a case is named where it begins."""
    before = ""
    for name, *cells in job_rows(workload):
        case = next(one for one in workload["cases"] if one["name"] == name)
        ours = ' class="ours"' if case["jobs"][cells[0]]["role"] == "ours" else ""
        line = [name if name != before else "", *cells]
        yield f"<tr{ours}>" + "".join(
            f"<td{' class=n' if 2 <= k <= 5 else ''}>{escape(one)}</td>" for k, one in enumerate(line)
        ) + "</tr>"  # fmt: skip
        before = name


def _skipped(document: Entry) -> str:
    rows = "".join(
        f"<tr><td>{escape(peer)}</td><td>{escape(why)}</td><td>{names}</td></tr>"
        for peer, why, names in peer_rows(document)
    )
    table = f'<div class="wide"><table><tr><th>peer<th>why<th>in</tr>{rows}</table></div>'
    return f'<h2 id="skipped">Peers that were skipped</h2>{table}' if rows else ""
