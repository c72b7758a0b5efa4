/// How a report looks: light and dark by the system, or as the reader chooses.
enum ReportStyle {
  static let text = #"""
    :root {
      color-scheme: light dark;
      --paper: light-dark(#f6f7f5, #0e1217);
      --panel: light-dark(#ffffff, #151b22);
      --ink: light-dark(#1a2027, #e6ecf2);
      --muted: light-dark(#5a6570, #94a1ae);
      --rule: light-dark(#dfe3df, #29323c);
      --faint: light-dark(#eceeeb, #1d252e);
      --edge: light-dark(#aab4bd, #465361);
      --persistent: light-dark(#2368b0, #6cb6ff);
      --alert: light-dark(#c53a52, #ff7d8c);
      --realtime: light-dark(#7a50c4, #b99cff);
      --link: light-dark(#0f8a5f, #47d6a2);
      --gone: light-dark(#c2702a, #f0a35c);
      --agent: light-dark(#6d7985, #c3ced9);
      font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif;
      background: var(--paper);
      color: var(--ink);
    }
    :root[data-theme="light"] { color-scheme: light; }
    :root[data-theme="dark"] { color-scheme: dark; }
    * { box-sizing: border-box; }
    body { margin: 0; }
    header, main { max-width: 1180px; margin: 0 auto; padding: 0 24px; }
    header { display: flex; justify-content: space-between; align-items: flex-start; gap: 16px; padding-top: 32px; }
    h1 { font-size: clamp(1.7rem, 4vw, 2.6rem); line-height: 1.15; margin: 0; letter-spacing: -0.02em;
      overflow-wrap: anywhere; }
    h2 { font-size: 1.3rem; margin: 0 0 4px; letter-spacing: -0.01em; }
    h3 { font-size: 1rem; margin: 28px 0 8px; }
    section { margin-top: 52px; }
    footer, .muted, .lead { color: var(--muted); }
    .lead { margin: 0 0 14px; max-width: 78ch; }
    .kicker { margin: 0 0 2px; font-size: 0.8rem; text-transform: uppercase; letter-spacing: 0.09em; color: var(--link);
      font-weight: 600; }
    p.muted { margin: 6px 0 0; }
    button { font: inherit; font-size: 0.875rem; color: var(--ink); background: var(--panel); cursor: pointer;
      border: 1px solid var(--rule); border-radius: 8px; padding: 7px 14px; white-space: nowrap; }
    button:hover { border-color: var(--muted); }
    :focus-visible { outline: 2px solid var(--persistent); outline-offset: 2px; }
    .panel { background: var(--panel); border: 1px solid var(--rule); border-radius: 12px; padding: 16px 18px; }
    .figures { list-style: none; display: grid; grid-template-columns: repeat(auto-fit, minmax(136px, 1fr)); gap: 1px;
      padding: 0; margin: 26px 0 0; background: var(--rule); border: 1px solid var(--rule); border-radius: 12px;
      overflow: hidden; }
    .figures li { background: var(--panel); padding: 14px 16px; }
    .figures b { display: block; font-size: 1.5rem; font-weight: 600; line-height: 1.2; letter-spacing: -0.01em;
      font-variant-numeric: tabular-nums; }
    .figures span { font-size: 0.82rem; color: var(--muted); }
    .figures .bad b { color: var(--alert); }
    .figures .good b { color: var(--link); }

    .stage { display: grid; grid-template: "graph moment" auto "scrub scrub" auto / minmax(0, 1fr) 300px; gap: 14px 16px; }
    #moment { grid-area: moment; }
    .canvas { grid-area: graph; background: var(--panel); border: 1px solid var(--rule); border-radius: 12px; overflow: hidden; }
    svg { display: block; width: 100%; }
    svg text { fill: var(--ink); font-size: 11px; }
    #graph .tree { stroke: var(--edge); fill: none; stroke-linecap: round; }
    #graph .link { stroke: var(--link); fill: none; stroke-linecap: round; }
    #graph .link.pinned { stroke-dasharray: 1 5; }
    #graph .link.gone { stroke: var(--gone); stroke-dasharray: 5 5; }
    #graph .pair { stroke: var(--persistent); fill: none; stroke-linecap: round; }
    #graph circle { fill: var(--agent); stroke: var(--panel); stroke-width: 1.5; cursor: pointer; }
    #graph .supervisor circle { fill: var(--persistent); }
    #graph text { paint-order: stroke; stroke: var(--panel); stroke-width: 3px; stroke-linejoin: round;
      pointer-events: none; }
    #graph .leaf text { fill: var(--muted); }
    #graph .supervisor text { font-weight: 600; }
    #graph .off { opacity: 0.12; }
    #graph .picked circle { stroke: var(--link); stroke-width: 3; }
    #moment { display: flex; flex-direction: column; gap: 12px; font-size: 0.9rem; overflow: hidden; }
    #moment dl { display: grid; grid-template-columns: 1fr auto; gap: 4px 12px; margin: 0; }
    #moment dt { color: var(--muted); }
    #moment dd { margin: 0; text-align: right; font-weight: 600; font-variant-numeric: tabular-nums; }
    #moment ol { margin: 0; padding: 0; list-style: none; display: grid; gap: 7px; }
    #moment li { border-left: 3px solid var(--link); padding-left: 9px; line-height: 1.35; overflow-wrap: anywhere; }
    #moment li.gone { border-color: var(--gone); }
    #moment li small, td small { color: var(--muted); }
    #moment h3 { margin: 4px 0 0; font-size: 0.9rem; }
    .scrub { grid-area: scrub; display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: 14px;
      align-items: center; }
    .track { position: relative; }
    #pulse { height: 44px; }
    #slider { width: 100%; margin: 2px 0 0; accent-color: var(--link); display: block; }
    #clock { min-width: 6.5em; text-align: right; font-variant-numeric: tabular-nums; font-weight: 600; }
    #play { min-width: 76px; }
    .legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 10px 0 0; padding: 0; list-style: none;
      font-size: 0.84rem; color: var(--muted); }
    .legend i { display: inline-block; width: 22px; height: 0; border-top: 3px solid currentColor; margin-right: 7px;
      vertical-align: middle; }
    .persistent { color: var(--persistent); } .alert { color: var(--alert); } .realtime { color: var(--realtime); }
    .links { color: var(--link); } .retired { color: var(--gone); } .edges { color: var(--edge); }
    .all { color: var(--muted); }
    .fill { fill: currentColor; } .line { stroke: currentColor; fill: none; stroke-width: 1.6; }
    .grid { stroke: var(--rule); stroke-width: 1; shape-rendering: crispEdges; }
    .cursor { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 2 3; pointer-events: none; }
    .pause { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 8 4; stroke-opacity: 0.5; }
    svg .small { fill: var(--muted); font-size: 11px; }
    svg .name { font-size: 12px; font-weight: 600; fill: currentColor; }
    #lanes svg { cursor: crosshair; }
    #reading { min-height: 1.5em; font-variant-numeric: tabular-nums; }

    .scroll { overflow-x: auto; background: var(--panel); border: 1px solid var(--rule); border-radius: 12px; }
    table { border-collapse: collapse; width: 100%; font-size: 0.88rem; }
    .above { padding: 10px 14px; margin: 0; color: var(--muted); font-size: 0.84rem; border-bottom: 1px solid var(--rule); }
    th, td { text-align: left; padding: 7px 14px; border-top: 1px solid var(--rule); vertical-align: top;
      overflow-wrap: anywhere; }
    thead th { border-top: 0; color: var(--muted); font-weight: 500; white-space: nowrap; }
    tbody tr:hover { background: var(--faint); }
    .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; overflow-wrap: normal; }
    .nowrap { white-space: nowrap; overflow-wrap: normal; }
    .code { font: 0.82rem/1.5 ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
    .tag { display: inline-block; border: 1px solid currentColor; border-radius: 99px; padding: 0 9px; font-size: 0.78rem;
      white-space: nowrap; }
    .bar { display: block; height: 4px; border-radius: 2px; background: var(--persistent); margin-top: 5px;
      min-width: 2px; }
    .columns { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 16px; align-items: start; }
    .heat, #channels { margin-top: 16px; }
    .more { padding: 8px 14px; margin: 0; font-size: 0.84rem; color: var(--muted); border-top: 1px solid var(--rule); }
    .none { padding: 14px 18px; }
    main { padding-bottom: 64px; }

    @media (max-width: 860px) {
      .stage { grid-template: "graph" auto "scrub" auto "moment" auto / minmax(0, 1fr); }
      .columns { grid-template-columns: minmax(0, 1fr); }
    }
    @media (max-width: 560px) {
      header, main { padding-left: 14px; padding-right: 14px; }
      header { padding-top: 20px; }
      section { margin-top: 40px; }
      .figures { grid-template-columns: repeat(2, 1fr); }
      .figures b { font-size: 1.25rem; }
      .scrub { grid-template-columns: auto 1fr; }
      .track { grid-column: 1 / -1; grid-row: 1; }
      th, td { padding: 6px 10px; }
      #graph text { font-size: 9.5px; }
      .wide table { min-width: 760px; }
      .panel { padding: 12px 12px; }
    }
    @media print {
      .scrub, button { display: none; }
      section { break-inside: avoid-page; }
    }
    """#
}
