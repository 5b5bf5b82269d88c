"""How is a run told? One page that holds everything, and the same as Markdown with pictures, both from the document."""

import pathlib
import statistics
from collections.abc import Iterator
from html import escape
from typing import Any

from dronetrack.bench import plots
from dronetrack.bench.judging import rate, ratio, times_s
from dronetrack.bench.plots import seconds, short

Entry = dict[str, Any]

SIGNS = {"met": "✓", "missed": "✗", "not measured": "-"}
METHOD = (
    "All ways run in turn (A B A B) in one process, after their answers were found equal to ours. Times are medians "
    "over rounds; a ratio is the median of the rounds' ratios. Compiling is left out, everybody's. What works on one "
    "core is timed by the processor time that it spends; what waits or uses several cores, and what is compared with "
    "that, by the wall."
)
STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--paper:#ffffff;--row:#f6f8fa;
--good:#00694d;--bad:#a8480a}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4af;--line:#3d444d;--paper:#0d1117;--row:#161b22;
--good:#4fd6ae;--bad:#ff9d5c}}
@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--line:#bbb;--paper:#fff;--row:#f4f4f4;--good:#00694d;
--bad:#a8480a}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:64rem;margin:auto;
padding:1.5rem}
h1{font-size:1.7rem;margin:0}h2{font-size:1.2rem;margin:2.2rem 0 .2rem;border-top:1px solid var(--line);
padding-top:1.2rem}
p{margin:.3rem 0}.soft{color:var(--soft)}svg{width:100%;height:auto;margin:.6rem 0}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.87rem;margin:.6rem 0}
th,td{text-align:left;padding:.28rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--soft)}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
tr:nth-child(even) td{background:var(--row)}
.met{color:var(--good);font-weight:600;white-space:nowrap}.missed{color:var(--bad);font-weight:600;white-space:nowrap}
.not{color:var(--soft);white-space:nowrap}
.tiles{display:flex;gap:1rem;margin:1rem 0;flex-wrap:wrap}.tiles div{border:1px solid var(--line);border-radius:8px;
padding:.6rem 1rem;min-width:8rem}.tiles b{display:block;font-size:1.6rem;line-height:1.2}
@media print{body{font-size:9pt;padding:0;max-width:none}.wide{overflow:visible}table{font-size:7pt}
th,td{padding:.12rem .25rem}td.n,th.n{white-space:normal}tr,svg{break-inside:avoid}h2{break-after:avoid}}
nav a{margin-right:.8rem;white-space:nowrap}a{color:inherit}code{font-size:.85em}
"""


def write_pages(document: Entry, folder: pathlib.Path) -> list[pathlib.Path]:
    """Write ``report.html``, ``RESULTS.md`` and ``plots/``.

    Parameters
    ----------
    document : dict
        Of `dronetrack.bench.run`.
    folder : Path
        Where to.

    Returns
    -------
    list of Path
        The two pages.
    """
    (folder / "plots").mkdir(exist_ok=True)
    for workload in document["workloads"]:
        for kind, picture in pictures(workload).items():
            (folder / "plots" / f"{workload['name']}-{kind}.svg").write_text(picture + "\n", encoding="utf-8")
    pages = {"report.html": html_page(document), "RESULTS.md": markdown_page(document)}
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in pages]


def pictures(workload: Entry) -> dict[str, str]:
    """Draw a workload: those of ``cost``, ``ratio`` and ``accuracy`` for which it has numbers.

    Parameters
    ----------
    workload : dict
        Of the document.

    Returns
    -------
    dict of str to str
        SVG by kind.
    """
    drawn = {
        "ratio": plots.ratio_bars(list(_ratio_rows(workload))),
        "cost": plots.cost_lines(_cost_points(workload), workload["unit"]),
        "accuracy": _accuracy(workload),
    }
    return {kind: picture for kind, picture in drawn.items() if picture}


def _timed(case: Entry) -> dict[str, Entry]:
    return {name: job for name, job in case["jobs"].items() if "wall_s" in job}


def _best(case: Entry) -> str | None:
    """Which job of ours the others of a case are compared with: the first."""
    return next((name for name, job in _timed(case).items() if job["role"] == "ours"), None)


def _ratio_rows(workload: Entry) -> Iterator[tuple[str, str, str, float, float | None]]:
    for case in workload["cases"]:
        ours = _best(case)
        if ours is None:
            continue
        goals = {
            goal["against"]: goal.get("at_least") for goal in workload["goals"]
            if goal["case"] == case["name"] and goal["measure"] in ("ratio", "share") and goal["of"] == ours
        }  # fmt: skip
        for name, job in _timed(case).items():
            if job["role"] != "ours":
                yield case["name"], name, job["role"], ratio(case, ours, name), goals.get(name)


def _cost_points(workload: Entry) -> dict[str, tuple[str, list[tuple[float, float]]]]:
    lines: dict[str, tuple[str, list[tuple[float, float]]]] = {}
    for case in workload["cases"]:
        if case["n"]:
            for name, job in _timed(case).items():
                lines.setdefault(name, (job["role"], []))[1].append((case["n"], plots.unit_s(job)))
    return lines


def _accuracy(workload: Entry) -> str:
    """Draw the case in which most ways say how near the truth they came."""
    found = []
    for case in workload["cases"]:
        judged = {name: job for name, job in _timed(case).items() if "rmse_m" in job["accuracy"]}
        points = [(name, job["role"], plots.unit_s(job), job["accuracy"]["rmse_m"]) for name, job in judged.items()]
        found.append((len(points), case["name"], points))
    _, name, points = max(found, default=(0, "", []))
    return plots.accuracy_points(points, workload["unit"], f"RMSE in m, {name},")


def goal_words(goal: Entry) -> tuple[str, str, str]:
    """Say what a goal asks, its number, and what was measured.

    Parameters
    ----------
    goal : dict
        Of the document.

    Returns
    -------
    what, wanted, measured : str
        For a row of a table.
    """
    low, high, measured = goal.get("at_least"), goal.get("at_most"), goal["measured"]

    def write(value: float) -> str:
        match goal["measure"]:
            case "ratio":
                return f"{short(value)}x"
            case "share":
                return f"{short(100.0 * value)} %"
            case "figure" if goal["of"].endswith("_share"):
                return f"{short(100.0 * value)} %"
            case "seconds":
                return seconds(value)
            case "rate":
                return f"{short(value)} {goal['unit']}"
        return short(value)

    what = (
        f"{goal['of']} {'of' if goal['measure'] == 'share' else 'over'} {goal['against']}"
        if "against" in goal
        else goal["of"]
    )
    if low is not None and high is not None:
        wanted = write(low) if low == high else f"{write(low)} to {write(high)}"
    else:
        wanted = f"≤ {write(high)}" if low is None else f"≥ {write(low)}"
    return f"{goal['case']}: {what}", wanted, "" if measured is None else write(measured)


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
    tiles = "".join(f"<div><b>{verdicts.count(one)}</b>{SIGNS[one]} {one}</div>" for one in SIGNS)
    names = [one["name"] for one in document["workloads"]]
    links = " ".join(f'<a href="#{name}">{name}</a>' for name in names)
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>dronetrack: benchmarks</title><style>{STYLE}</style>",
        "<h1>dronetrack: benchmarks</h1>",
        *(f'<p class="soft">{escape(line)}</p>' for line in head_lines(document)),
        f'<div class="tiles">{tiles}</div><nav class="soft">{links}</nav>',
        "<h2>Goals</h2>", _goal_table(document),
        *(_section(one) for one in document["workloads"]),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def head_lines(document: Entry) -> list[str]:
    """Say on what, of what and how it was measured, line by line."""
    where, of = document["machine"], document["versions"]
    packages = ", ".join(f"{name} {version}" for name, version in of.items() if name != "dronetrack")
    commit = document["commit"] or "an installed package"
    lines = [
        f"{document['started']}, dronetrack {of['dronetrack']} ({commit}), seed {document['seed']}",
        f"{where['processor']}, {where['cores']} cores, {where['memory_gb']} GB, load {where['load']} when it started",
        f"{where['system']}, Python {where['python']}, {packages}",
        METHOD,
    ]
    lines += [f"Not finished: {', '.join(document['left'])} are left."] if document["left"] else []
    busy = where["load"] > where["cores"]
    lines += ["The machine was busy with other work: times by the wall are too long."] if busy else []
    return lines + (["A quick run: small sizes, few rounds."] if document["quick"] else [])


def _goal_table(document: Entry) -> str:
    rows = []
    for workload in document["workloads"]:
        for goal in workload["goals"]:
            what, wanted, measured = goal_words(goal)
            word = goal["verdict"]
            rows.append(
                f'<tr><td><a href="#{workload["name"]}">{workload["name"]}</a></td><td>{escape(what)}</td>'
                f'<td class="n">{wanted}</td><td class="n">{measured}</td>'
                f'<td class="{word.split()[0]}">{SIGNS[word]} {word}</td>'
                f"<td>{escape(goal['reason'])}</td></tr>"
            )
    head = '<tr><th>workload<th>what<th class="n">goal<th class="n">measured<th>verdict<th>why</tr>'
    return f'<div class="wide"><table>{head}{"".join(rows)}</table></div>'


def _section(workload: Entry) -> str:
    head = f'<section><h2 id="{workload["name"]}">{workload["name"]}</h2><p>{escape(workload["question"])}</p>'
    rows = "".join(_html_row(row) for row in job_rows(workload))
    columns = ("case", "way", "median", "min to max", workload["unit"], "ours is", "accuracy, remarks")
    heads = "".join(f"<th{' class=n' if 2 <= k <= 5 else ''}>{escape(one)}" for k, one in enumerate(columns))
    skipped = "".join(f"<p class=soft>Skipped {name}: {escape(why)}.</p>" for name, why in workload["skipped"].items())
    figures = "".join(f"<p>{escape(line)}</p>" for line in figure_lines(workload))
    table = f'<div class="wide"><table><tr>{heads}</tr>{rows}</table></div>' if rows else ""
    return f"{head}{figures}{''.join(pictures(workload).values())}{table}{skipped}</section>"


def _html_row(row: tuple[str, ...]) -> str:
    cells = "".join(f"<td{' class=n' if 2 <= k <= 5 else ''}>{escape(one)}</td>" for k, one in enumerate(row))
    return f"<tr>{cells}</tr>"


def figure_lines(workload: Entry) -> list[str]:
    """Write what was measured otherwise than by racing, a line for each case."""
    return [
        f"{case['name']}: " + ", ".join(f"{name} {short(value)}" for name, value in case["figures"].items())
        for case in workload["cases"] if case["figures"]
    ]  # fmt: skip


def job_rows(workload: Entry) -> Iterator[tuple[str, ...]]:
    """Make the rows of a workload's table.

    Parameters
    ----------
    workload : dict
        Of the document.

    Yields
    ------
    tuple of str
        Case, way, median, spread, rate, ratio, accuracy and remarks.
    """
    for case in workload["cases"]:
        ours, unit = _best(case), "" if case["unit"] == workload["unit"] else f" {case['unit']}"
        for name, job in case["jobs"].items():
            accuracy = ", ".join(f"{key} {short(value)}" for key, value in job["accuracy"].items())
            clock = "by the wall" if job.get("clock") == "wall" else ""
            remarks = "; ".join(filter(None, (accuracy, clock, job.get("excused", ""), job.get("left_out", ""))))
            if "wall_s" not in job:
                yield case["name"], name, "left out", "", "", "", remarks
                continue
            times = times_s(job)
            faster = f"{short(ratio(case, ours, name))}x" if ours and name != ours else ""
            spread = f"{seconds(min(times))} to {seconds(max(times))}"
            yield (
                case["name"],
                name,
                seconds(statistics.median(times)),
                spread,
                short(rate(job)) + unit,
                faster,
                remarks,
            )


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
    lines += [f"- {one}" for one in head_lines(document)] + ["", "## Goals", ""]
    lines += ["| workload | what | goal | measured | verdict | why |", "|---|---|--:|--:|---|---|"]
    for workload in document["workloads"]:
        for goal in workload["goals"]:
            what, wanted, measured = goal_words(goal)
            verdict = f"{SIGNS[goal['verdict']]} {goal['verdict']}"
            lines.append(_line(workload["name"], what, wanted, measured, verdict, goal["reason"]))
    for workload in document["workloads"]:
        lines += ["", f"## {workload['name']}", "", workload["question"], ""]
        lines += [f"- {one}" for one in figure_lines(workload)]
        lines += [f"\n![{kind}](plots/{workload['name']}-{kind}.svg)\n" for kind in pictures(workload)]
        rows = list(job_rows(workload))
        if rows:
            lines += ["", f"| case | way | median | min to max | {workload['unit']} | ours is | accuracy, remarks |"]
            lines += ["|---|---|--:|--:|--:|--:|---|", *(_line(*row) for row in rows)]
        lines += [f"\nSkipped {name}: {why}." for name, why in workload["skipped"].items()]
    return "\n".join(lines) + "\n"


def _line(*cells: str) -> str:
    return "| " + " | ".join(one.replace("|", "\\|") for one in cells) + " |"
