"""How is a run told? One page that holds everything, and the same as Markdown with pictures; both of the document."""

import pathlib
from typing import Any

from dronetrack.bench.html import html_page
from dronetrack.bench.markdown import markdown_page
from dronetrack.bench.pictures import pictures

Entry = dict[str, Any]


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
