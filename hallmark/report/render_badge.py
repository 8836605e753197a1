"""Report -> a badge: outcome, tier and day as a small picture, for a page that links to the report. It needs no network."""

from __future__ import annotations

from html import escape

from hallmark.core.wording import clean
from hallmark.report.document import Report
from hallmark.report.layout import TONES

_FILLS = {"good": "#17694a", "bad": "#a8201a", "open": "#8a5200"}
"""White text on each of them has a contrast of 5.9 or more."""
_PER_CHARACTER = 6.6
_PADDING = 8
_LABEL = "hallmark"


def render_badge(report: Report) -> str:
    """An SVG of 20 pixels in height; a text is stretched to its place, whichever font draws it."""
    said = ", ".join(filter(None, (report.decision.title, report.started_at[:10])))
    left, right = _width(_LABEL), _width(said)
    fill = _FILLS[TONES[report.decision.outcome][0]]
    name = escape(clean(f"{report.model} on {report.device}: {said}"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" aria-label="{name}">'
        f"<title>{name}</title>"
        f'<clipPath id="round"><rect width="{left + right}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#round)"><rect width="{left}" height="20" fill="#3a4250"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{fill}"/></g>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11">'
        f"{_text(_LABEL, at=0, width=left)}{_text(said, at=left, width=right)}</g></svg>\n"
    )


def _width(text: str) -> int:
    return round(len(text) * _PER_CHARACTER) + 2 * _PADDING


def _text(text: str, *, at: int, width: int) -> str:
    length = width - 2 * _PADDING
    return f'<text x="{at + _PADDING}" y="14" textLength="{length}" lengthAdjust="spacingAndGlyphs">{escape(clean(text))}</text>'
