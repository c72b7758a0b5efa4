import HyphaCore
import HyphaTopology

/// The hierarchy with its direct links, as lines that a person can read.
struct TreeLines {
  let topology: Topology
  let live: LiveTopology
  let style: Style
  /// Whether agents without links and without anyone below them are drawn, too, however many they are.
  var showsAll = false
  /// How many of them are drawn below a supervisor otherwise.
  private static let plainCountMax = 8

  private var linksOf: [AgentID: [DirectLink]] {
    live.links.keys.sorted().reduce(into: [:]) { links, link in
      links[link.one, default: []].append(link)
      links[link.other, default: []].append(link)
    }
  }

  /// Whom each agent reports to, and who reports to each, as events take it.
  private let supervisors: [AgentID: AgentID]
  private let children: [AgentID: [AgentID]]

  init(topology: Topology, live: LiveTopology, style: Style, showsAll: Bool = false) {
    (self.topology, self.live, self.style, self.showsAll) = (topology, live, style, showsAll)
    let supervisors = live.supervisors(topology)
    self.supervisors = supervisors
    children = topology.agents.reduce(into: [:]) { children, agent in
      if let up = supervisors[agent.id] { children[up, default: []].append(agent.id) }
    }
  }

  /// The lines, the root first; while its node is away, its standby.
  var lines: [String] {
    var lines: [String] = []
    let links = linksOf
    let top = topology.agents.first { supervisors[$0.id] == nil }?.id ?? topology.root
    draw(top, links, prefix: "", branch: "", &lines)
    return lines
  }

  /// Why an agent does not stand where the file has it, and why those below one do not.
  private func moved(_ agent: AgentID) -> [String] {
    let declared = topology.agent(agent)?.reportsTo
    let isOther = supervisors[agent] != declared && declared.map { live.attachment(of: $0) != nil } ?? false
    let branch = live.attachment(of: agent)?.attachment
    return (isOther ? declared.map { [style.yellow("in place of \($0)")] } ?? [] : [])
      + (branch.map { [style.yellow("\(AttachmentText.reason($0)), its branch reports to \($0.to)")] } ?? [])
  }

  private func draw(
    _ agent: AgentID, _ links: [AgentID: [DirectLink]], prefix: String, branch: String,
    _ lines: inout [String]
  ) {
    let own = (links[agent] ?? []).map { link -> String in
      let isPinned = live.links[link]?.isPinned ?? false
      return style.green("↔ \(link.end(beside: agent))") + (isPinned ? style.dim(" (pinned)") : "")
    }
    let node = topology.agent(agent).map { style.dim(" [\($0.node)]") } ?? ""
    let rules = topology.oversight.filter { $0.by == agent }.map { rule in
      style.yellow("oversees \(rule.type)") + style.dim(" (\(rule.mode.rawValue))")
    }
    lines.append(
      prefix + branch + agent.text + node + (moved(agent) + own + rules).map { "  " + $0 }.joined())
    let below = (children[agent] ?? []).filter { !topology.isRetired($0) }
    let plain = below.filter { links[$0] == nil && topology.children(of: $0).isEmpty }
    let hidden = !showsAll && plain.count > Self.plainCountMax ? Set(plain) : []
    let drawn = below.filter { !hidden.contains($0) }
    let inner = prefix + (branch.isEmpty ? "" : branch.hasPrefix("└") ? "   " : "│  ")
    for (place, child) in drawn.enumerated() {
      let isLast = place == drawn.count - 1 && hidden.isEmpty
      draw(child, links, prefix: inner, branch: isLast ? "└─ " : "├─ ", &lines)
    }
    if !hidden.isEmpty {
      lines.append(
        inner + "└─ " + style.dim("\(Human.count(hidden.count)) \(drawn.isEmpty ? "" : "more ")without links")
      )
    }
  }
}
