"""The style of the report's page: it travels inside the page, which asks no other host for anything."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{--ink:#1c2b2d;--soft:#56666a;--paper:#fff;--line:#dbe2e2;--a:#0b7a75;--b:#b4552d;--c:#6b6fa8;
--note:#eef5f4;--gap:#8a5a00;--shade:#f6f8f8}
@media (prefers-color-scheme:dark){:root{--ink:#e6eded;--soft:#a3b1b2;--paper:#14191a;--line:#354143;--a:#4fc3bb;--b:#e59a73;
--c:#a5a9e0;--note:#1d2829;--gap:#e0b050;--shade:#1a2122}}
@media print{
:root{--ink:#000;--soft:#444;--paper:#fff;--line:#bbb;--a:#0b6a66;--b:#9a4420;--c:#50548c;--note:#fff;--gap:#7a4d00;
--shade:#fff}
h2,h3{break-after:avoid}figure,tr,.card{break-inside:avoid}.wide{overflow:visible}nav{display:none}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.6 system-ui,sans-serif;overflow-wrap:break-word}
main{max-width:62rem;margin:0 auto;padding:2rem 1.2rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:.2rem 0 1rem}
h2{margin:3rem 0 .6rem;border-top:1px solid var(--line);padding-top:1.4rem;line-height:1.25}
h3{margin:1.8rem 0 .3rem;font-size:1.02rem}p{max-width:44rem;margin:.6rem 0}a{color:var(--a)}
nav{font-size:.86rem;columns:14rem;margin:1.2rem 0}nav a{display:block;text-decoration:none;padding:.1rem 0}
nav a:hover{text-decoration:underline}
.note{background:var(--note);border-left:4px solid var(--a);padding:.5rem 1.2rem;border-radius:0 .4rem .4rem 0}
.note.made-up{border-color:var(--b)}
.small,small,figcaption{font-size:.82rem;color:var(--soft)}ul.small{padding-left:1.1rem}
code{font-size:.85em;overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(9rem,42vw),1fr));gap:.8rem}
.card{border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem;display:flex;flex-direction:column}
.card span{font-size:1.7rem;line-height:1.3;color:var(--a)}
.wide{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;font-size:.85rem;line-height:1.4}
th,td{text-align:left;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
thead th{color:var(--soft);font-weight:600;vertical-align:bottom}tbody th{font-weight:400}
td{font-variant-numeric:tabular-nums}
.figures td{white-space:nowrap}.figures tbody th{min-width:9rem}
.words{width:100%}.words th{min-width:3rem}.words td{min-width:9rem}
.gap{color:var(--gap);font-style:italic}td.gap,em.gap{white-space:normal;min-width:8rem}
.yes{color:var(--a)}.no{color:var(--b)}
summary{cursor:pointer;margin:.6rem 0;color:var(--a)}
figure{margin:.6rem 0;min-width:0}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr));gap:1rem}
.small-grid{grid-template-columns:repeat(auto-fill,minmax(min(17rem,100%),1fr))}
svg{display:block;max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
svg line.grid{stroke:var(--line);stroke-width:1}svg .beyond{fill:var(--shade)}
svg .a{stroke:var(--a);stroke-width:2.5}svg .b{stroke:var(--b);stroke-width:2.5}svg .c{stroke:var(--c);stroke-width:2.5}
svg .thin{stroke-width:1.2}svg .line{fill:none}svg .dot{stroke:none}
svg .dot.a{fill:var(--a)}svg .dot.b{fill:var(--b)}svg .dot.c{fill:var(--c)}
.keys{font-size:.82rem;color:var(--soft);display:flex;flex-wrap:wrap;gap:.2rem 1rem;padding-left:3.4rem}
.key::before{content:"";display:inline-block;width:1.1rem;height:.18rem;margin-right:.4rem;vertical-align:middle}
.key.a::before{background:var(--a)}.key.b::before{background:var(--b)}.key.c::before{background:var(--c)}
.forest{width:100%;max-width:52rem;table-layout:fixed;margin:.6rem 0}
.forest th{width:34%;border:0;padding:.2rem .8rem .2rem 0;vertical-align:middle}
.forest td{border:0;padding:.2rem 0;vertical-align:middle}
.forest td:last-child{width:12.5rem;padding-left:1rem;white-space:nowrap}
.track div{position:relative;height:1.4rem;background:var(--shade);border-radius:.2rem}
.track i,.track b{position:absolute;display:block}
.track .mark{top:0;bottom:0;width:0;border-left:1px dashed var(--soft)}
.track .span{top:calc(50% - 1px);height:2px;background:var(--a)}
.track b{width:.6rem;height:.6rem;border-radius:50%;background:var(--a);top:calc(50% - .3rem);margin-left:-.3rem}
.track em{position:absolute;left:.4rem;font-size:.8rem;white-space:nowrap;background:var(--shade)}
.axis th,.axis .track{color:var(--soft);font-size:.8rem}.axis .track div{background:none}
.axis span{position:absolute;white-space:nowrap}.axis .end{right:0}.axis .middle{transform:translateX(-50%)}
@media (max-width:40rem){main{padding:1.2rem .9rem 3rem}h1{font-size:1.5rem}
.forest,.forest tbody,.forest tr,.forest th,.forest td{display:block;width:100%}
.forest th{padding:.5rem 0 0}.forest td:last-child{width:auto;padding:0;color:var(--soft)}
.figures tbody th{position:sticky;left:0;background:var(--paper);min-width:7rem;max-width:9rem}}
"""
