"""How does the page look? Its colours and shapes, in light and dark, wide, narrow and on paper."""

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d8dee4;--paper:#ffffff;--row:#f6f8fa;--card:#fbfcfd;
--good:#00694d;--good-back:#dcf5ec;--bad:#9a3f06;--bad-back:#fdeadd;--none-back:#eceff2;
--kernel:#0072b2;--python:#e69f00;--system:#cc79a7;--ours:#d55e00}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4af;--line:#30363d;--paper:#0d1117;--row:#141a21;
--card:#11161d;--good:#4fd6ae;--good-back:#0d2f26;--bad:#ffa867;--bad-back:#3a2010;--none-back:#21262d;
--kernel:#56b4e9;--python:#e6b422;--system:#e3a0c6;--ours:#ff8a3d}}
@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--line:#bbb;--paper:#fff;--row:#f4f4f4;--card:#fff;
--good:#00694d;--good-back:#fff;--bad:#9a3f06;--bad-back:#fff;--none-back:#fff;
--kernel:#0072b2;--python:#e69f00;--system:#cc79a7}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:68rem;margin:auto;
padding:2rem 1.5rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:0;letter-spacing:-.02em}
h2{font-size:1.25rem;margin:2.6rem 0 .3rem;border-top:1px solid var(--line);padding-top:1.4rem}
h3{font-size:.95rem;margin:1.2rem 0 .2rem}
p{margin:.35rem 0;max-width:54rem}.soft{color:var(--soft)}svg{width:100%;min-width:42rem;height:auto;margin:.6rem 0}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.87rem;margin:.6rem 0}
th,td{text-align:left;padding:.34rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--soft);white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
table.figures{width:auto}.figures td:first-child{padding-right:1.5rem}
tr.ours td{background:var(--row)}tr.ours td:nth-child(2){font-weight:600}
tr:has(>td:first-child:empty)>td:first-child{border-color:transparent}
.chip{display:inline-block;border-radius:1rem;padding:.05rem .6rem;font-weight:600;font-size:.8rem;white-space:nowrap}
.met{color:var(--good);background:var(--good-back)}.missed{color:var(--bad);background:var(--bad-back)}
.not{color:var(--soft);background:var(--none-back)}
.tiles{display:flex;gap:.8rem;margin:1.2rem 0;flex-wrap:wrap}
.tiles a{border:1px solid var(--line);border-radius:10px;padding:.7rem 1.1rem;min-width:8.5rem;background:var(--card);
text-decoration:none}
.tiles b{display:block;font-size:1.9rem;line-height:1.15;font-variant-numeric:tabular-nums}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.8rem 0;font-size:.9rem;
border:1px solid var(--line);border-radius:10px;padding:.8rem 1.1rem;background:var(--card)}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.goal{position:relative;min-width:9rem;height:.6rem;margin-top:.45rem;background:var(--none-back);border-radius:3px}
.goal i{position:absolute;top:0;height:100%;border-radius:3px;background:var(--good)}
.goal.missed i{background:var(--bad)}.goal b{position:absolute;top:-.2rem;bottom:-.2rem;width:2px;left:50%;
background:var(--ink)}
.shares{display:flex;height:1.1rem;border-radius:4px;overflow:hidden;max-width:40rem;margin:.3rem 0;
background:var(--none-back)}
.shares i{display:block}
.kernel{background:var(--kernel)}.python{background:var(--python)}.system{background:var(--system)}
.key i{display:inline-block;width:.75rem;height:.75rem;border-radius:2px;margin:0 .3rem 0 .9rem;vertical-align:-.05rem}
.why{border:1px solid var(--line);border-radius:10px;padding:.7rem 1.1rem;margin:.8rem 0;background:var(--card)}
.why h3{margin-top:0}summary{cursor:pointer;color:var(--soft);font-size:.87rem}
nav a{margin-right:.9rem;white-space:nowrap}
a{color:inherit;text-underline-offset:.15em;text-decoration-color:var(--line)}
code{font-size:.85em;overflow-wrap:anywhere}
@media (max-width:44rem){body{padding:1rem .8rem 3rem}h1{font-size:1.5rem}dl{grid-template-columns:1fr;gap:0}
dt{margin-top:.3rem}.goals thead{display:none}.goals tr{display:grid;grid-template-columns:1fr auto;gap:0 .8rem;
padding:.5rem 0;border-bottom:1px solid var(--line)}.goals td{border:0;padding:.05rem 0}
.goals td:nth-child(2){grid-column:1/-1;order:-1;font-weight:600}.goals td.n{text-align:left}
.goals td:empty{display:none}.tiles a{flex:1;min-width:0;padding:.6rem .7rem}
.tiles .chip{padding:.05rem .45rem;font-size:.72rem}
.goals td[data-name]::before{content:attr(data-name) " ";color:var(--soft);font-weight:400}
.goals td:nth-child(5){grid-column:1/-1}}
@media print{body{font-size:9pt;padding:0;max-width:none}.wide{overflow:visible}table{font-size:7pt}svg{min-width:0}
th,td{padding:.12rem .25rem}td.n,th.n{white-space:normal}tr,svg,.why{break-inside:avoid}h2,h2+p,th{break-after:avoid}
svg{max-height:23cm}h2{margin-top:1.4rem;padding-top:.8rem}}
"""
