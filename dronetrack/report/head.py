"""What does a commander read first? Five sentences, a few signs, and who reports what to whom by which right."""

import numpy as np

from dronetrack.report.parts import NOTHING, SIGNS, Cell, Teller


def summary(tell: Teller) -> list[str]:
    """Tell a commander what happened, in five sentences."""
    return [_who(tell), _crossed(tell), _custody(tell), _duties(tell), _quality(tell)]


def _who(tell: Teller) -> str:
    story, say = tell.story, tell.catalogue.say
    names = [tell.authority(one.code) for one in story.parties]
    return say(
        "summary.who",
        date=tell.catalogue.date(story.begin_us),
        begin=tell.clock(story.begin_us),
        end=tell.when(story.end_us).words,
        parties=tell.catalogue.listed(names),
        operation=story.operation,
    )


def _crossed(tell: Teller) -> str:
    passages, catalogue = tell.story.passages, tell.catalogue
    if not passages:
        return catalogue.say("summary.not_crossed")
    each = [
        catalogue.say(
            "summary.crossed_at" if one.place else "summary.crossed",
            leaving=one.leaving,
            entering=one.entering,
            time=tell.when(one.time_us, digits=1).words,
            spread=catalogue.number(1.96 * one.time_std_s, 1),
            probability=tell.probability(one.probability),
            place=one.place,
        )
        for one in passages
    ]
    return catalogue.count("summary.crossings", len(passages), each="; ".join(each))


def _custody(tell: Teller) -> str:
    story, say = tell.story, tell.catalogue.say
    last = story.stints[-1] if story.stints else None
    if last is None:
        return say("summary.no_custody")
    fields = {
        "state": tell.catalogue.name("state", last.state),
        "time": tell.when(last.start_us).words,
        "article": tell.cited(last.article),
        "cause": tell.cause(last.cause),
        "holder": tell.authority(last.holder) if last.holder else "",
    }
    return say("summary.held" if last.holder else "summary.not_held", **fields)


def _duties(tell: Teller) -> str:
    story, catalogue = tell.story, tell.catalogue
    outcomes = [one.outcome for one in story.duties]
    refused = sum(one.kind == "refused" for one in story.moments)
    return catalogue.say(
        "summary.duties",
        duties=catalogue.count("count.duties", len(outcomes)),
        met=outcomes.count("met"),
        missed=outcomes.count("late") + outcomes.count("missed"),
        open=outcomes.count("open"),
        acts=catalogue.count("count.acts", refused),
        rows=catalogue.count("count.rows", sum(one.rows for one in story.refusals)),
    )


def _quality(tell: Teller) -> str:
    story, catalogue = tell.story, tell.catalogue
    whole = catalogue.say("summary.whole" if story.seal.whole else "summary.broken")
    if not len(story.track):
        return catalogue.say("summary.purged", record=whole)
    longest_us = max((one.end_us - one.start_us for one in story.gaps), default=0)
    return catalogue.say(
        "summary.quality" if longest_us else "summary.quality_seen",
        span=catalogue.duration(int(story.track.time_us[-1] - story.track.time_us[0])),
        gap=catalogue.duration(longest_us),
        metres=catalogue.number(float(np.median(story.track.ellipse_m[:, 0])), 1),
        record=whole,
    )


def badges(tell: Teller) -> list[Cell]:
    """Return what a reader wants to know first, as words with signs."""
    story, catalogue = tell.story, tell.catalogue
    bad = [one for one in story.duties if one.outcome in ("late", "missed")]
    whole = story.seal.whole
    duties = catalogue.say("badge.duties_met" if not bad else "badge.duties_missed", n=len(bad))
    last = story.stints[-1] if story.stints else None
    return [
        Cell(catalogue.count("badge.crossings", len(story.passages))),
        Cell(catalogue.say("badge.custody", state=catalogue.name("state", last.state) if last else NOTHING)),
        Cell(duties, sign=SIGNS["missed" if bad else "met"], look="bad" if bad else "good"),
        Cell(
            catalogue.say("badge.whole" if whole else "badge.broken"),
            sign=SIGNS["whole" if whole else "broken"],
            look="good" if whole else "bad",
        ),
    ]


def facts(tell: Teller) -> list[tuple[str, Cell]]:
    """Return who reports what to whom, by which right."""
    story, say = tell.story, tell.catalogue.say
    offence = [Cell(tell.catalogue.name("offence", story.basis.offence))] if story.basis.offence else []
    pairs = [
        ("page.to", Cell(tell.authority(story.host) if story.host else NOTHING)),
        ("page.from", Cell(tell.authority(story.home))),
        ("page.purpose", Cell(story.purpose)),
        ("page.basis", Cell(_basis(tell), _authorisation(tell))),
        *(("page.offence", one) for one in offence),
        ("page.period", _period(tell)),
        ("page.told", tell.when(story.told_us, dated=True)),
        ("page.told_by", Cell(story.told_by.who, _reader(tell))),
    ]
    return [(say(key), cell) for key, cell in pairs]


def _reader(tell: Teller) -> str:
    told_by = tell.story.told_by
    return f"{tell.catalogue.name('reader', told_by.role)}: {told_by.purpose}"


def _period(tell: Teller) -> Cell:
    begin, end = tell.story.begin_us, tell.story.end_us
    days = dict.fromkeys(tell.catalogue.date(time_us) for time_us in (begin, end))
    clocks = [("UTC", "UTC"), *tell.zones()]
    return Cell(" \u2013 ".join(days), " · ".join(tell.local(code, zone, begin, end) for code, zone in clocks))


def _basis(tell: Teller) -> str:
    basis = tell.story.basis
    title = tell.catalogue.messages.get(f"rules.{basis.rule_set}", basis.title)
    return title or tell.catalogue.say("page.no_basis")


def _authorisation(tell: Teller) -> str:
    say = tell.catalogue.say
    grants = tell.story.basis.grants
    if not grants:
        return say("page.not_authorised")
    until = tell.catalogue.date_time(grants[-1].until_us)
    return say("page.authorised", authority=tell.authority(grants[-1].issuer), until=until)
