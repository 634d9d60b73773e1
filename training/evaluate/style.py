"""The style of the report's page: it travels inside the page, which asks no other host for anything."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{--ink:#1c2b2d;--soft:#5b6b6d;--paper:#fff;--line:#d9e0e0;--a:#0b7a75;--b:#b4552d;--c:#6b6fa8;
--note:#eef5f4;--gap:#8a5a00}
@media (prefers-color-scheme:dark){:root{--ink:#e6eded;--soft:#a3b1b2;--paper:#14191a;--line:#354143;--a:#4fc3bb;--b:#e59a73;
--c:#a5a9e0;--note:#1d2829;--gap:#e0b050}}
@media print{
:root{--ink:#000;--soft:#444;--paper:#fff;--line:#bbb;--a:#0b6a66;--b:#9a4420;--c:#50548c;--note:#fff;--gap:#7a4d00}
h2,h3{break-after:avoid}figure,tr,.card{break-inside:avoid}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:2rem 1.2rem 4rem}h1{font-size:1.9rem;line-height:1.2}
h2{margin-top:3rem;border-top:1px solid var(--line);padding-top:1.2rem}p{max-width:46rem}
.note{background:var(--note);border-left:4px solid var(--a);padding:.4rem 1.2rem}
.small,small,figcaption{font-size:.82rem;color:var(--soft)}
code{font-size:.85em;overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.8rem}
.card{border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem;display:flex;flex-direction:column}
.card span{font-size:1.7rem;color:var(--a)}.wide{overflow-x:auto}
table{border-collapse:collapse;margin:1rem 0;font-size:.85rem}
th,td{text-align:left;padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}th{color:var(--soft)}
td{font-variant-numeric:tabular-nums}
.gap{color:var(--gap);font-style:italic}summary{cursor:pointer;margin:.6rem 0;color:var(--a)}
figure{margin:.6rem 0}.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:.6rem}
.small-grid{grid-template-columns:repeat(auto-fit,minmax(16rem,1fr))}
svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
svg line.grid{stroke:var(--line);stroke-width:1}
svg .a{stroke:var(--a);stroke-width:2.5}svg .b{stroke:var(--b);stroke-width:2.5}
svg .c{stroke:var(--c);stroke-width:2.5}
svg .line{fill:none}svg .dot{stroke:none}svg .dot.a{fill:var(--a)}svg .dot.b{fill:var(--b)}
"""
