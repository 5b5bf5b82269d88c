"""Where do words on a map go? Beside their marks, and not over each other."""

from collections.abc import Iterator

from dronetrack.report.drawing import WIDTH, Sheet, text_width


class Labels:
    """Words on a map: each takes the first free place about its mark.

    Parameters
    ----------
    height : float
        Of the map. [px]
    """

    def __init__(self, height: float) -> None:
        self.height = height
        # The scale and the buttons.
        self.taken = [(WIDTH - 220.0, height - 36.0, WIDTH, height), (0.0, height - 150.0, 56.0, height)]

    def reserve(self, x: float, y: float, half: float) -> None:
        """Keep words off a square about a mark."""
        self.taken.append((x - half, y - half, x + half, y + half))

    def write(
        self,
        sheet: Sheet,
        x: float,
        y: float,
        lines: list[str],
        *,
        look: str = "ink",
        size: float = 11.5,
        bold: bool = False,
        must: bool = True,
    ) -> None:
        """Write lines near a mark; where nothing is free, in the first place if they must stand, else not at all."""
        if not (0.0 <= x <= WIDTH and 0.0 <= y <= self.height):
            return
        width = max(text_width(line, size, bold=bold) for line in lines) + 6.0
        tall = 1.25 * size * len(lines) + 4.0
        places = [(dx, dy) for dx, dy in _around(width, tall) if self._free(x + dx, y + dy, width, tall)]
        if not places and not must:
            return
        dx, dy = places[0] if places else (12.0, -tall - 6.0)
        self.taken.append((x + dx, y + dy, x + dx + width, y + dy + tall))
        label = sheet.fixed(x, y)
        label.rect(dx, dy, width, tall, "veil", rx=2.5)
        for row, line in enumerate(lines):
            weight = "bold" if bold else "normal"
            label.text(dx + 3.0, dy + 1.25 * size * (row + 1) - 1.0, line, look, size=size, font_weight=weight)

    def _free(self, x: float, y: float, width: float, tall: float) -> bool:
        if x < 2.0 or y < 2.0 or x + width > WIDTH - 2.0 or y + tall > self.height - 2.0:
            return False
        return all(x + width < a or c < x or y + tall < b or d < y for a, b, c, d in self.taken)


def _around(width: float, tall: float) -> Iterator[tuple[float, float]]:
    """Yield offsets of a label's corner from its mark, near ones first."""
    for away in (11.0, 26.0, 46.0, 72.0):
        yield from (
            (away, -0.5 * tall),
            (-0.5 * width, away),
            (-0.5 * width, -away - tall),
            (-away - width, -0.5 * tall),
            (away, -away - tall),
            (away, away),
            (-away - width, -away - tall),
            (-away - width, away),
        )
