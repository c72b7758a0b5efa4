/// The first part of a report's script: the communication graph, and its slider.
enum ReportGraphScript {
  static let text = #"""
    "use strict";
    // Everything that a log says is put into the page as text, never as markup.
    const data = JSON.parse(document.getElementById("data").textContent);
    const at = (id) => document.getElementById(id);

    // MARK: Elements

    function make(space, name, attributes, children) {
      const element = space ? document.createElementNS(space, name) : document.createElement(name);
      for (const [key, value] of Object.entries(attributes || {})) {
        if (key === "on") for (const [event, call] of Object.entries(value)) element.addEventListener(event, call);
        else if (value !== null && value !== undefined) element.setAttribute(key, value);
      }
      element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
      return element;
    }
    const html = (name, attributes, ...children) => make(null, name, attributes, children);
    const svg = (name, attributes, ...children) => make("http://www.w3.org/2000/svg", name, attributes, children);

    // MARK: Numbers as people read them

    const grouped = new Intl.NumberFormat("en");
    const count = (value) => grouped.format(Math.round(value));
    const plural = (value, one, many) => count(value) + " " + (value === 1 ? one : many || one + "s");
    function rounded(value) {
      return value >= 99.95 || Math.abs(value - Math.round(value)) < 0.005 ? count(value) : value.toFixed(1);
    }
    function duration(microseconds) {
      if (microseconds === null || microseconds === undefined) return "–";
      if (microseconds === 0) return "0 s";
      if (microseconds < 1000) return count(microseconds) + " µs";
      if (microseconds < 1e6) return rounded(microseconds / 1e3) + " ms";
      if (microseconds < 60e6) return rounded(microseconds / 1e6) + " s";
      const seconds = Math.round(microseconds / 1e6);
      const two = (value) => String(value).padStart(2, "0");
      if (seconds < 3600) return Math.floor(seconds / 60) + " m " + two(seconds % 60) + " s";
      if (seconds < 86400) return Math.floor(seconds / 3600) + " h " + two(Math.floor(seconds % 3600 / 60)) + " m";
      return count(Math.floor(seconds / 86400)) + " d " + Math.floor(seconds % 86400 / 3600) + " h";
    }
    function size(bytes) {
      const units = ["B", "KiB", "MiB", "GiB", "TiB"];
      let unit = 0;
      while (bytes >= 1024 && unit < units.length - 1) { bytes /= 1024; unit += 1; }
      return rounded(bytes) + " " + units[unit];
    }
    function rate(perSecond) {
      return perSecond >= 1e6 ? rounded(perSecond / 1e6) + " M/s"
        : perSecond >= 1e4 ? rounded(perSecond / 1e3) + " k/s" : rounded(perSecond) + " /s";
    }
    // A pause that was cut out keeps some of it, so that what was before it is told from what was after it.
    const uncut = (time) => data.time.pauses.reduce((sum, pause) => time > pause.at ? sum + pause.cut : sum, time);
    const cut = data.time.pauses.reduce((sum, pause) => sum + pause.cut, 0);
    const clock = (time) => new Date((data.time.start + uncut(time)) / 1000).toISOString();
    const offset = (microseconds) => (microseconds < 0 ? "−" : "+") + duration(Math.abs(microseconds));
    const hops = (weight) => rounded(weight / 65536) + " hops";

    // MARK: Time

    const steps = data.time.count;
    const width = data.time.width;
    const first = data.time.first;
    const stepOf = (time) => Math.min(steps - 1, Math.max(0, Math.floor(time / width)));
    // Times are shown from the first event on.
    const since = (time) => offset(uncut(time) - first);

    // MARK: The graph: who is where

    const agents = data.agents;
    const byName = new Map(agents.map((agent, index) => [agent.name, index]));
    const hasTree = data.tree !== "none";
    const children = agents.map(() => []);
    agents.forEach((agent, index) => { if (agent.parent >= 0) children[agent.parent].push(index); });
    const roots = agents.map((_, index) => index).filter((index) => agents[index].parent < 0);
    const depths = agents.map(() => 0);
    const order = [];
    for (const root of roots) {
      const open = [root];
      while (open.length) {
        const agent = open.pop();
        order.push(agent);
        for (const child of children[agent]) { depths[child] = depths[agent] + 1; open.push(child); }
      }
    }
    const depthMax = depths.reduce((most, depth) => Math.max(most, depth), 0);

    // Links with both ends on the picture, in the order in which they came.
    const links = data.links
      .map((link) => ({ ...link, a: byName.get(link.one), b: byName.get(link.other) }))
      .filter((link) => link.a !== undefined && link.b !== undefined);

    function wayUp(agent) {
      const way = [agent];
      while (agents[way[way.length - 1]].parent >= 0) way.push(agents[way[way.length - 1]].parent);
      return way;
    }
    /** The agents from one to another through the tree. */
    function way(from, to) {
      const up = wayUp(from);
      const down = wayUp(to);
      while (up.length > 1 && down.length > 1 && up[up.length - 2] === down[down.length - 2]) { up.pop(); down.pop(); }
      if (up[up.length - 1] !== down[down.length - 1]) return null;
      down.pop();
      return up.concat(down.reverse());
    }

    // MARK: The graph: which edge carries how much, step by step

    /** Sums of a row from its begin, so that any window is one subtraction. */
    const sums = (row) => {
      const result = new Float64Array(steps + 1);
      for (let step = 0; step < steps; step += 1) result[step + 1] = result[step] + row[step];
      return result;
    };

    function loads() {
      const edges = new Map();
      const put = (key, step, amount) => {
        if (!edges.has(key)) edges.set(key, new Float64Array(steps));
        edges.get(key)[step] += amount;
      };
      // The links that there are at each step, by their ends.
      const active = Array.from({ length: steps }, () => null);
      const events = links.flatMap((link, index) => [[stepOf(link.from), 1, index]]
        .concat(link.to === null ? [] : [[stepOf(link.to), 0, index]])).sort((x, y) => x[0] - y[0]);
      const present = new Map();
      let next = 0;
      let version = 0;
      for (let step = 0; step < steps; step += 1) {
        while (next < events.length && events[next][0] <= step) {
          const link = links[events[next][2]];
          const key = Math.min(link.a, link.b) + " " + Math.max(link.a, link.b);
          if (events[next][1]) present.set(key, events[next][2]); else present.delete(key);
          next += 1;
          version += 1;
        }
        active[step] = { version, map: null };
        if (step > 0 && active[step - 1].version === version) active[step] = active[step - 1];
        else active[step].map = new Map(present);
      }
      const routed = new Float64Array(steps);
      const plain = new Float64Array(steps);
      const weight = new Float64Array(steps);
      const relayed = new Map();
      for (const pair of data.pairs) {
        if (!hasTree) {
          const key = "p" + pair.from + " " + pair.to;
          for (let place = 0; place < pair.at.length; place += 2) put(key, pair.at[place], pair.at[place + 1]);
          continue;
        }
        const path = way(pair.from, pair.to);
        if (!path) continue;
        let known = -1;
        let used = [];
        for (let place = 0; place < pair.at.length; place += 2) {
          const [step, amount] = [pair.at[place], pair.at[place + 1]];
          if (active[step].version !== known) {
            known = active[step].version;
            used = shortened(path, active[step].map);
          }
          for (const edge of used.edges) put(edge, step, amount);
          for (const agent of used.relays) {
            if (!relayed.has(agent)) relayed.set(agent, new Float64Array(steps));
            relayed.get(agent)[step] += amount;
          }
          routed[step] += amount * used.edges.length;
          plain[step] += amount * (path.length - 1);
          weight[step] += amount;
        }
      }
      const result = new Map();
      for (const [key, row] of edges) result.set(key, sums(row));
      return {
        edges: result, routed: sums(routed), plain: sums(plain), weight: sums(weight),
        relayed: new Map([...relayed].map(([agent, row]) => [agent, sums(row)])),
      };
    }

    /** A way through the tree as direct links cut it short: an event goes over a link that has both ends on its way. */
    function shortened(path, present) {
      const best = [0];
      const back = [null];
      for (let place = 1; place < path.length; place += 1) {
        const child = agents[path[place]].parent === path[place - 1] ? path[place] : path[place - 1];
        best[place] = best[place - 1] + 1;
        back[place] = [place - 1, "t" + child];
        for (let from = 0; from < place - 1 && present.size; from += 1) {
          const key = Math.min(path[from], path[place]) + " " + Math.max(path[from], path[place]);
          if (present.has(key) && best[from] + 1 < best[place]) {
            best[place] = best[from] + 1;
            back[place] = [from, "l" + present.get(key)];
          }
        }
      }
      const edges = [];
      const relays = [];
      for (let place = path.length - 1; place > 0; place = back[place][0]) {
        edges.push(back[place][1]);
        if (place < path.length - 1) relays.push(path[place]);
      }
      return { edges, relays };
    }

    const traffic = loads();
    // What is shown as "now": the last twenty-fourth of the run, and at least a step.
    const span = Math.max(1, Math.round(steps / 24));
    const within = (row, step) => row ? row[step + 1] - row[Math.max(0, step + 1 - span)] : 0;
    let loadMax = 1;
    for (const row of traffic.edges.values()) {
      for (let step = 0; step < steps; step += 1) loadMax = Math.max(loadMax, within(row, step));
    }

    // MARK: The graph: its picture

    const graph = at("graph");
    let places = [];
    let drawn = new Map();
    let picked = null;
    let moment = steps - 1;

    const nameMax = (box) => box < 480 ? 10 : 14;

    function layOut(box) {
      const leaves = agents.map(() => 0);
      for (const agent of [...order].reverse()) {
        leaves[agent] = children[agent].length ? children[agent].reduce((sum, child) => sum + leaves[child], 0) : 1;
      }
      const all = roots.reduce((sum, root) => sum + leaves[root], 0) || 1;
      const longest = agents.reduce((most, agent, index) =>
        children[index].length ? most : Math.max(most, Math.min(nameMax(box), agent.name.length)), 0);
      const margin = 16 + longest * (box < 480 ? 5.4 : 6.2);
      const radius = box / 2 - margin;
      const ring = radius / Math.max(1, depthMax + (roots.length > 1 ? 1 : 0));
      const inner = roots.length > 1 ? 1 : 0;
      const spread = (agent, from, to) => {
        const angle = (from + to) / 2;
        // Who has nobody below stands on the outer circle, so that names do not run into each other.
        const level = children[agent].length || depthMax === 0 ? depths[agent] + inner : depthMax + inner;
        places[agent] = { angle, x: box / 2 + Math.cos(angle) * ring * level, y: box / 2 + Math.sin(angle) * ring * level };
        let start = from;
        for (const child of children[agent]) {
          const share = (to - from) * leaves[child] / leaves[agent];
          spread(child, start, start + share);
          start += share;
        }
      };
      let start = -Math.PI / 2;
      for (const root of roots) {
        const share = 2 * Math.PI * leaves[root] / all;
        spread(root, start, start + share);
        start += share;
      }
      return { radius, room: 2 * Math.PI * radius / all };
    }

    const short = (name, most) => name.length > most ? name.slice(0, most - 1) + "…" : name;

    /** Where the name of a supervisor does not run into another's: above it, or below it, or nowhere. */
    function freeLine(taken, place, radius, wide) {
      for (const y of [place.y - radius - 5, place.y + radius + 13]) {
        const box = [place.x - wide / 2, y - 11, place.x + wide / 2, y + 2];
        if (taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
        taken.push(box);
        return y;
      }
      return null;
    }

    function drawGraph() {
      const box = Math.max(280, Math.min(at("canvas").clientWidth || 640, 860));
      const { room } = layOut(box);
      const taken = [];
      graph.setAttribute("viewBox", `0 0 ${box} ${box}`);
      graph.replaceChildren(svg("title", { id: "graph-title" }, "The agents, and the ways between them"));
      drawn = new Map();
      const lines = svg("g", {});
      const curve = (a, b) => {
        const [from, to] = [places[a], places[b]];
        const bend = [(from.x + to.x) / 2 * 0.45 + box * 0.275, (from.y + to.y) / 2 * 0.45 + box * 0.275];
        return `M${from.x.toFixed(1)} ${from.y.toFixed(1)} Q${bend[0].toFixed(1)} ${bend[1].toFixed(1)} `
          + `${to.x.toFixed(1)} ${to.y.toFixed(1)}`;
      };
      const line = (key, kind, path, ends, title) => {
        const element = svg("path", { class: kind, d: path }, svg("title", {}, title));
        drawn.set(key, { element, ends });
        lines.append(element);
      };
      agents.forEach((agent, index) => {
        if (agent.parent < 0) return;
        const [from, to] = [places[agent.parent], places[index]];
        line("t" + index, "tree", `M${from.x.toFixed(1)} ${from.y.toFixed(1)} L${to.x.toFixed(1)} ${to.y.toFixed(1)}`,
          [agent.parent, index], `${agent.name} reports to ${agents[agent.parent].name}`);
      });
      if (!hasTree) {
        for (const pair of data.pairs) {
          line("p" + pair.from + " " + pair.to, "pair", curve(pair.from, pair.to), [pair.from, pair.to],
            `${agents[pair.from].name} → ${agents[pair.to].name}: ${count(pair.events)}`);
        }
      }
      links.forEach((link, index) => line("l" + index, "link" + (link.pinned ? " pinned" : ""), curve(link.a, link.b),
        [link.a, link.b], `${link.one} ↔ ${link.other}, since version ${link.version}`));
      graph.append(lines);
      agents.forEach((agent, index) => {
        const place = places[index];
        const leads = children[index].length > 0;
        const group = svg("g", { class: leads ? "supervisor" : "leaf" });
        const radius = agent.parent < 0 && hasTree ? 8 : leads ? 6.5 : room < 8 ? 2.5 : 4.5;
        const node = data.nodes[agent.node] || "an unknown node";
        group.append(svg("circle", {
          cx: place.x.toFixed(1), cy: place.y.toFixed(1), r: radius, on: { click: () => pick(index) },
        }, svg("title", {}, `${agent.name}: ${agent.kind || "agent"} on ${node}, `
          + `${count(agent.sent)} sent, ${count(agent.got)} for it`)));
        const name = short(agent.name, box < 480 ? 16 : 22);
        const y = leads ? freeLine(taken, place, radius, name.length * (box < 480 ? 6.8 : 7.2)) : null;
        if (y !== null) {
          group.append(svg("text", { x: place.x.toFixed(1), y: y.toFixed(1), "text-anchor": "middle" }, name));
        } else if (!leads && room >= 10.5) {
          const left = Math.cos(place.angle) < -1e-9;
          const degrees = place.angle * 180 / Math.PI + (left ? 180 : 0);
          group.append(svg("text", {
            x: place.x.toFixed(1), y: place.y.toFixed(1), dx: left ? -9 : 9, dy: 3.8, "text-anchor": left ? "end" : "start",
            transform: `rotate(${degrees.toFixed(1)} ${place.x.toFixed(1)} ${place.y.toFixed(1)})`,
          }, short(agent.name, nameMax(box))));
        }
        drawn.set("a" + index, { element: group, ends: [index] });
        graph.append(group);
      });
      show(moment);
    }

    function pick(index) {
      picked = picked === index ? null : index;
      show(moment);
    }

    // MARK: The graph: a moment of it

    const isThere = (link, step) => stepOf(link.from) <= step && (link.to === null || stepOf(link.to) > step);
    const hasJustGone = (link, step) => link.to !== null && stepOf(link.to) <= step && stepOf(link.to) > step - span;

    function show(step) {
      moment = step;
      const isOn = new Set();
      for (const [key, { element, ends }] of drawn) {
        if (key[0] === "a") continue;
        const load = within(traffic.edges.get(key), step);
        const strength = Math.sqrt(load / loadMax);
        let opacity = 0.5 + 0.5 * strength;
        if (key[0] === "l") {
          const link = links[Number(key.slice(1))];
          const gone = hasJustGone(link, step);
          element.classList.toggle("gone", gone);
          opacity = isThere(link, step) ? 0.55 + 0.45 * strength : gone ? 0.55 : 0;
          element.style.display = opacity > 0 ? "" : "none";
          element.style.strokeWidth = gone ? 1.2 : 1.4 + 6 * strength;
        } else {
          opacity = 0.75 + 0.25 * strength;
          element.style.strokeWidth = 1 + 6 * strength;
          if (key[0] === "p") { element.style.display = load > 0 ? "" : "none"; opacity = 0.25 + 0.6 * strength; }
        }
        element.style.opacity = opacity;
        const touches = picked === null || ends.includes(picked);
        element.classList.toggle("off", !touches);
        if (!touches) element.style.opacity = 0.1;
        if (touches && element.style.display !== "none") ends.forEach((end) => isOn.add(end));
      }
      for (const [key, { element, ends }] of drawn) {
        if (key[0] !== "a") continue;
        element.classList.toggle("off", picked !== null && !isOn.has(ends[0]) && ends[0] !== picked);
        element.classList.toggle("picked", ends[0] === picked);
      }
      at("slider").value = step;
      const time = Math.min(data.time.last, (step + 1) * width);
      at("slider").setAttribute("aria-valuetext", since(time));
      at("clock").textContent = since(time);
      showMoment(step, time);
      for (const move of cursors) move(step);
    }

    function rows(list) {
      return html("dl", {}, ...list.filter(Boolean).flatMap(([name, value]) => [html("dt", {}, name), html("dd", {}, value)]));
    }

    function showMoment(step, time) {
      const now = links.filter((link) => isThere(link, step));
      const version = data.versions.filter((entry) => stepOf(entry.at) <= step).pop();
      const weight = within(traffic.weight, step);
      const busiest = [...traffic.relayed].map(([agent, row]) => [agent, within(row, step)])
        .sort((x, y) => y[1] - x[1])[0];
      const panel = at("moment");
      const seconds = Math.min(span, step + 1) * width / 1e6;
      panel.replaceChildren(rows([
        ["Time (UTC)", clock(time).slice(11, 23)],
        hasTree && ["Direct links", count(now.length)],
        version && ["Topology version", count(version.version)],
        ["Events", rate((hasTree ? weight : total(step)) / seconds)],
        weight > 0 && ["Mean way now", rounded(within(traffic.routed, step) / weight) + " hops"],
        weight > 0 && ["By the tree alone", rounded(within(traffic.plain, step) / weight) + " hops"],
        busiest && busiest[1] > 0 && ["Relays most", short(agents[busiest[0]].name, 18)],
      ]));
      if (picked !== null) panel.append(...aboutPicked(step));
      const recent = data.changes.filter((change) => stepOf(change.at) <= step).slice(picked === null ? -8 : -4).reverse();
      if (recent.length) {
        panel.append(html("h3", {}, "Changes up to here"), html("ol", {}, ...recent.map((change) =>
          html("li", { class: change.made ? null : "gone" },
            change.made ? change.made.join(" ↔ ") : change.gone.map((pair) => pair.join(" ↔ ")).join(", "),
            html("br", {}), html("small", {}, `${since(change.at)}, ${change.made ? "linked" : "retired"}: ${change.cause}`)))));
      } else if (hasTree) {
        panel.append(html("p", { class: "muted" }, data.changes.length
          ? "No link has changed yet: everything goes through the tree." : "Everything goes through the tree."));
      }
    }

    const total = (step) => data.channels.reduce((sum, channel) => {
      for (let place = Math.max(0, step + 1 - span); place <= step; place += 1) sum += channel.series[place];
      return sum;
    }, 0);

    function aboutPicked(step) {
      const agent = agents[picked];
      const partners = links.filter((link) => isThere(link, step) && (link.a === picked || link.b === picked))
        .map((link) => link.a === picked ? link.other : link.one);
      return [html("h3", {}, agent.name), rows([
        ["Kind", agent.kind || "–"], ["Node", data.nodes[agent.node] || "–"],
        agent.parent >= 0 && ["Reports to", short(agents[agent.parent].name, 18)],
        ["Sent", count(agent.sent)], ["For it", count(agent.got)],
        ["Linked to", partners.length ? short(partners.join(", "), 40) : "–"],
      ])];
    }

    // MARK: The slider

    const cursors = [];
    let timer = null;
    function stop() {
      if (timer !== null) cancelAnimationFrame(timer);
      timer = null;
      at("play").textContent = "Play";
    }
    function play() {
      if (timer !== null) return stop();
      at("play").textContent = "Pause";
      const begin = moment >= steps - 1 ? 0 : moment;
      let start = null;
      const tick = (now) => {
        if (start === null) start = now;
        // The whole run takes 14 seconds.
        const step = begin + Math.floor((now - start) / 14000 * steps);
        if (step >= steps - 1) { show(steps - 1); return stop(); }
        if (step !== moment) show(step);
        timer = requestAnimationFrame(tick);
      };
      timer = requestAnimationFrame(tick);
    }

    function drawPulse() {
      const pulse = at("pulse");
      const [wide, high] = [Math.max(120, pulse.clientWidth || 600), 44];
      pulse.setAttribute("viewBox", `0 0 ${wide} ${high}`);
      // A slider's thumb does not reach the ends of its box.
      const inset = 8;
      const x = (step) => inset + step / Math.max(1, steps - 1) * (wide - 2 * inset);
      const all = Array.from({ length: steps }, (_, step) =>
        data.channels.reduce((sum, channel) => sum + channel.series[step], 0));
      const most = Math.max(1, ...all);
      const top = all.map((value, step) => `${x(step).toFixed(1)} ${(high - 2 - value / most * (high - 14)).toFixed(1)}`);
      pulse.replaceChildren(svg("path", {
        class: "edges fill", "fill-opacity": 0.35, d: `M${x(0)} ${high} L${top.join(" L")} L${x(steps - 1)} ${high} Z`,
      }));
      const marks = svg("g", { class: "links" });
      for (const step of new Set(data.changes.map((change) => stepOf(change.at)))) {
        marks.append(svg("line", { class: "line", x1: x(step), x2: x(step), y1: 0, y2: 7 }));
      }
      const cursor = svg("line", { class: "cursor", y1: 0, y2: high });
      pulse.append(marks, cursor);
      cursors[0] = (step) => { cursor.setAttribute("x1", x(step)); cursor.setAttribute("x2", x(step)); };
      cursors[0](moment);
    }
    """#
}
