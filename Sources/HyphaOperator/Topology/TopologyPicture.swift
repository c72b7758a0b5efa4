import Foundation
import HyphaCore
import HyphaTopology

/// Text in XML.
enum XMLText {
  /// Text with what has a meaning in XML written as entities.
  static func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
      .replacingOccurrences(of: ">", with: "&gt;").replacingOccurrences(of: "\"", with: "&quot;")
  }
}

/// A topology as a picture: the hierarchy in circles around its root, the direct links as curves.
///
/// Each agent gets a share of the circle by how many agents stand at the ends of its branch, so that nothing overlaps. A
/// link is wider the more it had saved when it was made, and brighter the newer it is.
struct TopologyPicture {
  private struct Place {
    var angle: Double
    var radius: Double
    var depth: Int

    func point(_ center: Double) -> (x: Double, y: Double) {
      (center + radius * cos(angle), center + radius * sin(angle))
    }
  }

  private let topology: Topology
  private let live: LiveTopology
  private let findings: [Finding]
  private let places: [AgentID: Place]
  private let center: Double
  private let leafCount: Int

  /// The distance between two circles, and the least between two agents on the outer one.
  private static let ring = 150.0
  private static let gap = 15.0

  init(_ topology: Topology, _ live: LiveTopology, _ findings: [Finding] = []) {
    self.topology = topology
    self.live = live
    self.findings = findings.sorted { $0.topic < $1.topic }
    var leaves: [AgentID: Int] = [:]
    func count(_ agent: AgentID) -> Int {
      let below = topology.children(of: agent)
      let sum = below.isEmpty ? 1 : below.reduce(0) { $0 + count($1) }
      leaves[agent] = sum
      return sum
    }
    leafCount = count(topology.root)
    let deepest = max(1, topology.agents.compactMap { topology.depth(of: $0.id) }.max() ?? 1)
    // The outer circle has room for all.
    let ring = max(Self.ring, Self.gap * Double(leafCount) / (2 * .pi) / Double(deepest))
    center = ring * Double(deepest) + 130
    var places: [AgentID: Place] = [:]
    func put(_ agent: AgentID, from: Double, to: Double, depth: Int) {
      places[agent] = Place(angle: (from + to) / 2, radius: ring * Double(depth), depth: depth)
      var angle = from
      for child in topology.children(of: agent) {
        let share = (to - from) * Double(leaves[child] ?? 1) / Double(leaves[agent] ?? 1)
        put(child, from: angle, to: angle + share, depth: depth + 1)
        angle += share
      }
    }
    put(topology.root, from: -.pi / 2, to: 1.5 * .pi, depth: 0)
    self.places = places
  }

  /// The picture as an SVG document that needs nothing else.
  var svg: String {
    let size = Self.number(2 * center)
    var lines = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(size) \(size)\" width=\"\(size)\" height=\"\(size)\" "
        + "font-family=\"system-ui, sans-serif\" font-size=\"11\">",
      "<title>\(XMLText.escaped(topology.name)), version \(SeatTerm.text(live.version))</title>",
      "<rect width=\"100%\" height=\"100%\" fill=\"#10141a\"/>",
      "<text x=\"24\" y=\"38\" fill=\"#e8edf2\" font-size=\"20\" font-weight=\"600\">\(XMLText.escaped(topology.name))</text>",
      "<text x=\"24\" y=\"60\" fill=\"#8b98a5\" font-size=\"13\">version \(SeatTerm.text(live.version)): "
        + "\(topology.agents.count) agents, \(live.links.count) direct links</text>",
    ]
    if !live.attachments.isEmpty {
      let names = live.attachments.map(\.attachment.supervisor.text).joined(separator: ", ")
      lines.append(
        "<text x=\"24\" y=\"80\" fill=\"#ffb454\" font-size=\"13\">away: \(XMLText.escaped(names)); dashed: to whom the branch reports"
          + "</text>")
    }
    lines += edges + attached + hotPairs + curves + rings + agents
    return (lines + ["</svg>", ""]).joined(separator: "\n")
  }

  private static func number(_ value: Double) -> String { String(format: "%.1f", value) }

  private func point(_ agent: AgentID) -> (x: Double, y: Double) {
    places[agent]?.point(center) ?? (center, center)
  }

  private var edges: [String] {
    topology.agents.compactMap { agent in
      guard let up = agent.reportsTo else { return nil }
      let (from, to) = (point(up), point(agent.id))
      return "<line x1=\"\(Self.number(from.x))\" y1=\"\(Self.number(from.y))\" x2=\"\(Self.number(to.x))\" "
        + "y2=\"\(Self.number(to.y))\" stroke=\"#3a4654\" stroke-width=\"1.2\""
        + (live.attachment(of: up) == nil ? "/>" : " stroke-opacity=\"0.5\" stroke-dasharray=\"2 4\"/>")
    }
  }

  /// Whom the branches of supervisors report to whose nodes are away.
  private var attached: [String] {
    TopologyExportCommand.attached(topology, live).map { agent, up in
      let (from, to) = (point(up), point(agent))
      let why = topology.agent(agent)?.reportsTo.flatMap { live.attachment(of: $0) }.map(AttachmentText.text)
      // Bent aside: a straight line could lead through the supervisor that it leads around.
      let bend = (
        (from.x + to.x) / 2 + (to.y - from.y) * 0.18, (from.y + to.y) / 2 - (to.x - from.x) * 0.18
      )
      return
        "<path d=\"M\(Self.number(from.x)) \(Self.number(from.y)) Q\(Self.number(bend.0)) \(Self.number(bend.1)) "
        + "\(Self.number(to.x)) \(Self.number(to.y))\" fill=\"none\" stroke=\"#ffb454\" stroke-width=\"1.6\" "
        + "stroke-dasharray=\"5 4\"><title>\(XMLText.escaped(why ?? "attached"))</title></path>"
    }
  }

  private var curves: [String] {
    let newest = Double(max(1, live.version - min(live.version, topology.version)))
    let highest = Double(max(1, live.links.values.map(\.score).max() ?? 1))
    return live.links.sorted { ($0.value.version, $0.key) < ($1.value.version, $1.key) }.map { link, state in
      let (from, to) = (point(link.one), point(link.other))
      // Bent towards the middle, away from the tree's edges; and aside where it would lead through the middle, and so along them.
      let middle = ((from.x + to.x) / 2, (from.y + to.y) / 2)
      let length = hypot(to.x - from.x, to.y - from.y)
      let isAcross = hypot(middle.0 - center, middle.1 - center) < length / 10
      let aside = isAcross ? 0.15 : 0
      let bend = (
        middle.0 * 0.45 + center * 0.55 + (to.y - from.y) * aside,
        middle.1 * 0.45 + center * 0.55 - (to.x - from.x) * aside
      )
      let age = Double(state.version - min(state.version, topology.version)) / newest
      let width = 1.2 + 3 * (Double(state.score) / highest).squareRoot()
      let color = state.isPinned ? "#ffb454" : "#4cd4a4"
      return
        "<path d=\"M\(Self.number(from.x)) \(Self.number(from.y)) Q\(Self.number(bend.0)) \(Self.number(bend.1)) "
        + "\(Self.number(to.x)) \(Self.number(to.y))\" fill=\"none\" stroke=\"\(color)\" stroke-width=\"\(Self.number(width))\" "
        + "stroke-opacity=\"\(Self.number(0.4 + 0.6 * age))\"><title>\(link), since version \(SeatTerm.text(state.version))"
        + "\(state.isPinned ? ", pinned" : "")</title></path>"
    }
  }

  /// A ring about each bottleneck, and a dashed one about whoever is waited for.
  private var rings: [String] {
    findings.compactMap { finding in
      guard [.bottleneck, .stall].contains(finding.topic.kind), places[finding.topic.agent] != nil else {
        return nil
      }
      let (x, y) = point(finding.topic.agent)
      let isBottleneck = finding.topic.kind == .bottleneck
      let radius = isBottleneck ? 14.0 : 10.0
      let look =
        isBottleneck ? "stroke=\"#ff5c57\" stroke-width=\"3\"" : "stroke=\"#ffb454\" stroke-dasharray=\"3 3\""
      return
        "<ellipse cx=\"\(Self.number(x))\" cy=\"\(Self.number(y))\" rx=\"\(radius)\" ry=\"\(radius)\" "
        + "fill=\"none\" \(look)><title>\(XMLText.escaped(FindingText.text(finding)))</title></ellipse>"
    }
  }

  private var hotPairs: [String] {
    findings.compactMap { finding in
      guard let other = finding.topic.other, places[finding.topic.agent] != nil, places[other] != nil else {
        return nil
      }
      let (from, to) = (point(finding.topic.agent), point(other))
      return
        "<line x1=\"\(Self.number(from.x))\" y1=\"\(Self.number(from.y))\" x2=\"\(Self.number(to.x))\" "
        + "y2=\"\(Self.number(to.y))\" stroke=\"#ff5c57\" stroke-width=\"2\" stroke-dasharray=\"7 5\">"
        + "<title>\(XMLText.escaped(FindingText.text(finding)))</title></line>"
    }
  }

  private var agents: [String] {
    topology.agents.flatMap { agent -> [String] in
      guard let place = places[agent.id] else { return [] }
      let (x, y) = place.point(center)
      let supervises = !topology.children(of: agent.id).isEmpty
      let radius = agent.reportsTo == nil ? 9.0 : supervises ? 6.5 : 4.0
      let isAway = live.attachment(of: agent.id) != nil
      let look =
        isAway
        ? "fill=\"#10141a\" stroke=\"#ffb454\" stroke-width=\"1.6\""
        : "fill=\"\(supervises ? "#6cb6ff" : "#c9d4df")\""
      let dot =
        "<circle cx=\"\(Self.number(x))\" cy=\"\(Self.number(y))\" r=\"\(radius)\" \(look)>"
        + "<title>\(agent.id): \(XMLText.escaped(agent.kind)) on \(agent.node)</title></circle>"
      // Beyond some hundreds nobody reads them, and the titles have them.
      guard supervises || leafCount <= 300 else { return [dot] }
      return [dot, label(agent.id, place, supervises: supervises)]
    }
  }

  /// The name of an agent: outside the circle along its ray, or beside a supervisor.
  private func label(_ agent: AgentID, _ place: Place, supervises: Bool) -> String {
    let (x, y) = place.point(center)
    if supervises {
      return
        "<text x=\"\(Self.number(x + 10))\" y=\"\(Self.number(y - 8))\" fill=\"#e8edf2\" font-weight=\"600\">\(agent)</text>"
    }
    let isLeft = cos(place.angle) < 0
    let degrees = place.angle * 180 / .pi + (isLeft ? 180 : 0)
    return
      "<text x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" fill=\"#8b98a5\" dy=\"3.5\" dx=\"\(isLeft ? -9 : 9)\" "
      + "text-anchor=\"\(isLeft ? "end" : "start")\" "
      + "transform=\"rotate(\(Self.number(degrees)) \(Self.number(x)) \(Self.number(y)))\">\(agent)</text>"
  }
}
