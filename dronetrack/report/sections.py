"""What does each part of the report say? Tables and pictures, section by section."""

from collections.abc import Iterator, Sequence

import numpy as np

from dronetrack.report.accuracy import consistency_of, draw_accuracy
from dronetrack.report.legend import TIMELINE_SIGNS, sign
from dronetrack.report.map import draw_crossing, draw_map, held_rows, neighbours
from dronetrack.report.parts import NOTHING, SIGNS, Cell, Figure, Section, Table, Teller
from dronetrack.report.story import Duty, Moment, Story
from dronetrack.report.timeline import ENDED, draw_timeline

MOST_GAPS = 12  # the longest are told one by one


def sections(tell: Teller) -> list[Section]:
    """Return the parts of the page in their order."""
    return [
        _section(tell, "custody", figures=[_timeline(tell)], tables=[_moments(tell), _stints(tell)]),
        _where(tell),
        _section(tell, "continuity", words=_continuity(tell), tables=[_gaps(tell)]),
        _section(tell, "latency", tables=[_latencies(tell)]),
        _accuracy(tell),
        _section(tell, "duties", tables=[_owed(tell), _grants(tell), _rules(tell)]),
        _section(tell, "refused", tables=[_refused_acts(tell), _refused_rows(tell)]),
        _section(
            tell,
            "access",
            words=[tell.catalogue.say("access.words")],
            tables=[_accesses(tell), _disclosures(tell), _removals(tell)],
        ),
        _section(tell, "seal", tables=[_sealed(tell)]),
        _section(tell, "provenance", words=_attributions(tell), tables=[_parties(tell), _sensors(tell)]),
    ]


def _section(
    tell: Teller,
    name: str,
    *,
    words: Sequence[str] = (),
    figures: Sequence[Figure] = (),
    tables: Sequence[Table] = (),
) -> Section:
    return Section(name, tell.catalogue.say(f"section.{name}"), words, figures, tables)


def _timeline(tell: Teller) -> Figure:
    say = tell.catalogue.say
    legend = [(sign(look), say(f"legend.{look}")) for look in TIMELINE_SIGNS]
    return Figure(draw_timeline(tell.story, tell.catalogue), say("timeline.caption"), legend)


def _moments(tell: Teller) -> Table:
    heads = tell.heads("number", "time", "what", "authority", "article", "words")
    return Table(tell.catalogue.say("moments.caption"), heads, [*_moment_rows(tell)], tell.empty("moments"))


def _moment_rows(tell: Teller) -> Iterator[list[Cell]]:
    for number, one in enumerate(tell.story.moments, start=1):
        yield [
            Cell(str(number)),
            tell.when(one.time_us, digits=1),
            _what(tell, one),
            Cell(one.authority),
            tell.cite(one.article),
            Cell(one.words),
        ]


def _what(tell: Teller, moment: Moment) -> Cell:
    """Say what happened: an act, with the state to which it led, or a conclusion, with its cause."""
    catalogue = tell.catalogue
    state = catalogue.say("moments.custody", state=catalogue.name("state", moment.state)) if moment.state else ""
    if moment.kind == "act":
        return Cell(catalogue.name("act", moment.what), state)
    if moment.kind == "refused":
        refused = catalogue.say("moments.refused", what=catalogue.name("act", moment.what))
        return Cell(refused, sign=SIGNS["refused"], look="bad")
    if moment.what == "missed":
        missed = catalogue.say("moments.missed", duty=catalogue.name("duty", moment.about))
        return Cell(missed, sign=SIGNS["missed"], look="bad")
    return Cell(state or catalogue.name("event", moment.what), tell.cause(moment.about) if moment.about else "")


def _stints(tell: Teller) -> Table:
    rows = [
        [
            Cell(tell.catalogue.name("state", one.state)),
            Cell(one.holder or NOTHING),
            tell.when(one.start_us, digits=1),
            Cell(tell.catalogue.duration(one.end_us - one.start_us)),
            tell.cite(one.article),
            Cell(tell.cause(one.cause)),
        ]
        for one in tell.story.stints
    ]
    heads = tell.heads("state", "holder", "since", "span", "article", "cause")
    return Table(tell.catalogue.say("stints.caption"), heads, rows, tell.empty("stints"))


def _where(tell: Teller) -> Section:
    story, say = tell.story, tell.catalogue.say
    if not len(story.track):
        return _section(tell, "map", words=[say("map.purged")], tables=[_passages(tell)])
    figure = Figure(draw_map(story, tell.catalogue, tell.border), say("map.caption"), _map_legend(tell), moves=True)
    close = [
        Figure(
            draw_crossing(story, tell.catalogue, tell.border, group[0]),
            say("map.close_caption", n=", ".join(str(number + 1) for number in group)),
        )
        for group in neighbours(story)
    ]
    return _section(tell, "map", figures=[figure, *close], tables=[_passages(tell)])


def _map_legend(tell: Teller) -> list[tuple[str, str]]:
    say, story = tell.catalogue.say, tell.story
    held = list(dict.fromkeys(role for role, _ in held_rows(story)))
    ways = [(sign(f"way-{role}"), say(f"legend.way-{role}", home=story.home, host=story.host)) for role in held]
    rest = ("band", "passage", "border", "post", "drone", "unit")
    return ways + [(sign(look), say(f"legend.{look}")) for look in rest]


def _passages(tell: Teller) -> Table:
    rows = [
        [
            Cell(str(number)),
            tell.when(one.time_us, digits=1),
            Cell(f"± {tell.catalogue.number(1.96 * one.time_std_s, 1)}\u00a0s"),
            Cell(f"{one.leaving} → {one.entering}"),
            Cell(one.place or NOTHING, tell.place(one.lat_deg, one.lon_deg)),
            Cell(tell.probability(one.probability)),
        ]
        for number, one in enumerate(tell.story.passages, start=1)
    ]
    heads = tell.heads("number", "time", "spread", "direction", "place", "probability")
    return Table(tell.catalogue.say("passages.caption"), heads, rows, tell.empty("passages"))


def _continuity(tell: Teller) -> list[str]:
    story, catalogue = tell.story, tell.catalogue
    if len(story.track) < 2:
        return [catalogue.say("continuity.no_track")]
    steps = np.diff(story.track.time_us)
    unseen = sum(one.end_us - one.start_us for one in story.gaps)
    whole = int(story.track.time_us[-1] - story.track.time_us[0])
    kilometres = np.linalg.norm(np.diff(story.track.state[:, :3], axis=0), axis=1).sum() * 1e-3
    return [
        catalogue.say(
            "continuity.words",
            rows=catalogue.count("count.track_rows", len(story.track)),
            span=catalogue.duration(whole),
            kilometres=catalogue.number(float(kilometres), 1),
            step=catalogue.duration(int(steps.max())),
            seen=catalogue.percent(1.0 - unseen / whole if whole else 1.0, 1),
        )
    ]


def _gaps(tell: Teller) -> Table:
    longest = sorted(tell.story.gaps, key=lambda one: one.start_us - one.end_us)[:MOST_GAPS]
    shown = sorted(longest, key=lambda one: one.start_us)
    rows = [
        [
            tell.when(one.start_us, digits=1),
            Cell(tell.catalogue.duration(one.end_us - one.start_us)),
            Cell(one.holder or NOTHING),
            Cell(tell.catalogue.say(f"gap.{one.kind}")),
        ]
        for one in shown
    ]
    heads = tell.heads("since", "span", "holder", "what")
    name = "gaps.caption" if len(rows) == len(tell.story.gaps) else "gaps.longest"
    caption = tell.catalogue.count(name, len(tell.story.gaps), shown=len(rows))
    return Table(caption, heads, rows, tell.empty("gaps"))


def _latencies(tell: Teller) -> Table:
    say, catalogue = tell.catalogue.say, tell.catalogue
    rows = [
        [
            Cell(say(f"latency.{name}")),
            tell.when(begin, digits=1),
            tell.when(end, digits=1),
            Cell(catalogue.duration(end - begin)),
        ]
        for name, begin, end in latencies(tell.story)
    ]
    heads = tell.heads("step", "since", "until", "span")
    return Table(say("latency.caption"), heads, rows, tell.empty("latency"))


def _accuracy(tell: Teller) -> Section:
    story, catalogue = tell.story, tell.catalogue
    if not len(story.track):
        return _section(tell, "accuracy", words=[catalogue.say("accuracy.no_track")])
    judged = consistency_of(story)
    words = [
        catalogue.say(
            "accuracy.words",
            rows=catalogue.count("count.measured", judged.n_rows),
            inside=catalogue.percent(judged.inside, 1),
            mean=catalogue.number(judged.per_component, 2),
        )
        if judged.n_rows
        else catalogue.say("accuracy.no_nis")
    ]
    figure = Figure(draw_accuracy(story, catalogue), catalogue.say("accuracy.caption"), _accuracy_legend(tell))
    return _section(tell, "accuracy", words=words, figures=[figure], tables=[_ellipses(tell)])


def _accuracy_legend(tell: Teller) -> list[tuple[str, str]]:
    looks = ("major", "range", "minor", "inside", "bound", "shade", "passage-line")
    return [(sign(look), tell.catalogue.say(f"legend.{look}")) for look in looks]


def _ellipses(tell: Teller) -> Table:
    rows = []
    for role, part in held_rows(tell.story):
        axes = tell.story.track.take(part).ellipse_m
        figures = [*np.percentile(axes[:, 0], [50, 95, 100]), np.median(axes[:, 1])]
        begin = int(tell.story.track.time_us[part[0]])
        numbers = [Cell(f"{tell.catalogue.number(float(one), 1)}\u00a0m") for one in figures]
        rows.append(
            [
                Cell(tell.catalogue.say(f"held.{role}", home=tell.story.home, host=tell.story.host)),
                tell.when(begin),
                *numbers,
            ]
        )
    heads = tell.heads("holder", "since", "median_major", "p95_major", "max_major", "median_minor")
    return Table(tell.catalogue.say("ellipses.caption"), heads, rows)


def _owed(tell: Teller) -> Table:
    heads = tell.heads("duty", "by", "article", "owed", "due", "done", "outcome")
    rows = [_owed_row(tell, one) for one in tell.story.duties]
    return Table(tell.catalogue.say("duties.caption"), heads, rows, tell.empty("duties"))


def _owed_row(tell: Teller, duty: Duty) -> list[Cell]:
    say = tell.catalogue.say
    look = "good" if duty.outcome == "met" else "" if duty.outcome == "open" else "bad"
    return [
        Cell(tell.catalogue.name("duty", duty.what), say("duties.policy") if duty.policy else ""),
        Cell(duty.authority),
        tell.cite(duty.article),
        tell.when(duty.owed_us),
        tell.when(duty.due_us) if duty.due_us is not None else Cell(NOTHING),
        tell.when(duty.done_us) if duty.done_us is not None else Cell(NOTHING),
        Cell(say(f"outcome.{duty.outcome}"), sign=SIGNS[duty.outcome], look=look),
    ]


def _grants(tell: Teller) -> Table:
    rows = [
        [
            Cell(one.issuer),
            Cell(one.recipient),
            tell.when(one.issued_us, dated=True),
            tell.when(one.from_us, dated=True),
            tell.when(one.until_us, dated=True),
            Cell("; ".join(one.conditions) or NOTHING),
        ]
        for one in tell.story.basis.grants
    ]
    heads = tell.heads("issuer", "recipient", "issued", "since", "until", "conditions")
    return Table(tell.catalogue.say("grants.caption"), heads, rows, tell.empty("grants"))


def _rules(tell: Teller) -> Table:
    basis = tell.story.basis
    known = tell.catalogue.messages if f"rules.{basis.rule_set}" in tell.catalogue else {}
    rows = [[tell.cite(article), Cell(known.get(f"rule.{name}", text))] for article, name, text in basis.rules]
    return Table(tell.catalogue.say("rules.caption"), tell.heads("article", "says"), rows, tell.empty("rules"))


def _refused_acts(tell: Teller) -> Table:
    refused = [one for one in tell.story.moments if one.kind == "refused"]
    rows = [
        [
            tell.when(one.time_us),
            Cell(tell.catalogue.name("act", one.what)),
            Cell(one.authority),
            tell.cite(one.article),
        ]
        for one in refused
    ]
    heads = tell.heads("time", "what", "authority", "article")
    return Table(tell.catalogue.say("refused.acts"), heads, rows, tell.empty("refused_acts"))


def _refused_rows(tell: Teller) -> Table:
    rows = [
        [
            Cell(one.sensor),
            Cell(one.authority or NOTHING),
            Cell(tell.catalogue.number(one.rows)),
            tell.when(one.first_us),
            tell.when(one.last_us),
            tell.cite(one.article, tell.catalogue.name("refusal", one.rule)),
        ]
        for one in tell.story.refusals
    ]
    heads = tell.heads("sensor", "authority", "rows", "since", "until", "article")
    return Table(tell.catalogue.say("refused.rows"), heads, rows, tell.empty("refused_rows"))


def _accesses(tell: Teller) -> Table:
    rows = [
        [
            tell.when(one.time_us, dated=True),
            Cell(one.who),
            Cell(tell.catalogue.name("reader", one.role)),
            Cell(tell.catalogue.name("read", one.of)),
            Cell(one.purpose),
        ]
        for one in tell.story.accesses
    ]
    heads = tell.heads("time", "who", "role", "read", "purpose")
    return Table(tell.catalogue.say("access.caption"), heads, rows, tell.empty("access"))


def _disclosures(tell: Teller) -> Table:
    rows = [
        [
            tell.when(one.time_us, dated=True),
            Cell(one.issuer),
            Cell(one.recipient),
            Cell(one.package),
            Cell(_grouped(one.sha256), look="digest"),
        ]
        for one in tell.story.disclosures
    ]
    heads = tell.heads("time", "discloser", "receiver", "package", "digest")
    return Table(tell.catalogue.say("disclosures.caption"), heads, rows, tell.empty("disclosures"))


def _removals(tell: Teller) -> Table:
    rows = [
        [
            tell.when(one.before_us, dated=True),
            Cell(one.who),
            Cell(one.authority),
            Cell(tell.catalogue.number(one.n_records)),
            Cell(one.reason or NOTHING),
        ]
        for one in tell.story.removals
    ]
    heads = tell.heads("before", "who", "authority", "records", "reason")
    return Table(tell.catalogue.say("removals.caption"), heads, rows, tell.empty("removals"))


def _sealed(tell: Teller) -> Table:
    seal, catalogue = tell.story.seal, tell.catalogue
    whole = seal.whole
    fault = "seal.doubtful" if seal.first_bad is None else "seal.broken"
    verdict = catalogue.say("seal.whole" if whole else fault, n=seal.first_bad)
    look, sign = ("good", SIGNS["whole"]) if whole else ("bad", SIGNS["broken"])
    rows = [
        [
            Cell(catalogue.say("seal.verdict")),
            Cell(verdict, "" if whole else catalogue.say("seal.why"), sign=sign, look=look),
        ],
        [Cell(catalogue.say("seal.records")), Cell(catalogue.number(seal.n_records))],
        [Cell(catalogue.say("seal.closed")), Cell(catalogue.say("seal.is_closed" if seal.closed else "seal.is_open"))],
        [Cell(catalogue.say("seal.digest")), Cell(_grouped(seal.digest), look="digest")],
        [Cell(catalogue.say("seal.repairs")), Cell(catalogue.number(seal.repairs))],
        [Cell(catalogue.say("seal.purged")), Cell(catalogue.number(seal.purged))],
    ]
    return Table(catalogue.say("seal.caption"), tell.heads("what", "value"), rows)


def _parties(tell: Teller) -> Table:
    rows = [
        [
            Cell(one.code),
            Cell(one.name or tell.catalogue.country(one.country)),
            Cell(tell.catalogue.say(f"role.{one.role}")),
            Cell(one.zone),
        ]
        for one in tell.story.parties
    ]
    return Table(tell.catalogue.say("parties.caption"), tell.heads("code", "authority", "role", "zone"), rows)


def _sensors(tell: Teller) -> Table:
    rows = [
        [
            Cell(one.name),
            Cell(one.authority or NOTHING),
            Cell(tell.catalogue.say(f"source.{one.kind}")),
            Cell(tell.catalogue.number(one.n_rows)),
            tell.when(one.first_us),
            tell.when(one.last_us),
        ]
        for one in tell.story.sources
    ]
    heads = tell.heads("sensor", "authority", "kind", "rows", "since", "until")
    return Table(tell.catalogue.say("sensors.caption"), heads, rows, tell.empty("sensors"))


def _attributions(tell: Teller) -> list[str]:
    say = tell.catalogue.say
    if tell.border is None or not tell.border.attribution:
        return [say("provenance.no_border")]
    return [say("provenance.border", attribution=tell.border.attribution, licence=tell.border.licence)]


def latencies(story: Story) -> list[tuple[str, int, int]]:
    """Return how long each step of the hand-over took.

    Parameters
    ----------
    story : Story
        The operation.

    Returns
    -------
    list of (str, int, int)
        Name of the step, from and to [us, UTC]; steps that were not taken are left out.
    """
    if not story.passages:
        return []
    crossed = story.passages[0].time_us
    done = {
        one.what: one.time_us for one in reversed(story.moments) if one.kind != "refused" and one.time_us >= crossed
    }
    seen = [one.time_us for one in story.sources if one.authority == story.host and len(one.time_us)]
    after = np.sort(np.concatenate(seen)) if seen else np.zeros(0, dtype=np.int64)
    steps = [
        (f"to_{what}", crossed, done[what])
        for what in ("notice", "request", "authorise", "offer", "accept")
        if what in done
    ]
    ended = next((one.start_us for one in story.stints if one.state in ENDED and one.start_us >= crossed), None)
    if ended is not None:
        steps.append(("to_end", crossed, ended))
    if "offer" in done and "accept" in done:
        steps.append(("offer_to_accept", done["offer"], done["accept"]))
    if "accept" in done and len(after) and after[-1] >= done["accept"]:
        steps.append(("accept_to_seen", done["accept"], int(after[np.searchsorted(after, done["accept"])])))
    return steps


def _grouped(digest: str) -> str:
    return " ".join(digest[start : start + 8] for start in range(0, len(digest), 8))
