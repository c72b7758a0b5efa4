import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// What a topology file would change in a deployment, as its logs have that.
struct DeploymentPlan {
  /// The plan for programs.
  struct Report: Encodable {
    struct Change: Encodable {
      let kind, text: String
      let subject, cost: String?
      let unhandled: [String: UInt64]?
    }

    struct Obstacle: Encodable {
      let problem, remedy: String
    }

    let name: String
    let revision: UInt32
    let fingerprint, newFingerprint: String
    let knowsSettings: Bool
    let changes: [Change]
    let obstacles: [Obstacle]
  }

  let plan: TopologyPlan
  /// The directories of the logs.
  let logs: [String]
  /// The newest revision that they know of.
  let revision: UInt32
  /// What the deployment runs under now, and what the file says.
  let old, new: Topology
  /// Whether the logs have the settings of that.
  let knowsSettings: Bool
  /// The nodes that would leave and do not run, as far as the others know.
  let away: Set<String>
  /// What agents that would go have not handled.
  let unhandled: [String: [String: UInt64]]
  private let file: String

  /// Reads a file and the deployment's logs.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` for a file with problems; what reading the logs throws.
  init(of file: String, data: String?, lost: [NodeID] = []) throws {
    let program = try Program.require()
    let checked = try TopologyLoading.load(file, program.kinds)
    let new = try TopologyLoading.plain(TopologyLoading.text(file, program.kinds).text, file: file)
    let paths = try DataPlaces.logs(in: DataPlaces.directory(data, of: checked))
    let readers = try paths.map { try program.readLog($0) }
    let newest = try readers.compactMap { try KeptFile.read(in: $0) }.max { $0.revision < $1.revision }
    let known = try Moves.read(paths)
    let (moves, all) = (known.moves, known.revisions)
    guard
      let old = try newest.map({ try TopologyLoading.plain($0.text, file: "the deployment's file") })
        ?? DeploymentOutline.topology(in: readers)
    else {
      throw HyphaError(
        .failed, "the logs of '\(checked.name)' do not say which topology they were written under",
        remedy: "run it once with the topology file that it began with, with this version of the program")
    }
    let past = all.past(
      moves, known.departures, seat: all.newest?.seat ?? old.moveSeat, lost: Set(lost),
      // The node that orders knows who has heard of the newest file; logs do not.
      isKnownToAll: true)
    plan = TopologyPlan(from: old, to: new, past, knowsSettings: newest != nil)
    seat = past.seat
    (self.old, self.new, self.file) = (old, new, file)
    self.lost = Set(lost.map(\.text))
    (logs, revision, knowsSettings) = (paths, newest?.revision ?? 1, newest != nil)
    let gone = plan.changes.filter { $0.kind == .agentRemoved }.compactMap(\.subject)
    placed = try moves.placing(old)
    let leaving = plan.changes.filter { $0.kind == .nodeRemoved }.compactMap(\.subject)
    away = try Set(leaving.filter { try NodeStandings.isAway(NodeID($0), in: readers) })
    unhandled = try Self.unhandled(by: gone, readers, placed)
  }

  private let placed: Topology
  /// The node that orders what is applied.
  private let seat: NodeID?
  private let lost: Set<String>

  private static func unhandled(by agents: [String], _ logs: [any LogReader], _ topology: Topology) throws
    -> [String: [String: UInt64]]
  {
    try agents.reduce(into: [:]) { unhandled, name in
      guard let agent = topology.agents.first(where: { $0.id.text == name }),
        let log = logs.first(where: { $0.identity.node == agent.node })
      else { return }
      let counts = try Unhandled.count(of: agent.id, in: log, topology)
      if !counts.isEmpty {
        unhandled[name] = Dictionary(uniqueKeysWithValues: counts.map { ($0.key.description, $0.value) })
      }
    }
  }

  /// How to start the nodes that are new.
  var startLines: [String] {
    new.nodes.filter { old.node($0.id) == nil }.map { node in
      "node '\(node.id)' is to be started: \(Program.calledAs) run \(file) --node \(node.id)"
    }
  }

  /// What the agents that are gone have left unhandled, once the file is applied.
  func leftLines() throws -> [String] {
    let program = try Program.require()
    let gone = plan.changes.filter { $0.kind == .agentRemoved }.compactMap(\.subject)
    return try gone.compactMap { name -> String? in
      guard let agent = placed.agents.first(where: { $0.id.text == name }),
        let log = try logs.lazy.map({ try program.readLog($0) }).first(where: {
          $0.identity.node == agent.node
        }),
        case let counts = try Unhandled.left(by: agent.id, in: log, placed), !counts.isEmpty
      else { return nil }
      let text = counts.sorted { $0.key.rawValue < $1.key.rawValue }.map {
        "\(Human.count($0.value)) \($0.key)"
      }
      return
        "agent '\(name)' has left \(text.joined(separator: " and ")) events unhandled, which stay in the log of '\(agent.node)'"
    }
  }

  var report: Report {
    Report(
      name: new.name, revision: revision, fingerprint: old.fingerprint, newFingerprint: new.fingerprint,
      knowsSettings: knowsSettings,
      changes: plan.changes.map { change in
        .init(
          kind: change.kind.rawValue, text: change.text, subject: change.subject, cost: change.cost,
          unhandled: change.subject.flatMap { change.kind == .agentRemoved ? unhandled[$0] : nil })
      },
      obstacles: plan.obstacles.map { .init(problem: $0.problem, remedy: $0.remedy) })
  }

  /// The plan for people.
  func lines(_ style: Style) -> [String] {
    var lines = ["'\(new.name)' runs under revision \(revision) of its topology file"]
    if !knowsSettings {
      lines.append(
        style.yellow(
          "its logs are of a version that kept no settings: only agents, their places and subscriptions, oversight and pinned links are compared"
        ))
    }
    guard !plan.isEmpty else { return lines + ["\(file) changes nothing"] }
    for change in plan.changes {
      let sign =
        switch change.kind {
        case .agentAdded: style.green("+")
        case .agentRemoved, .nodeRemoved: style.red("−")
        default: style.yellow("~")
        }
      lines.append("  \(sign) \(change.text)")
      if let cost = change.cost { lines.append(style.dim("      \(cost)")) }
      if change.kind == .nodeRemoved, let node = change.subject, away.contains(node), !lost.contains(node) {
        let remedy =
          node == seat?.text
          ? "it does not run now, and orders what is applied: start it"
          : "it does not run now, and leaves once it does; where it is gone for good, give it up with --lost \(node)"
        lines.append(style.yellow("      \(remedy)"))
      }
      if change.kind == .agentRemoved, let counts = change.subject.flatMap({ unhandled[$0] }) {
        let text = counts.sorted { $0.key < $1.key }.map { "\(Human.count($0.value)) \($0.key)" }
        lines.append(style.yellow("      it has not handled \(text.joined(separator: " and ")) events"))
      }
    }
    if !plan.changes.isEmpty { lines.append("to follow, \(TopologyPlan.cost)") }
    for obstacle in plan.obstacles {
      lines.append(style.red("cannot be applied: \(obstacle.problem)"))
      lines.append("      \(obstacle.remedy)")
    }
    return lines
  }
}
