/// The second part of a report's script: charts and tables, and what happens when the page is opened.
enum ReportChartsScript {
  static let text = #"""

    // MARK: The run by channel

    function ticks(most, wanted) {
      const rough = most / wanted;
      const power = 10 ** Math.floor(Math.log10(rough || 1));
      const sizes = [1, 2, 5, 10].map((factor) => factor * power);
      // One line beside that at 0 there is always.
      const step = sizes.find((value) => value >= rough && value <= most)
        || sizes.filter((value) => value <= most).pop() || power;
      return Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step);
    }

    function drawLanes() {
      const box = at("lanes");
      const wide = Math.max(260, box.clientWidth - 36);
      const [left, right, tall, gap] = [58, 8, 74, 30];
      const x = (time) => left + time / (steps * width) * (wide - left - right);
      const lanes = data.channels.filter((channel) => channel.events > 0)
        .map((channel) => ({ name: channel.name, kind: channel.name, series: channel.series.map((n) => n / width * 1e6) }));
      const hasHops = traffic.weight[steps] > 0;
      // Nodes report once a second: a mean of means over that time shows it as if it had come evenly.
      if (hasHops && data.traffic === "reported") {
        const size = Math.max(1, Math.ceil(1e6 / width), Math.round(span / 2));
        const plain = (step) => (traffic.weight[step + 1] - traffic.weight[Math.max(0, step + 1 - size)]) / size;
        const mean = (step) => Array.from({ length: size }, (_, later) => plain(Math.min(steps - 1, step + later)))
          .reduce((sum, value) => sum + value, 0) / size;
        lanes.push({ name: "all channels, as reported", kind: "all",
          series: Array.from({ length: steps }, (_, step) => mean(step) / width * 1e6) });
      }
      const marks = notable();
      const high = lanes.length * (tall + gap) + (hasHops ? tall + gap : 0) + (marks.length ? 44 : 0) + 30;
      const picture = svg("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label":
        "Events a second by channel over the run, and the mean way of an event" });
      let top = 22;
      const axis = (most, label, bottom) => {
        for (const value of ticks(most, 2)) {
          const y = bottom - value / most * tall;
          picture.append(svg("line", { class: "grid", x1: left, x2: wide - right, y1: y, y2: y }),
            svg("text", { class: "small", x: left - 7, y: y + 4, "text-anchor": "end" }, label(value)));
        }
      };
      for (const lane of lanes) {
        const most = Math.max(...lane.series, 1e-9);
        const bottom = top + tall;
        axis(most, (value) => value >= 1e4 ? rounded(value / 1e3) + " k" : rounded(value), bottom);
        let path = `M${x(0)} ${bottom}`;
        lane.series.forEach((value, step) => {
          const y = (bottom - value / most * tall).toFixed(1);
          path += ` L${x(step * width).toFixed(1)} ${y} L${x((step + 1) * width).toFixed(1)} ${y}`;
        });
        picture.append(svg("g", { class: lane.kind },
          svg("path", { class: "fill", "fill-opacity": 0.75, d: path + ` L${x(steps * width)} ${bottom} Z` }),
          svg("text", { class: "name", x: left, y: top - 8 }, lane.name + ", " + (wide < 480 ? "/s" : "events a second"))));
        top = bottom + gap;
      }
      if (hasHops) {
        const bottom = top + tall;
        const mean = (row) => Array.from({ length: steps }, (_, step) =>
          within(traffic.weight, step) > 0 ? within(row, step) / within(traffic.weight, step) : null);
        const series = [["links", mean(traffic.routed)], ["edges", mean(traffic.plain)]];
        const most = Math.max(1, ...series.flatMap(([, row]) => row.filter((value) => value !== null)));
        axis(most, rounded, bottom);
        for (const [kind, row] of series.reverse()) {
          let path = "";
          row.forEach((value, step) => {
            if (value === null) return;
            path += (path === "" ? "M" : " L") + `${x((step + 0.5) * width).toFixed(1)} ${(bottom - value / most * tall).toFixed(1)}`;
          });
          picture.append(svg("g", { class: kind }, svg("path", {
            class: "line", d: path, "stroke-dasharray": kind === "edges" ? "5 4" : null,
          })));
        }
        picture.append(svg("g", { class: "links" }, svg("text", { class: "name", x: left, y: top - 8 },
          wide < 480 ? "mean hops (dashed: by the tree)" : "mean way of an event in hops (dashed: by the tree alone)")));
        top = bottom + gap;
      }
      if (marks.length) {
        picture.append(svg("text", { class: "name", x: left, y: top - 8 }, "of note"),
          svg("line", { class: "grid", x1: left, x2: wide - right, y1: top + 12, y2: top + 12 }));
        for (const mark of marks) {
          picture.append(svg("g", { class: mark.kind }, svg("circle", {
            class: "fill", cx: x(mark.at), cy: top + 12, r: 4, "fill-opacity": 0.8,
          }, svg("title", {}, `${since(mark.at)}: ${mark.text}`))));
        }
        top += 44;
      }
      const whole = data.time.last - first;
      for (const value of ticks(whole / 1e6, wide < 480 ? 3 : 7)) {
        const place = x(first + value * 1e6);
        picture.append(svg("text", { class: "small", x: place, y: high - 4, "text-anchor": "middle" }, since(first + value * 1e6)));
      }
      for (const pause of data.time.pauses) {
        const place = x(pause.at);
        picture.append(svg("line", { class: "pause", x1: place, x2: place, y1: 8, y2: high - 20 },
          svg("title", {}, `${since(pause.at)}: a pause of ${duration(pause.cut)}`)));
      }
      const cursor = svg("line", { class: "cursor", y1: 8, y2: high - 20 });
      const hover = svg("line", { class: "cursor", y1: 8, y2: high - 20, visibility: "hidden" });
      picture.append(cursor, hover);
      cursors[1] = (step) => { for (const end of ["x1", "x2"]) cursor.setAttribute(end, x((step + 1) * width)); };
      cursors[1](moment);
      const stepAt = (event) => {
        const bounds = picture.getBoundingClientRect();
        const place = (event.clientX - bounds.left) / bounds.width * wide;
        return Math.min(steps - 1, Math.max(0, Math.floor((place - left) / (wide - left - right) * steps)));
      };
      picture.addEventListener("pointermove", (event) => {
        const step = stepAt(event);
        hover.setAttribute("visibility", "visible");
        for (const end of ["x1", "x2"]) hover.setAttribute(end, x((step + 0.5) * width));
        read(step);
      });
      picture.addEventListener("pointerleave", () => { hover.setAttribute("visibility", "hidden"); read(null); });
      picture.addEventListener("click", (event) => { stop(); show(stepAt(event)); });
      box.replaceChildren(picture);
    }

    function read(step) {
      const logged = data.channels.filter((channel) => channel.events > 0);
      at("reading").textContent = step === null
        ? `A step is ${duration(width)}. Point at it to read it, click to go there in the graph.` + pauses() + unlogged()
        : `${since(step * width)} to ${since((step + 1) * width)}: `
          + logged.map((channel) => `${channel.name} ${count(channel.series[step])}`).join(", ");
    }

    /** What of the time is not shown. */
    function pauses() {
      return cut > 0 ? ` Where the lines are dashed, ${plural(data.time.pauses.length, "pause")} of ${duration(cut)} `
        + (data.time.pauses.length > 1 ? "in all are cut out." : "is cut out.") : "";
    }

    /** What the logs do not have: a realtime event is logged only where somebody has asked for it. */
    function unlogged() {
      const row = data.losses.channels.find((one) => one.channel === "realtime" && one.forAgents > 0);
      return row && !data.channels.some((channel) => channel.name === "realtime" && channel.events > 0)
        ? " Realtime events are not in the logs; their row is what nodes have counted." : "";
    }

    const bytes = (value) => value < 1024 ? `${value} B`
      : value < 2 ** 20 ? `${rounded(value / 1024)} KiB` : `${rounded(value / 2 ** 20)} MiB`;

    /** Each channel in a row. */
    function drawChannels() {
      const counted = Object.fromEntries(data.losses.channels.map((row) => [row.channel, row]));
      const lines = data.channels.map((channel) => {
        const row = counted[channel.name];
        const known = (value) => row ? count(value(row)) : null;
        return [html("td", { class: channel.name }, html("b", {}, channel.name)),
          count(Math.max(channel.events, (row && row.published) || 0)), count(channel.events), bytes(channel.bytes),
          known((one) => one.forAgents), known((one) => one.delivered),
          row ? html("td", { class: N + (row.lost ? " alert" : "") }, count(row.lost)) : null];
      });
      at("channels").append(table(null, [["channel"], ["events", N], ["in the logs", N], ["size there", N], ["for agents", N],
        ["delivered", N], ["lost", N]], lines));
    }

    /** What is marked on the time line: at most a few hundred of each. */
    function notable() {
      return data.changes.map((change) => ({ at: change.at, kind: change.made ? "links" : "retired",
        text: change.made ? change.made.join(" ↔ ") + " linked" : "link retired" }))
        .concat(data.incidents.map((incident) => ({ at: incident.at, kind: "alert",
          text: `${incident.kind}: ${incident.agent}` })));
    }

    // MARK: Tables

    function table(caption, columns, lines, more) {
      const cell = (name, value, kind) => value instanceof Node && value.nodeName === "TD"
        ? value : html(name, { class: kind || null }, value === null || value === undefined ? "–" : value);
      return html("div", { class: columns.length > 4 ? "scroll wide" : "scroll" },
      caption ? html("p", { class: "above" }, caption) : null,
      html("table", { "aria-label": caption || columns.map(([title]) => title).join(", ") },
        html("thead", {}, html("tr", {}, ...columns.map(([title, kind]) => html("th", { scope: "col", class: kind }, title)))),
        html("tbody", {}, ...lines.map((line) => html("tr", {}, ...line.map((value, place) => cell("td", value, columns[place][1])))))),
      more ? html("p", { class: "more" }, more) : null);
    }
    const nothing = (text) => html("p", { class: "panel none muted" }, text);
    const N = "number";

    function drawLatencies() {
      const lines = [];
      for (const channel of data.channels) {
        for (const [name, figures] of [["commit", channel.commit], ["travel", channel.travel], ["answer", channel.answer]]) {
          if (!figures || !figures.count) continue;
          lines.push([html("td", { class: channel.name }, html("b", {}, channel.name)), name, count(figures.count),
            ...["p50", "p90", "p99", "max"].map((key) => duration(figures[key]))]);
        }
      }
      for (const row of data.losses.channels) {
        if (!row.handled) continue;
        lines.push([html("td", { class: row.channel }, html("b", {}, row.channel)), "handler", count(row.handled.count),
          ...["p50", "p90", "p99", "max"].map((key) => duration(row.handled[key]))]);
      }
      at("latencies").replaceWith(lines.length
        ? table(null, [["channel"], ["until"], ["events", N], ["p50", N], ["p90", N], ["p99", N], ["longest", N]], lines)
        : nothing("No event of these logs has a latency."));
    }

    function drawHeat() {
      const box = at("heat");
      box.replaceChildren();
      const wide = Math.max(260, box.clientWidth - 38);
      for (const channel of data.channels) {
        if (!channel.heat.length) continue;
        const [left, right] = [58, 8];
        let [low, top, most] = [Infinity, -Infinity, 1];
        for (let place = 0; place < channel.heat.length; place += 3) {
          low = Math.min(low, channel.heat[place + 1]);
          top = Math.max(top, channel.heat[place + 1]);
          most = Math.max(most, channel.heat[place + 2]);
        }
        const tall = 11;
        const high = (top - low + 1) * tall + 48;
        const x = (step) => left + step / steps * (wide - left - right);
        const y = (row) => 24 + (top - row) * tall;
        const cells = svg("g", { class: channel.name });
        for (let place = 0; place < channel.heat.length; place += 3) {
          const [step, row, number] = channel.heat.slice(place, place + 3);
          cells.append(svg("rect", {
            class: "fill", x: x(step).toFixed(2), y: y(row), width: ((wide - left - right) / steps + 0.3).toFixed(2),
            height: tall - 1, "fill-opacity": (0.15 + 0.85 * Math.sqrt(number / most)).toFixed(3),
          }));
        }
        const picture = svg("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img",
          "aria-label": `How long events of the channel ${channel.name} took to reach another node's log, over the run` },
        svg("g", { class: channel.name }, svg("text", { class: "name", x: left, y: 13 },
          `${channel.name}: ${channel.heatOf} time over the run`)), cells);
        for (let row = low; row <= top; row += 1) {
          if ((row - low) % 2 && top - low > 3) continue;
          picture.append(svg("text", { class: "small", x: left - 7, y: y(row) + 9, "text-anchor": "end" },
            duration(data.heatRows[row])));
        }
        for (const value of ticks((data.time.last - first) / 1e6, wide < 480 ? 3 : 7)) {
          picture.append(svg("text", { class: "small", x: x((first + value * 1e6) / width), y: high - 6,
            "text-anchor": "middle" }, since(first + value * 1e6)));
        }
        box.append(html("div", { class: "panel heat" }, picture));
      }
    }

    /** A table of which only the first lines are shown until somebody asks for all. */
    function long(caption, columns, lines, most, more) {
      if (lines.length <= most) return table(caption, columns, lines, more);
      const box = table(caption, columns, lines.slice(0, most), more);
      const button = html("button", { type: "button" }, `Show all ${count(lines.length)}`);
      button.addEventListener("click", () => box.replaceWith(table(caption, columns, lines, more)));
      box.append(html("p", { class: "more" }, button));
      return box;
    }

    function drawNotes() {
      const box = at("notes");
      const pairs = (list) => list.map((pair) => pair.join(" ↔ ")).join(", ");
      if (data.changes.length) {
        box.append(html("h3", {}, "What the observer and operators have changed"), long(null,
          [["when", "nowrap"], ["version", N], ["linked"], ["retired"], ["why"], ["ledger", N]],
          data.changes.map((change) => [since(change.at), count(change.version),
            change.made ? html("td", { class: "links" }, change.made.join(" ↔ ")) : null,
            change.gone.length ? html("td", { class: "retired" }, pairs(change.gone)) : null,
            change.cause === "earned"
              ? `earned: ${hops(change.credit)} of traffic, ${hops(change.threshold)} are enough`
              : change.cause === "idle" ? "idle: it had saved nothing for long" : "an operator asked for it",
            count(change.ledger)]), 12,
          data.leftOut.changes ? `${count(data.leftOut.changes)} further changes are not listed.` : null));
      }
      if (data.rulings.length) {
        box.append(html("h3", {}, "What operators have asked for"), long(null,
          [["when", "nowrap"], ["by"], ["what"], ["note"]],
          data.rulings.map((ruling) => [since(ruling.at), ruling.by, ruling.what, ruling.note]), 12));
      }
      const counts = data.counts;
      box.append(html("h3", {}, "Alerts, and what went wrong"));
      const lines = Object.entries({
        "alerts that agents stated": counts.alerts, "of these, alerts that somebody has answered": counts.answered,
        "answers to these, one of each agent that answered": counts.answers,
        "answers to what the bus stated": counts.busAnswers,
        "answers to alerts that are not in these logs": counts.strayAnswers,
        "escalated to a supervisor": counts.escalated,
        "answered by nobody, up to the root": counts.unanswered, "dead letters": counts.deadLetters,
        "dead letters settled": counts.settled, "handlers that threw": counts.failures,
        "handlers that ran too long": counts.overdue, "agents that were stopped": counts.stopped,
        "nodes that started again": counts.restarts,
      }).filter(([name, value]) => value > 0 || name === "alerts that agents stated" || name === "dead letters");
      box.append(table(null, [["what"], ["events", N]], lines.map(([name, value]) => [name, count(value)])));
      if (data.incidents.length) {
        const left = Object.entries(data.leftOut.incidents).map(([kind, number]) => `${count(number)} ${kind}`);
        box.append(html("h3", {}, "One by one"), long(null, [["when", "nowrap"], ["what", "nowrap"], ["agent"], ["which"]],
          data.incidents.map((incident) => [since(incident.at), html("td", { class: "alert nowrap" }, incident.kind),
            incident.agent, incident.text]), 12, left.length ? `Not listed: ${left.join(", ")}.` : null));
      }
    }

    function drawLosses() {
      const box = at("losses");
      const { channels, rows: list, more } = data.losses;
      if (!channels.length) return box.append(nothing("These logs keep no counts of losses: no node has run on them."));
      box.append(table("Each event counts once for each agent that it is for. Persistent events and alerts that are not "
        + "delivered wait in a log; realtime events are worth something only now, and what does not arrive is counted.",
      [["channel"], ["for agents", N], ["delivered", N], ["lost", N], ["waiting", N], ["unknown", N]],
      channels.map((row) => [html("td", { class: row.channel }, html("b", {}, row.channel)), count(row.forAgents),
        count(row.delivered), html("td", { class: N + (row.lost ? " alert" : "") }, count(row.lost)), count(row.waiting),
        count(row.unknown)])));
      if (list.length) {
        box.append(html("h3", {}, "Lost where, and why"), long(null,
          [["agent"], ["from"], ["lane"], ["cause"], ["at"], ["lost", N]],
          list.map((row) => [row.agent, row.from, `${row.channel} ${row.lane}`, row.cause, row.at, count(row.count)]), 12,
          more ? `${count(more)} further rows are not listed.` : null));
      }
    }

    function drawTraffic() {
      const bars = (name, value, most) => html("td", { class: N }, value, html("span", { class: "bar" }));
      const ranked = (title, lines, more) => {
        const most = Math.max(1, ...lines.map((line) => line[1]));
        const box = long(null, [[title], ["events", N]], lines.map(([name, number]) => {
          const bar = html("span", { class: "bar" });
          bar.style.width = Math.max(1, number / most * 100) + "%";
          return [html("td", {}, name, bar), count(number)];
        }), 12, more);
        return box;
      };
      const pairs = data.pairs.map((pair) => [`${agents[pair.from].name} → ${agents[pair.to].name}`, pair.events]);
      const folded = data.leftOut;
      at("traffic").append(
        ranked("from → to", pairs, [
          data.traffic === "reported" ? "As nodes have reported it to the observer, on all channels."
            : "By what the logs hold; what is published to all counts for each agent that subscribes.",
          folded.pairEvents ? `Others: ${count(folded.pairEvents)} events between pairs that are not listed.` : "",
          folded.broadcasts ? `${count(folded.broadcasts)} events were for too many agents to be counted by pair.` : "",
        ].join(" ")),
        ranked("type", data.types.map((type) => [type.name, type.events]),
          folded.types ? `Others: ${count(folded.types)} events of types that are not listed.` : null));
    }

    function drawOrigin() {
      const box = at("origin");
      box.append(table("Each node keeps a log of its own. The head is the position of its newest entry; the link is that of "
        + "its chain of hashes there: who keeps both can check this page against the logs (hypha log head).",
      [["node"], ["head", N], ["stated here", N], ["received", N], ["first entry", "nowrap"], ["last entry", "nowrap"],
        ["gaps"], ["link of the chain"]],
      data.logs.map((log) => [html("td", {}, html("b", {}, log.node)), count(log.head), count(log.stated), count(log.received),
        log.first, log.last,
        [log.pruned ? `${count(log.pruned)} pruned` : "", log.quarantined ? `${count(log.quarantined)} damaged` : ""]
          .filter(Boolean).join(", ") || "none",
        html("td", { class: "code" }, log.link || "–")])));
      const tree = { log: "The hierarchy is the one that the logs keep.", file: "The hierarchy is that of the topology file.",
        none: "The logs keep no hierarchy: agents stand in a circle. Give --topology FILE to see it." }[data.tree];
      const folded = data.leftOut;
      box.append(html("p", { class: "lead", style: "margin-top: 16px" },
        `${data.program} made this page on ${data.made.slice(0, 19).replace("T", " ")} UTC from ${plural(data.entries, "entry", "entries")} of `
        + `${plural(data.logs.length, "log")}: ${plural(data.events, "event")}, ${plural(data.copies, "copy", "copies")}. ${tree} `
        + "Hops are computed from the traffic, the hierarchy and the links of that time. "
        + `Time is divided into ${plural(steps, "step")} of ${duration(width)}.`
        + (folded.agents ? ` ${plural(folded.agents, "agent")} with the least traffic are not drawn.` : "")
        + (folded.names ? ` Names beyond ${count(folded.names)} were folded into “others”.` : "")
        + (folded.undated ? ` ${plural(folded.undated, "entry", "entries")} without a time are in no sum.` : "")
        + (folded.undecoded ? ` ${plural(folded.undecoded, "event")} of the bus could not be read.` : "")),
      html("p", { class: "code" }, data.command));
    }

    // MARK: The head of the page

    function drawHead() {
      at("name").textContent = data.name;
      at("when").textContent = `${clock(first).slice(0, 19).replace("T", " ")} UTC, ${duration(data.time.last - first)}`
        + (cut > 0 ? ` without ${plural(data.time.pauses.length, "pause")} of ${duration(cut)}` : "");
      const lost = data.losses.channels.reduce((sum, row) => sum + row.lost, 0);
      const mean = traffic.weight[steps] > 0
        ? [traffic.routed, traffic.plain].map((row) => row[steps] / traffic.weight[steps]) : null;
      const made = data.links.filter((link) => link.to === null).length;
      const figures = [
        [count(data.events), "events in the logs"], [count(data.agentCount), "agents"], [count(data.logs.length), "nodes"],
        made || data.changes.length ? [count(made), "direct links at the end", "good"] : null,
        mean ? [rounded(mean[0]), mean[1] - mean[0] > 0.05
          ? `hops an event goes; ${rounded(mean[1])} by the tree alone` : "hops an event goes",
        mean[1] - mean[0] > 0.05 ? "good" : ""] : null,
        data.losses.channels.length ? [count(lost), "lost", lost ? "bad" : "good"] : null,
        [count(data.counts.unanswered), "alerts unanswered", data.counts.unanswered ? "bad" : ""],
        [count(data.counts.deadLetters - data.counts.settled), "dead letters open", data.counts.deadLetters > data.counts.settled ? "bad" : ""],
      ].filter(Boolean);
      at("figures").append(...figures.map(([value, name, kind]) => html("li", { class: kind || null },
        html("b", {}, value), html("span", {}, name))));
      at("graph-lead").textContent = (hasTree
        ? "Grey is the hierarchy that agents start with; a green curve is a direct link that traffic has earned. "
          + "Wider lines carry more. Move the slider, or press Play; pick an agent to see its ways alone."
        : "Agents in a circle; a curve is traffic, wider where there is more. Move the slider, or press Play.")
        + (agents.length === 0 ? " No agents are known." : "");
      at("legend").append(...(hasTree
        ? [["edges", "reports to"], ["links", "direct link"], ["retired", "link that has just gone"], ["persistent", "supervisor"]]
        : [["persistent", "traffic"]]).map(([kind, text]) => html("li", {}, html("i", { class: kind }), text)));
    }

    function theme() {
      const names = { auto: "as the system", light: "light", dark: "dark" };
      const next = { auto: "dark", dark: "light", light: "auto" };
      const root = document.documentElement;
      const set = (name) => {
        if (name === "auto") root.removeAttribute("data-theme"); else root.setAttribute("data-theme", name);
        at("theme").textContent = "Theme: " + names[name];
      };
      at("theme").addEventListener("click", () => set(next[root.getAttribute("data-theme") || "auto"]));
      const wanted = /[#&]theme=(light|dark)/.exec(location.hash);
      set(wanted ? wanted[1] : "auto");
    }

    // MARK: All of it

    theme();
    drawHead();
    const slider = at("slider");
    slider.max = steps - 1;
    slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
    at("play").addEventListener("click", play);
    drawChannels();
    drawLatencies();
    drawNotes();
    drawLosses();
    drawTraffic();
    drawOrigin();
    read(null);
    let drawnWidth = 0;
    function drawAll() {
      if (document.body.clientWidth === drawnWidth) return;
      drawnWidth = document.body.clientWidth;
      drawPulse();
      drawLanes();
      drawHeat();
      drawGraph();
    }
    drawAll();
    addEventListener("resize", drawAll);
    // A moment can be linked to: #at=0.5 is the middle of the run.
    const linked = /[#&]at=([01](?:\.\d+)?)/.exec(location.hash);
    if (linked) show(Math.round(Number(linked[1]) * (steps - 1)));
    """#
}
