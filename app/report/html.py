"""Pieces of HTML: what is text is escaped, tables have headers with a scope, pictures a text beside."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Sequence

from app.figures import Drawing

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --soft: #5c5c5c; --line: #ddd; --page: #fff; --mark: #0063a0;
  --note: #f4f6f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --soft: #a8a8a8; --line: #3a3a3a; --page: #161616;
  --mark: #7cc0f0; --note: #202428; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--line); }
p, ul { max-width: 46rem; }
a { color: var(--mark); }
.lead { color: var(--soft); margin-top: 0; }
.note { background: var(--note); border-left: 4px solid var(--mark); padding: .6rem 1rem; max-width: 46rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
th, td { padding: .28rem .7rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th { font-weight: 600; }
th:first-child, td:first-child { padding-left: 0; }
th.text, td.text { text-align: left; }
figure { margin: 1.2rem 0; }
figure img { max-width: 100%; height: auto; background: #fff; padding: .5rem; border-radius: 4px; }
figcaption { color: var(--soft); font-size: .92rem; max-width: 46rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; color: #000; background: #fff; }
  h2 { break-after: avoid; } figure, tr { break-inside: avoid; } .wide { overflow: visible; } }
"""


def text(value: object) -> str:
    """Escaped."""
    return html.escape(str(value))


def heading(title: str) -> str:
    return f"<h1>{text(title)}</h1>"


def paragraph(*sentences: str, kind: str = "") -> str:
    """Plain sentences, escaped; nothing where there are none."""
    said = " ".join(s for s in sentences if s)
    return f"<p{_class(kind)}>{text(said)}</p>" if said else ""


def items(points: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{text(point)}</li>' for point in points)}</ul>"


def facts(pairs: dict[str, object]) -> str:
    """Names and values; those that are not known are left out."""
    known = {name: value for name, value in pairs.items() if value not in (None, "")}
    return f"<dl>{''.join(f'<dt>{text(name)}</dt><dd>{text(value)}</dd>' for name, value in known.items())}</dl>"


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """The first `words` columns are text, the others numbers; the first cell names its row."""
    if not rows:
        return ""
    kinds = ["text" if n < words else "" for n in range(len(columns))]
    head = "".join(f'<th scope="col"{_class(k)}>{text(c)}</th>' for c, k in zip(columns, kinds, strict=True))
    body = "".join(f"<tr>{_row(row, kinds)}</tr>" for row in rows)
    return (
        f'<div class="wide"><table><caption>{text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def figure(name: str, drawing: Drawing, caption: str) -> str:
    """The picture in the page itself, what it says in words, and its data to take away."""
    link = f'<a download="{text(name)}.csv" href="{_data("text/csv", drawing.csv())}">data (CSV)</a>'
    picture = f'<img alt="{text(drawing.says)}" src="{_data("image/svg+xml", drawing.svg())}">'
    return f'<figure id="{text(name)}">{picture}<figcaption>{text(caption)} {link}</figcaption></figure>'


def section(name: str, heading: str, *parts: str) -> str:
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{text(heading)}</h2>{"".join(parts)}</section>'


def page(title: str, *parts: str) -> str:
    """The whole document."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head>\n<body><main>{chr(10).join(parts)}</main></body></html>\n"
    )


def _row(row: Sequence[str], kinds: list[str]) -> str:
    first, *others = zip(row, kinds, strict=True)
    cells = "".join(f"<td{_class(kind)}>{text(value)}</td>" for value, kind in others)
    return f'<th scope="row"{_class(first[1])}>{text(first[0])}</th>{cells}'


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _data(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{b64encode(content).decode()}"
