"""Look of the report: one stylesheet, light and dark, nothing from outside."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #1b1d1f; --muted: #62676d; --line: #dfddd6; --accent: #0a8f6c;
  --warn: #a34a00; --sans: system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif;
  --serif: Charter, "Iowan Old Style", "Source Serif 4", Cambria, "Noto Serif", Georgia, serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16181a; --card: #1d2023; --ink: #ecebe6; --muted: #9ba1a8; --line: #33373c; --accent: #2fc39a;
    --warn: #f0a060;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 var(--sans); }
main { max-width: 66rem; margin: 0 auto; padding: 3.5rem 1.5rem 5rem; }
h1, h2, .lead { font-family: var(--serif); text-wrap: balance; }
h1 { font-size: 2.5rem; line-height: 1.1; letter-spacing: -0.01em; margin: 0.2rem 0 0.9rem; font-weight: 600; }
h2 { font-size: 1.6rem; line-height: 1.2; margin: 4rem 0 0.4rem; font-weight: 600; }
h3 { font-size: 1rem; margin: 2.2rem 0 0.5rem; }
p { max-width: 44rem; margin: 0.5rem 0 1rem; }
.lead { font-size: 1.25rem; line-height: 1.5; max-width: 46rem; text-wrap: pretty; }
.eyebrow { color: var(--accent); font-weight: 600; margin: 0; }
.meta, .note, figcaption { color: var(--muted); font-size: 0.9rem; }
.warn { color: var(--warn); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1px; margin: 2rem 0 1.2rem;
  background: var(--line); border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
.tiles div { background: var(--card); padding: 0.9rem 1rem 1rem; }
.tiles b { display: block; font: 600 1.75rem/1.15 var(--serif); font-variant-numeric: lining-nums tabular-nums; }
.tiles span { color: var(--muted); font-size: 0.84rem; line-height: 1.35; display: block; }
.scroll { overflow-x: auto; margin: 0.8rem 0 0.4rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: lining-nums tabular-nums; }
th, td { padding: 0.45rem 0.55rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--muted); font-weight: 500; font-size: 0.82rem; line-height: 1.25;
  vertical-align: bottom; white-space: normal; }
td.name, th.name { text-align: left; padding-left: 0; }
tr.first td { font-weight: 600; }
.range { color: var(--muted); font-weight: 400; font-size: 0.82rem; padding-left: 0.4rem; }
.mean { display: inline-block; min-width: 2.2rem; }
.bar { display: inline-block; width: 4rem; height: 0.55rem; border-radius: 2px; background: var(--line);
  margin-right: 0.6rem; overflow: hidden; vertical-align: 0; }
.bar i { display: block; height: 100%; background: var(--accent); }
figure { margin: 1rem 0 1.6rem; }
figure svg { display: block; width: 100%; height: auto; }
svg text { font-family: var(--sans) !important; }
figure img { display: block; width: 100%; height: auto; border-radius: 6px; background: #121416; }
figcaption { margin-top: 0.5rem; max-width: 52rem; }
figcaption b { color: var(--ink); }
dl { display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; gap: 0.3rem 1.4rem; font-size: 0.9rem;
  margin: 0.6rem 0 1.2rem; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
details { margin: 1.2rem 0; border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); }
summary { cursor: pointer; padding: 0.7rem 0; font-weight: 600; font-size: 0.95rem; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 0 3rem; }
details table { font-size: 0.84rem; }
details th, details td { padding: 0.25rem 0.4rem; }
@media print { details { display: none; } main { padding: 0; } figure, tr { break-inside: avoid; } }
"""
