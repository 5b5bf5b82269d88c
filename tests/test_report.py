"""The report: what the journal told is what the page says, escaped, self-contained, the same each time."""

import dataclasses
import datetime as dt
import functools
import hashlib
import html.parser
import itertools
import pathlib
import re
import string
import tomllib
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from dronetrack import Border, geodesy
from dronetrack.cli import main
from dronetrack.errors import InputError, NotAuthorisedError
from dronetrack.handover import (
    ACTS,
    STATES,
    TRANSITIONS,
    Authorisation,
    Authority,
    Decision,
    Following,
    Mandate,
    Operation,
    new_key,
    read_rules,
)
from dronetrack.journal import Journal, purge, read_journal
from dronetrack.measurements import LINE_OF_SIGHT, POSITION, Sensor, measurements_of, merge
from dronetrack.report import LANGUAGES, read_story, render, write_report
from dronetrack.report.catalogue import read_catalogue
from dronetrack.report.drawing import LOOKS
from dronetrack.report.map import border_of, neighbours
from dronetrack.report.sections import latencies
from dronetrack.report.story import zone_of

S, HOUR = 1_000_000, 3_600_000_000
T0 = 1_795_470_000 * S
EAST_MPS = 30.0
READER = {"who": "Kovács Anna", "role": "supervisor", "purpose": "report owed to the host", "time_us": T0 + 24 * HOUR}
MESSAGES = pathlib.Path(__file__).parents[1] / "dronetrack" / "data" / "messages"


def drive(east_m, *, step_s, name="HU-1", drones=("HU-D1", "RO-D1")):
    """What two drones and a unit measure of a target that goes east along the M43: places `east_m` of the line."""
    n = len(east_m)
    time_us = T0 + (np.arange(n) * step_s * S).astype(np.int64)
    lat = 46.21195 - east_m * 2.1e-6
    lon = 20.75977 + east_m / (111_320 * np.cos(np.radians(46.212)))
    place = geodesy.geodetic_to_ecef(lat, lon, np.full(n, 126.0))
    rng = np.random.default_rng(4)
    unit = Sensor(f"{name} contact", "HU", shared_time_s=1.0)
    batches = [
        measurements_of(time_us, POSITION, place + rng.normal(0, 3.0, (n, 3)), np.tile(9 * np.eye(3), (n, 1, 1)), unit)
    ]
    for drone, mine in (("HU-D1", east_m < 900.0), ("RO-D1", east_m > -300.0)):
        if drone in drones and mine.any():
            site = geodesy.geodetic_to_ecef(lat[mine] - 0.002, lon[mine], np.full(mine.sum(), 240.0))
            ray = place[mine] - site
            ray = ray / np.linalg.norm(ray, axis=1, keepdims=True) + rng.normal(0, 1e-3, ray.shape)
            ray /= np.linalg.norm(ray, axis=1, keepdims=True)
            cov = np.tile(1e-6 * np.eye(3), (len(ray), 1, 1))
            camera = Sensor(f"{drone} camera", drone[:2], platform=drone)
            batches.append(measurements_of(time_us[mine], LINE_OF_SIGHT, ray, cov, camera, site_ecef_m=site))
    return merge(*batches)


def mandate(basis="authorised", **more):
    given = Authorisation(
        "RO", "HU", T0 - 24 * HOUR, T0 - 24 * HOUR, T0 + 24 * HOUR, conditions=("no stop at the line",)
    )
    return Mandate(
        "HU",
        "RO",
        (Authority("HU", "HU"), Authority("RO", "RO", "IGPF Arad")),
        basis=basis,
        offence="smuggling of aliens",
        purpose="file 12/2026",
        authorisations=(given,) if basis == "authorised" else (),
        **more,
    )


def write_journal(path, terms, z, decisions, *, operation="joint exercise", with_track=True):
    journal = Journal.create(path, purpose="surveillance, file 12/2026", authority="HU", operation=operation)
    following = Following(Operation(terms, Border.between("HU", "RO")), journal=journal, decisions=decisions)
    for part in [*following.update(z).track, *following.finish()]:
        if with_track:
            journal.append_track(part)
    journal.close()
    return path


def after(seconds, kind, by, **facts):
    return Decision(T0 + round(seconds * S), kind, by, facts)


@pytest.fixture(scope="session")
def ordinary(tmp_path_factory):
    """Authorised in advance, crossed, handed over, reported."""
    path = tmp_path_factory.mktemp("report") / "ordinary.journal"
    z = drive(np.arange(-2000.0, 2000.0, EAST_MPS), step_s=1.0)
    acts = [
        after(80, "offer", "HU", note="taken over at the petrol station?"),
        after(90, "accept", "RO"),
        after(100, "arrest", "HU"),
    ]
    return write_journal(path, mandate(), z, [*acts, after(120, "report", "HU")])


@pytest.fixture(scope="session")
def expired(tmp_path_factory):
    """Crossed in urgency; nobody authorises, and five hours pass."""
    path = tmp_path_factory.mktemp("report") / "expired.journal"
    z = drive(np.concatenate([np.arange(-1500.0, 800.0, 450.0), np.full(605, 800.0)]), step_s=30.0, drones=("HU-D1",))
    terms = mandate("urgent")
    return write_journal(
        path, terms, z, [after(120, "notice", "HU"), after(600, "request", "HU", note="grounds attached")]
    )


@pytest.fixture(scope="session")
def refused(tmp_path_factory):
    """Crossed in urgency; the host refuses, and the target comes back."""
    path = tmp_path_factory.mktemp("report") / "refused.journal"
    there = np.arange(-1200.0, 600.0, EAST_MPS)
    z = drive(np.concatenate([there, there[::-1]]), step_s=1.0, drones=("HU-D1",))
    return write_journal(
        path, mandate("urgent"), z, [after(60, "request", "HU"), after(75, "refuse", "RO", note="own team")]
    )


@pytest.fixture(params=["ordinary", "expired", "refused"])
def journal(request):
    return request.getfixturevalue(request.param)


@functools.cache
def story_of(path):
    return read_story(path, **READER)


@functools.cache
def page_of(path, language="en"):
    return render(story_of(path), read_catalogue(language))


class Outline(html.parser.HTMLParser):
    """What stands in a page: tags with attributes, and the words outside style and script."""

    VOID = frozenset({"meta", "link", "br", "img"})

    def __init__(self, page):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


# What the journal told is what the story says ----------------------------------------------------------------


def test_an_ordinary_hand_over_is_told_with_crossing_custody_duties_and_refusals(ordinary):
    story = story_of(ordinary)
    assert [one.state for one in story.stints] == ["approaching", "joint", "offered", "accepted", "host"]
    assert [one.holder for one in story.stints] == ["HU", "HU", "HU", "RO", "RO"]
    (passage,) = story.passages
    assert (passage.leaving, passage.entering) == ("HU", "RO")
    assert abs(passage.time_us - (T0 + 66.67 * S)) < 1 * S
    assert passage.place == "Nadlac II"
    assert [(one.what, one.outcome) for one in story.duties] == [("report", "met")]
    assert [one.what for one in story.moments if one.kind == "refused"] == ["arrest"]
    assert {one.authority for one in story.refusals if one.first_us > T0 + 90 * S} == {"HU"}
    assert story.seal.whole
    assert story.seal.closed


def test_the_rows_that_a_sensor_gave_are_counted_and_placed(ordinary):
    story = story_of(ordinary)
    used = sum(
        sum(record.facts["rows"]) for record in read_journal(ordinary, **READER) if record.kind == "measurements"
    )
    assert sum(one.n_rows for one in story.sources) == used
    camera = next(one for one in story.sources if one.name == "HU-D1 camera")
    assert camera.kind == "drone"
    assert np.all(np.abs(camera.lat_deg - 46.21) < 0.02)


def test_five_hours_without_authorisation_end_the_surveillance_in_the_story(expired):
    story = story_of(expired)
    last = story.stints[-1]
    assert (last.state, last.cause, last.holder, last.article) == ("expired", "limit_passed", "", "40(2)")
    assert abs(last.start_us - story.passages[0].time_us - 5 * HOUR) < 20 * S
    assert [(one.what, one.outcome) for one in story.duties] == [
        ("notice", "met"),
        ("request", "met"),
        ("report", "open"),
    ]


def test_an_authorisation_on_the_way_lifts_the_five_hours_and_is_named(tmp_path):
    z = drive(np.arange(-600.0, 600.0, EAST_MPS), step_s=1.0, drones=("HU-D1",))
    given = Authorisation("RO", "HU", T0 + 30 * S, T0 + 30 * S, T0 + 24 * HOUR).to_plain()
    acts = [after(25, "request", "HU"), after(30, "authorise", "RO", authorisation=given)]
    story = read_story(write_journal(tmp_path / "run.journal", mandate("urgent"), z, acts), **READER)
    assert [(one.issuer, one.until_us) for one in story.basis.grants] == [("RO", T0 + 24 * HOUR)]
    assert [one.what for one in story.moments][-2:] == ["authorise", "deadline_changed"]
    assert story.stints[-1].state == "joint"


def test_a_refusal_and_the_way_back_are_both_told(refused):
    story = story_of(refused)
    assert [one.state for one in story.stints][-2:] == ["refused", "approaching"]
    assert story.stints[-1].holder == "HU"
    assert [(one.leaving, one.entering) for one in story.passages] == [("HU", "RO"), ("RO", "HU")]
    assert [one.words for one in story.moments if one.what == "refuse"] == ["own team"]


def test_a_notice_that_never_came_is_missed_with_its_article(refused):
    duty = next(one for one in story_of(refused).duties if one.what == "notice")
    assert duty.done_us is None
    assert duty.article == "40(2)(a)"


def test_hand_over_steps_are_measured_from_the_crossing(ordinary):
    story = story_of(ordinary)
    steps = {name: stop - start for name, start, stop in latencies(story)}
    assert steps["offer_to_accept"] == 10 * S
    assert steps["to_accept"] == T0 + 90 * S - story.passages[0].time_us
    assert 0 <= steps["accept_to_seen"] <= 1 * S


def test_a_request_from_before_the_crossing_is_told_as_the_duty_done(tmp_path):
    z = drive(np.arange(-600.0, 600.0, EAST_MPS), step_s=1.0, drones=("HU-D1",))
    path = write_journal(tmp_path / "run.journal", mandate("urgent"), z, [after(5, "request", "HU")])
    story = read_story(path, **READER)
    duty = next(one for one in story.duties if one.what == "request")
    assert (duty.done_us, duty.outcome) == (T0 + 5 * S, "met")
    assert [one.what for one in story.moments if one.what == "request"] == ["request"]


def test_a_journal_without_a_track_gives_it_again(tmp_path):
    z = drive(np.arange(-600.0, 600.0, EAST_MPS), step_s=1.0)
    with_track = write_journal(tmp_path / "a.journal", mandate(), z, [])
    without = write_journal(tmp_path / "b.journal", mandate(), z, [], with_track=False)
    told, again = (read_story(path, **READER).track for path in (with_track, without))
    assert np.array_equal(told.time_us, again.time_us)
    assert np.array_equal(told.state, again.state)


def test_every_innovation_is_judged_by_the_size_of_its_own_measurement(ordinary):
    story = story_of(ordinary)
    alone = story.track.time_us < T0 + 50 * S  # then a contact and one camera measure at each moment
    assert set(story.components[alone].tolist()) <= {0, 2, 3}
    assert len(story.components) == len(story.track)


def test_crossings_at_one_place_share_a_picture_from_close_by(refused):
    assert neighbours(story_of(refused)) == [[0, 1]]


# Reading is logged, and only for those who may ---------------------------------------------------------------


def test_every_report_is_a_reading_that_the_next_one_tells(ordinary, tmp_path):
    path = tmp_path / "run.journal"
    path.write_bytes(ordinary.read_bytes())
    assert read_story(path, **{**READER, "purpose": "first"}).accesses == ()
    told = read_story(path, **READER).accesses
    assert {(one.who, one.role, one.purpose) for one in told} == {("Kovács Anna", "supervisor", "first")}
    assert {one.of for one in told} == {"journal", "accesses"}


def test_an_operator_makes_no_report(ordinary):
    with pytest.raises(InputError, match="supervisor or an auditor"):
        read_story(ordinary, **{**READER, "role": "operator"})


def test_a_supervisor_without_a_purpose_is_refused(ordinary):
    with pytest.raises(NotAuthorisedError, match="purpose"):
        read_story(ordinary, **{**READER, "purpose": ""})


def test_a_purged_journal_still_gives_a_report_without_places(ordinary, tmp_path):
    path = tmp_path / "run.journal"
    path.write_bytes(ordinary.read_bytes())
    purge(path, before_us=T0 + 24 * HOUR, who="Pop", authority="HU", time_us=T0 + 24 * HOUR, reason="retention")
    story = read_story(path, **READER)
    assert not len(story.track)
    assert story.seal.purged > 0
    assert all(len(one.lat_deg) == 0 for one in story.sources)
    text = Outline(render(story, read_catalogue("en"))).text
    assert "Positions have been removed by rule" in text
    assert [(one.who, one.reason) for one in story.removals] == [("Pop", "retention")]
    assert "Nadlac II" not in text
    assert "HU → RO" in text


def test_a_damaged_journal_gives_a_report_that_says_so(ordinary, tmp_path):
    path = tmp_path / "run.journal"
    data = bytearray(ordinary.read_bytes())
    data[len(data) * 3 // 4] ^= 1
    path.write_bytes(data)
    story = read_story(path, **READER)
    assert not story.seal.whole
    assert story.seal.first_bad is not None
    assert "Journal damaged" in Outline(render(story, read_catalogue("en"))).text


def test_a_journal_of_measurements_alone_gives_a_report_without_custody(tmp_path):
    with Journal.create(tmp_path / "run.journal", purpose="training", authority="HU") as journal:
        journal.append_measurements(drive(np.arange(-300.0, 300.0, EAST_MPS), step_s=1.0))
    text = Outline(page_of(tmp_path / "run.journal", "hu")).text
    assert "A napló nem szól arról, ki vezette a megfigyelést." in text
    assert "A napló nem nevez meg szabályrendszert" in text


def test_an_authority_that_is_no_country_keeps_its_border_and_its_clock(ordinary):
    told = story_of(ordinary)
    parties = (dataclasses.replace(told.parties[0], code="BM-7", name="Bűnügyi Főosztály"), *told.parties[1:])
    story = dataclasses.replace(told, home="BM-7", parties=parties)
    assert border_of(story).home == "HU"
    text = Outline(render(story, read_catalogue("en"))).text
    assert "Bűnügyi Főosztály (BM-7)" in text
    assert re.search(r"BM-7 \d\d:\d\d:\d\d · RO", text)


def test_a_package_is_told_as_a_disclosure_and_the_host_reports_from_its_own_journal(tmp_path):
    z, key = drive(np.arange(-600.0, 900.0, EAST_MPS), step_s=1.0), new_key()
    ours, theirs = (tmp_path / f"{who}.journal" for who in ("hu", "ro"))
    line = Border.between("HU", "RO")
    with Journal.create(ours, purpose="exercise", authority="HU", operation="exercise") as journal:
        home = Following(Operation(mandate(), line), journal=journal)
        home.update(z.take(z.time_us <= T0 + 30 * S))
        data = home.offer(key, time_us=T0 + 30 * S, serial=7)
    with Journal.create(theirs, purpose="exercise", authority="RO", operation="exercise") as journal:
        about = {"trusted": {"HU": key.public_key()}, "time_us": T0 + 31 * S, "name": "exercise", "journal": journal}
        host = Following.accept(data, Operation(mandate(), line), **about)
        host.update(z.take(z.time_us > T0 + 31 * S))
        host.finish()
    (given,) = read_story(ours, **READER).disclosures
    assert (given.recipient, given.package) == ("RO", "exercise/HU/7")
    assert given.sha256 == hashlib.sha256(data).hexdigest()
    told = read_story(theirs, **READER)
    assert told.stints[-1].holder == "RO"
    assert len(told.track)
    assert "exercise/HU/7" in Outline(page_of(ours)).text
    assert "IGPF Arad (RO)" in Outline(page_of(theirs)).text


# The page ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_well_formed_with_unique_ids_and_links_that_lead_somewhere(journal, language):
    outline = Outline(page_of(journal, language))
    assert not outline.open
    ids = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in outline.tags:
        for key in ("aria-labelledby", "href"):
            for target in attrs.get(key, "").split():
                assert target.lstrip("#") in ids
        assert not re.match(r"url\((?!#)", attrs.get("clip-path", "url(#"))


def test_the_page_asks_for_nothing_from_outside(journal):
    page = page_of(journal)
    outline = Outline(page)
    for tag, attrs in outline.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form")
        for key in ("src", "srcset", "action", "data", "background", "poster", "xlink:href"):
            assert key not in attrs
        assert attrs.get("href", "#").startswith("#")
    assert "@import" not in page
    assert re.findall(r"https?://[^\s\"'<]+", page.replace("http://www.w3.org/2000/svg", "")) == []


def test_headings_descend_by_one_and_every_table_has_a_caption_and_heads_with_a_scope(journal):
    outline = Outline(page_of(journal))
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after_ - before <= 1 for before, after_ in itertools.pairwise(levels))
    tags = [tag for tag, _ in outline.tags]
    assert tags.count("table") == tags.count("caption")
    assert all(attrs.get("scope") == "col" for tag, attrs in outline.tags if tag == "th")


def test_every_picture_has_a_title_and_a_description_and_signs_are_silent(journal):
    page = page_of(journal)
    drawings = [ET.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)]
    assert len(drawings) > 10
    for drawing in drawings:
        if drawing.get("aria-hidden") == "true":
            continue
        assert drawing.get("role") == "img"
        words = {child.get("id"): child.text for child in drawing if child.get("id")}
        assert all(words[name] for name in drawing.get("aria-labelledby").split())


def test_times_stand_in_utc_and_on_both_clocks(ordinary):
    text = Outline(page_of(ordinary)).text
    moment = dt.datetime.fromtimestamp(T0 / 1e6 + 90, tz=dt.UTC)
    utc, budapest, bucharest = (f"{moment + dt.timedelta(hours=hours):%H:%M:%S}" for hours in (0, 1, 2))
    assert f"{utc} UTC" in text
    assert f"HU {budapest} · RO {bucharest}" in text


def test_authorities_legal_basis_and_articles_are_named(ordinary):
    text = Outline(page_of(ordinary)).text
    for words in ("Hungary (HU)", "IGPF Arad (RO)", "Convention implementing the Schengen Agreement, Article 40"):
        assert words in text
    for article in ("Article 40(1)", "Article 40(3)(f)", "Article 40(3)(g)"):
        assert article in text
    assert "OpenStreetMap" in text
    assert "ODbL" in text


def test_the_same_journal_gives_the_same_bytes(ordinary, tmp_path):
    pages = []
    for name in ("a", "b"):
        path = tmp_path / name / "run.journal"
        path.parent.mkdir()
        path.write_bytes(ordinary.read_bytes())
        (page,) = write_report(path, path.with_suffix(".html"), **READER)
        pages.append(page.read_bytes())
    assert pages[0] == pages[1]


def test_the_time_of_the_report_is_the_last_record_or_what_is_given(ordinary):
    assert read_story(ordinary, **READER).told_us == max(one.time_us for one in read_journal(ordinary, **READER))
    assert read_story(ordinary, **READER, told_us=T0).told_us == T0


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_names_are_words_and_nothing_else(tmp_path, language):
    bad = '"><script>alert(1)</script><b onload=x>&amp;{{7*7}}'
    path = tmp_path / "run.journal"
    z = drive(np.arange(-300.0, 300.0, EAST_MPS), step_s=1.0, name=bad)
    acts = [after(12, "notice", "HU", note=bad)]
    write_journal(path, mandate(), z, acts, operation=bad)
    page = page_of(path, language)
    outline = Outline(page)
    assert sum(tag == "script" for tag, _ in outline.tags) == 1
    assert not any("onload" in attrs for _, attrs in outline.tags)
    assert "<script>alert" not in page
    assert "49" not in re.findall(r"amp;amp;(.{0,8})", page)
    shown = [words for words in outline.words if "{{7*7}}" in words]
    assert any(bad in words for words in shown)  # unescaped by the parser: the very words
    for text in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        ET.fromstring(text)


def test_the_command_writes_the_page_and_says_where(ordinary, tmp_path, capsys):
    path = tmp_path / "run.journal"
    path.write_bytes(ordinary.read_bytes())
    arguments = ["report", str(path), "-o", str(tmp_path / "report.html"), "--language", "ro", "--who", "Pop Ion"]
    assert main([*arguments, "--as-of", "2026-11-24T08:00"]) == 0
    assert "report.html" in capsys.readouterr().out
    text = Outline((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "Pop Ion" in text
    assert "24 noiembrie 2026, 08:00:00 UTC" in text


@pytest.mark.parametrize(
    ("more", "words"),
    [(["--as-of", "yesterday"], "--as-of"), (["-o", "run.journal/report.html"], "cannot write")],
)
def test_the_command_says_in_one_sentence_what_is_wrong(ordinary, tmp_path, capsys, monkeypatch, more, words):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run.journal"
    path.write_bytes(ordinary.read_bytes())
    assert main(["report", str(path), "-o", str(tmp_path / "report.html"), "--who", "Pop", *more]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_the_pdf_is_tagged_and_the_same_each_time(ordinary, tmp_path):
    pytest.importorskip("weasyprint")
    made = []
    for name in ("a", "b"):
        path = tmp_path / name / "run.journal"
        path.parent.mkdir()
        path.write_bytes(ordinary.read_bytes())
        _, pdf = write_report(path, path.with_suffix(".html"), **READER, pdf=True)
        made.append(pdf.read_bytes())
    assert made[0].startswith(b"%PDF-1.7")
    assert made[0] == made[1]


# Languages ---------------------------------------------------------------------------------------------------

PLURALS = ("zero", "one", "two", "few", "many", "other")


def plain_keys(messages):
    """Keys without plural category."""
    return {re.sub(rf"\.({'|'.join(PLURALS)})$", "", key) if is_plural(messages, key) else key for key in messages}


def is_plural(messages, key):
    stem, _, last = key.rpartition(".")
    return last in PLURALS and f"{stem}.other" in messages and f"{stem}.one" in messages


def fields_of(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_catalogue_has_the_same_keys_and_fields(language):
    english, other = (read_catalogue(code).messages for code in ("en", language))
    assert plain_keys(other) == plain_keys(english)
    for key, text in other.items():
        # The one of a plural may leave the number out.
        same = f"{key.rpartition('.')[0]}.other" if is_plural(other, key) else key
        left_out = fields_of(english[same]) - fields_of(text)
        assert fields_of(text) <= fields_of(english[same]), key
        assert not left_out or key.endswith(".one"), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_count_has_the_plural_forms_of_its_language_and_no_others(language):
    catalogue = read_catalogue(language)
    wanted = {*catalogue.locale.plural_form.tags, "other"}
    stems = {key.rpartition(".")[0] for key in catalogue.messages if is_plural(catalogue.messages, key)}
    assert stems
    for stem in stems:
        assert {key.rpartition(".")[2] for key in catalogue.messages if key.startswith(f"{stem}.")} == wanted


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_the_operation_has_a_name(language):
    messages = read_catalogue(language).messages
    rules = read_rules("schengen-40")
    forbidden = [act for rule in rules.rules.values() for act in rule.acts]
    words = [f"state.{state}" for state in STATES] + [f"cause.{one.cause}" for one in TRANSITIONS]
    words += [f"act.{act}" for act in (*ACTS, *forbidden)] + [f"rule.{name}" for name in rules.rules]
    words += [f"offence.{offence}" for offence in rules["urgent"].offences] + [
        f"duty.{one}" for one in ("notice", "request", "report")
    ]
    assert [word for word in words if word not in messages] == []


def test_romanian_is_written_with_commas_below_and_hungarian_with_its_long_vowels():
    texts = {code: "".join(read_catalogue(code).messages.values()) for code in LANGUAGES}
    assert not set("şţŞŢ") & set(texts["ro"])
    assert set("ăâîșț") < set(texts["ro"])
    assert set("áéíóöőúüű") < set(texts["hu"])
    assert not set("ãõûôêå") & set(texts["hu"])


@functools.cache
def english_only():
    """Words of the English catalogue that neither of the others uses, nor names of data."""
    words = {
        code: set(re.findall(r"[A-Za-z]{4,}", " ".join(read_catalogue(code).messages.values()))) for code in LANGUAGES
    }
    return {word.lower() for word in words["en"]} - {word.lower() for code in ("hu", "ro") for word in words[code]}


@pytest.mark.parametrize("language", ["hu", "ro"])
def test_no_english_leaks_into_other_languages(journal, language):
    outline = Outline(page_of(journal, language))
    text = outline.text + " ".join(
        attrs.get(key) or "" for _, attrs in outline.tags for key in ("aria-label", "title", "data-head")
    )
    data = "joint exercise surveillance file report owed to the host no stop at the line own team grounds attached"
    data += " contact camera taken over at the petrol station Europe Budapest Bucharest"
    data += " OpenStreetMap contributors via geo maps countries land Kovács Anna"
    found = {word.lower() for word in re.findall(r"[A-Za-z]{4,}", text)} & english_only()
    assert found - set(data.lower().split()) == set()


@pytest.mark.parametrize(
    ("language", "date", "number"),
    [
        ("en", "23 November 2026", "1,234.5"),
        ("hu", "2026. november 23.", "1\u00a0234,5"),
        ("ro", "23 noiembrie 2026", "1.234,5"),
    ],
)
def test_dates_and_numbers_take_the_local_form(language, date, number):
    catalogue = read_catalogue(language)
    assert catalogue.date(T0) == date
    assert catalogue.number(1234.5, 1) == number


@pytest.mark.parametrize(
    ("language", "cited"),
    [
        ("en", "Article 40(2)(a)"),
        ("hu", "40. cikk (2) bekezdés a) pont"),
        ("ro", "articolul 40 alineatul (2) litera (a)"),
    ],
)
def test_articles_are_cited_as_each_language_does(language, cited):
    assert read_catalogue(language).article("40(2)(a)").replace("\u00a0", " ") == cited


def test_an_unknown_language_is_refused():
    with pytest.raises(InputError, match="there are en, hu, ro"):
        read_catalogue("de")


@pytest.mark.parametrize(
    ("code", "zone"), [("HU", "Europe/Budapest"), ("UA", "Europe/Kyiv"), ("MK", "Europe/Belgrade"), ("?", "UTC")]
)
def test_countries_have_their_own_clock(code, zone):
    assert zone_of(code) == zone


# Colours -----------------------------------------------------------------------------------------------------


def luminance(colour):
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one, other):
    """Contrast ratio of WCAG 2.2, 1.4.3."""
    high, low = sorted([luminance(one), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


def variables(block):
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))


@pytest.mark.parametrize("dark", [False, True])
def test_words_have_the_contrast_of_level_aa_and_shapes_three_to_one(dark):
    css = (MESSAGES.parent / "report" / "page.css").read_text(encoding="utf-8")
    light, night = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)[:2]
    colours = variables(light) | (variables(night) if dark else {})
    for name in ("ink", "quiet", "good-words", "bad-words", "link", "home-words", "host-words"):
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
    for name in ("home", "good", "bad", "nobody"):
        assert contrast(colours[name], colours["paper"]) >= 3.0, name


def test_every_look_of_a_drawing_has_a_dark_twin_in_the_style_sheet():
    css = (MESSAGES.parent / "report" / "page.css").read_text(encoding="utf-8")
    assert [look for look in LOOKS if f".{look} {{" not in css and f".{look}," not in css] == []


def test_words_on_bars_and_marks_have_the_contrast_of_level_aa():
    for ground in ("home", "host", "other", "bad"):
        assert contrast(LOOKS[f"on-{ground}"]["fill"], LOOKS[ground]["fill"]) >= 4.5, ground


def test_all_messages_are_files_of_the_package():
    for language in LANGUAGES:
        assert tomllib.loads((MESSAGES / f"{language}.toml").read_text(encoding="utf-8"))
