"""A few words of SVG, for tools/pictures.py.

The pictures name no font: each reader's own sans-serif is used, and boxes have room to spare.
They have colours for a light page and a dark one, and a background of their own for a reader
that knows neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

Point = tuple[float, float]

LIGHT = {
    "page": "#ffffff",
    "hall": "#f3f5f8",
    "box": "#ffffff",
    "edge": "#8b96a5",
    "text": "#1b2430",
    "soft": "#57606c",
    "way": "#d9730d",
    "on": "#fff1e2",
    "good": "#1a7f4b",
    "bad": "#b3372f",
}
DARK = {
    "page": "#12161c",
    "hall": "#1b212a",
    "box": "#242c37",
    "edge": "#76818f",
    "text": "#e8edf3",
    "soft": "#a5afbb",
    "way": "#f29b4b",
    "on": "#3d2c1b",
    "good": "#55c48a",
    "bad": "#f0837a",
}


def _rules(colours: dict[str, str]) -> str:
    rules = []
    for name, colour in colours.items():
        rules.append(f".f-{name} {{ fill: {colour} }} .s-{name} {{ stroke: {colour} }}")
    return "\n".join(rules)


@dataclass
class Drawing:
    """One picture.  Later parts lie above earlier ones."""

    width: int
    height: int
    title: str
    description: str
    made: str = "Written by `make pictures`: change the table, not this file."
    parts: list[str] = field(default_factory=list)

    def rect(self, at: Point, size: Point, classes: str, radius: float = 8) -> None:
        """A rectangle with its upper left corner `at`."""
        (x, y), (width, height) = at, size
        self.parts.append(
            f'<rect class="{classes}" x="{x:g}" y="{y:g}" width="{width:g}" '
            f'height="{height:g}" rx="{radius:g}"/>'
        )

    def text(
        self,
        at: Point,
        text: str,
        *,
        size: int = 14,
        colour: str = "text",
        where: str = "middle",
        bold: bool = False,
        halo: bool = False,
    ) -> None:
        """One line of text; `at` is its base line's start, middle or end.

        With a `halo` it interrupts the lines below it.
        """
        weight = ' font-weight="600"' if bold else ""
        around = ' style="paint-order: stroke" stroke-width="6"' if halo else ""
        classes = f"f-{colour} s-page" if halo else f"f-{colour}"
        self.parts.append(
            f'<text class="{classes}"{around} x="{at[0]:g}" y="{at[1]:g}" font-size="{size}" '
            f'text-anchor="{where}"{weight}>{escape(text)}</text>'
        )

    def line(
        self,
        points: Sequence[Point],
        colour: str,
        *,
        width: float = 1.6,
        head: str = "",
        dashed: bool = False,
        radius: float = 9,
    ) -> None:
        """A line with round corners; `head` names the colour of its arrowhead."""
        extra = f' marker-end="url(#head-{head})"' if head else ""
        extra += ' stroke-dasharray="2 7" stroke-linecap="round"' if dashed else ""
        self.parts.append(
            f'<path class="s-{colour}" fill="none" stroke-width="{width:g}" '
            f'd="{rounded(points, radius)}"{extra}/>'
        )

    def tip(self, at: Point, way: Point, colour: str = "way") -> None:
        """A large arrowhead that ends `at`; `way` is its direction, one unit long."""
        (x, y), (right, down) = at, way
        back = x - 11 * right, y - 11 * down
        wings = [(back[0] - side * 8 * down, back[1] + side * 8 * right) for side in (1, -1)]
        points = " ".join(f"{a:g},{b:g}" for a, b in [*wings, at])
        self.parts.append(f'<polygon class="f-{colour}" points="{points}"/>')

    def badge(self, at: Point, text: str) -> None:
        """A number in a disc."""
        self.parts.append(f'<circle class="f-way" cx="{at[0]:g}" cy="{at[1]:g}" r="10"/>')
        self.text((at[0], at[1] + 4), text, size=12, colour="page", bold=True)

    def store(self, at: Point, size: Point, name: str) -> None:
        """A cylinder with a name: something that keeps data.  `at`: its upper left corner."""
        (x, y), (width, height) = at, size
        right, low = x + width, y + height
        self.parts.append(
            f'<path class="f-on s-way" stroke-width="2" d="M{x:g} {y:g} '
            f"A{width / 2:g} 7 0 0 1 {right:g} {y:g} V{low:g} "
            f"A{width / 2:g} 7 0 0 1 {x:g} {low:g} Z M{x:g} {y:g} "
            f'A{width / 2:g} 7 0 0 0 {right:g} {y:g}"/>'
        )
        self.text((x + width / 2, y + height / 2 + 9), name, bold=True)

    def svg(self, heads: Iterable[str]) -> str:
        """The file."""
        markers = "\n".join(
            f'<marker id="head-{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="9" '
            f'markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">'
            f'<path class="f-{name}" d="M0 0.8 L10 5 L0 9.2 Z"/></marker>'
            for name in heads
        )
        body = "\n".join(self.parts)
        return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" \
width="{self.width}" height="{self.height}" role="img" aria-labelledby="title desc" \
font-family="sans-serif">
<!-- {escape(self.made)} -->
<title id="title">{escape(self.title)}</title>
<desc id="desc">{escape(self.description)}</desc>
<style>
{_rules(LIGHT)}
@media (prefers-color-scheme: dark) {{
{_rules(DARK)}
}}
</style>
<defs>
{markers}
</defs>
<rect class="f-page" width="{self.width}" height="{self.height}" rx="12"/>
{body}
</svg>
"""


def rounded(points: Sequence[Point], radius: float) -> str:
    """The path through `points`, its corners rounded."""
    path = f"M{points[0][0]:g} {points[0][1]:g}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        near = min(radius, _length(before, corner) / 2, _length(corner, after) / 2)
        start, end = _towards(corner, before, near), _towards(corner, after, near)
        path += f" L{start[0]:g} {start[1]:g} Q{corner[0]:g} {corner[1]:g} {end[0]:g} {end[1]:g}"
    return path + f" L{points[-1][0]:g} {points[-1][1]:g}"


def _length(one: Point, other: Point) -> float:
    return ((one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2) ** 0.5


def _towards(one: Point, other: Point, far: float) -> Point:
    part = far / (_length(one, other) or 1)
    x, y = (a + (b - a) * part for a, b in zip(one, other, strict=True))
    return round(x, 1), round(y, 1)
