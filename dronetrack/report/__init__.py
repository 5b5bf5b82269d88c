"""How does one tell it? The timeline of a mission on a terminal; the report that the host is owed, as one page."""

import importlib
from typing import TYPE_CHECKING, Any

# Name -> module. Imported on first use: a terminal needs no page.
_MODULES = {
    "LANGUAGES": "catalogue",
    "event_text": "terminal",
    "read_story": "reading",
    "render": "page",
    "summary_lines": "terminal",
    "timeline_lines": "terminal",
    "write_report": "page",
}

if TYPE_CHECKING:
    from dronetrack.report.catalogue import LANGUAGES as LANGUAGES
    from dronetrack.report.page import render as render
    from dronetrack.report.page import write_report as write_report
    from dronetrack.report.reading import read_story as read_story
    from dronetrack.report.terminal import event_text as event_text
    from dronetrack.report.terminal import summary_lines as summary_lines
    from dronetrack.report.terminal import timeline_lines as timeline_lines

__all__ = list(_MODULES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public object
    if name not in _MODULES:
        raise AttributeError(f"module 'dronetrack.report' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"dronetrack.report.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
