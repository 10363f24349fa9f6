"""The style of the page of a trace: from 360 pixels on, light and dark, and on paper."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1b1f24; --faint: #5a6370;
  --line: #c5ccd4; --out: #0b62b0; --in: #1a7040; --mark: #fff0b8; --panel: #f4f6f8; }
@media (prefers-color-scheme: dark) { :root { --back: #14171b; --text: #e6e9ed;
  --faint: #a3adb8; --line: #454d57; --out: #79b8ff; --in: #7bd88f; --mark: #5a4a00;
  --panel: #1d2228; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--back);
  color: var(--text); font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; } h4 { margin: .5rem 0 0; }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: .15rem .75rem;
  margin: .5rem 0; font-size: .9rem; }
dt { color: var(--faint); } dd { margin: 0; }
mark { display: inline-block; background: var(--mark); color: inherit; padding: 0 .25em;
  border-radius: .2em; }
small { color: var(--faint); white-space: nowrap; }
summary { cursor: pointer; }
summary:focus-visible { outline: 2px solid var(--out); outline-offset: 2px; }
.faint { color: var(--faint); }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.bars { list-style: none; padding: 0; }
.bars li { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem;
  margin: .4rem 0; }
.bars i { display: block; height: .7rem; border-radius: .2rem; }
.bars li > i { flex: 0 0 100%; background: var(--panel); overflow: hidden; }
.bars i i { background: var(--out); min-width: 2px; print-color-adjust: exact; }
.choice { border-top: 1px solid var(--line); padding: .3rem 0; }
.choice summary span { display: inline-block; min-width: 14rem; }
.choice > div { display: grid;
  grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); }
.choice ol { margin: .25rem 0; padding-left: 2rem; font-size: .9rem; }
.ends { display: flex; justify-content: space-between; margin: 0; }
.lines { border: solid var(--line); border-width: 0 3px; padding: .25rem 0; }
.lines > * { margin: .35rem 0; }
.lines .summary { margin: 0; }
.lines summary, .lines .summary { display: block; position: relative; padding: .15rem 1.2rem;
  border-bottom: 2px solid; }
.out > summary, .out > .summary { border-color: var(--out); }
.in > summary, .in > .summary { border-color: var(--in); text-align: right; }
.out > :first-child::after, .in > :first-child::after { position: absolute; bottom: -.78rem;
  font-size: .9rem; }
.out > :first-child::after { content: "\\25B6"; right: -.1rem; color: var(--out); }
.in > :first-child::after { content: "\\25C0"; left: -.1rem; color: var(--in); }
.lines summary b::before { content: "+ "; color: var(--faint); }
.lines [open] > summary b::before { content: "\\2212 "; }
.lines dl { background: var(--panel); padding: .5rem 1.2rem; margin: .6rem .75rem; }
.note { text-align: center; color: var(--faint); font-size: .9rem; padding: 0 1.2rem;
  white-space: pre-line; }
.lines .note summary { border: 0; }
.note dl { text-align: left; }
@media print { body { max-width: none; padding: 0; font-size: 9pt; }
  details::details-content { display: block; content-visibility: visible; }
  details > :not(summary) { display: block; } details > dl { display: grid; }
  .lines > *, .choice, .bars li { break-inside: avoid; } h2, h3 { break-after: avoid; } }
"""
