"""How does the report look? One page that needs nothing else: the parts of a story put into a template."""

import importlib.resources
import pathlib

from dronetrack.errors import InputError
from dronetrack.report.catalogue import Catalogue, read_catalogue
from dronetrack.report.head import badges, facts, summary
from dronetrack.report.map import border_of
from dronetrack.report.parts import Teller
from dronetrack.report.reading import read_story
from dronetrack.report.sections import sections
from dronetrack.report.story import Story


def render(story: Story, catalogue: Catalogue) -> str:
    """Return the report as one HTML page that needs no other file and no network.

    Parameters
    ----------
    story : Story
        What is told.
    catalogue : Catalogue
        The language.

    Returns
    -------
    str
        The page; every word that came from data is escaped. The same story gives the same page.
    """
    import jinja2

    folder = importlib.resources.files("dronetrack") / "data" / "report"
    parts = {name: (folder / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "page.js")}
    room = jinja2.Environment(
        autoescape=True,
        loader=jinja2.DictLoader(parts),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    tell = Teller(story, catalogue, border_of(story))
    return room.get_template("page.html").render(
        say=catalogue.say,
        language=catalogue.language,
        title=catalogue.say("page.title"),
        operation=story.operation or catalogue.say("page.title"),
        summary=summary(tell),
        badges=badges(tell),
        facts=facts(tell),
        sections=sections(tell),
        css=parts["page.css"],
        script=parts["page.js"],
    )


def write_report(
    journal: str | pathlib.Path,
    path: str | pathlib.Path,
    *,
    who: str,
    purpose: str,
    time_us: int,
    role: str = "supervisor",
    told_us: int | None = None,
    language: str = "en",
    pdf: bool = False,
) -> list[pathlib.Path]:
    """Write the report of an operation: one HTML page, and beside it a PDF if that is wanted.

    Parameters
    ----------
    journal : str or Path
        The journal of the operation.
    path : str or Path
        The page.
    who, purpose, time_us, role, told_us
        As in `dronetrack.report.reading.read_story`.
    language : {"en", "hu", "ro"}, optional
        Of the page.
    pdf : bool, optional
        Whether a PDF is written, too; needs ``pip install 'dronetrack[report]'``.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    InputError
        If there is no such language, the place cannot be written, or a PDF is wanted and WeasyPrint is not there.
    NotAuthorisedError, FormatError
        As in `dronetrack.report.reading.read_story`.
    """
    path = pathlib.Path(path)
    catalogue = read_catalogue(language)
    story = read_story(journal, who=who, role=role, purpose=purpose, time_us=time_us, told_us=told_us)
    page = render(story, catalogue)
    try:
        path.write_text(page, encoding="utf-8", newline="\n")
        return [path, _write_pdf(page, path.with_suffix(".pdf"), story)] if pdf else [path]
    except OSError as fault:
        raise InputError(f"{path}: cannot write there ({fault.strerror}); choose another place.") from None


def _write_pdf(page: str, path: pathlib.Path, story: Story) -> pathlib.Path:
    try:
        import weasyprint  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError):  # OSError: its system library, Pango, is not there
        raise InputError(
            "a PDF needs WeasyPrint and Pango: pip install 'dronetrack[report]'; or print the page from a browser."
        ) from None
    # Its identity follows from the record, so the same journal gives the same bytes.
    weasyprint.HTML(string=page).write_pdf(
        path, pdf_identifier=story.seal.digest.encode("ascii"), pdf_variant="pdf/ua-1"
    )
    return path
