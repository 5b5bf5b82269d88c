"""How does one tell it? The timeline of a mission on a terminal; the report that the host is owed, as one page."""

from dronetrack.report.catalogue import LANGUAGES
from dronetrack.report.page import render, write_report
from dronetrack.report.reading import read_story
from dronetrack.report.terminal import event_text, summary_lines, timeline_lines

__all__ = ["LANGUAGES", "event_text", "read_story", "render", "summary_lines", "timeline_lines", "write_report"]
