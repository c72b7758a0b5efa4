public import HyphaCore
public import HyphaLog
public import HyphaTopology

/// The text of a topology file, and how this program makes a topology of such a text.
public struct TopologyText: Sendable {
  public let text: String
  /// Reads a text as if it stood in the file's place: with what lies beside that, and the addresses of this machine.
  public let read: @Sendable (String) throws -> Topology

  /// A text with its reader.
  public init(_ text: String, read: @escaping @Sendable (String) throws -> Topology) {
    (self.text, self.read) = (text, read)
  }
}

/// The topology file that a node was last started with, as its log keeps it, beside the snapshots of agents: with all its
/// settings, which ``DeploymentOutline`` leaves out.
public struct KeptFile: Codable, Equatable, Sendable {
  public let text: String
  /// Which revision of the deployment it is; 1 for the file that it began with.
  public let revision: UInt32

  static let owner: AgentID = "hypha.file"

  /// What a log keeps; nil where it was written by a version that kept none, or by a program that has no file.
  ///
  /// - Throws: what reading the log throws.
  public static func read(in log: any LogReader) throws -> KeptFile? {
    try log.snapshot(of: owner).flatMap { try? JSON.decode(KeptFile.self, from: $0) }
  }

  /// This file for a log to keep; nothing where it has it.
  func snapshot(in log: any LogReader) throws -> [AgentID: [UInt8]] {
    try Self.read(in: log) == self ? [:] : [Self.owner: Array(try JSON.encode(self))]
  }
}

extension DeploymentOutline {
  /// The topology of the newest outline among logs, where they keep no files: without settings, keys and addresses.
  package static func topology(in logs: [any LogReader]) throws -> Topology? {
    try logs.lazy.compactMap { try read(in: $0) }.first?.topology()
  }
}

/// How much of what is for an agent it has not handled, as its node's log has it.
public enum Unhandled {
  /// So many events by channel; none where its node's log has nothing for it.
  ///
  /// - Complexity: looks at the heads of all lanes.
  /// - Throws: what reading the log throws.
  public static func count(of agent: AgentID, in log: any LogReader, _ topology: Topology) throws
    -> [Channel: UInt64]
  {
    let routes = Routes(topology)
    let authors = Set(topology.nodes.map(\.id.author))
    var counts: [Channel: UInt64] = [:]
    for (lane, head) in try log.laneHeads() {
      guard lane.channel.isLogged, !authors.contains(lane.agent),
        routes.destinations(of: lane).contains(agent)
      else { continue }
      counts[lane.channel, default: 0] += head.count
    }
    for (channel, count) in counts {
      let handled = try log.cursor(CursorKey(agent: agent, channel: channel))?.handledCount ?? 0
      counts[channel] = count - min(count, handled)
    }
    return counts.filter { $0.value > 0 }
  }

  /// The same of an agent that the file has no more: of what was for it under an earlier one.
  public static func left(by agent: AgentID, in log: any LogReader, _ topology: Topology) throws
    -> [Channel: UInt64]
  {
    let places = try RevisionStart.places(in: log)
    guard let handled = places[agent].map({ Handover.points($0.handled) }) else { return [:] }
    let routes = Routes(topology)
    let authors = Set(topology.nodes.map(\.id.author))
    var counts: [Channel: UInt64] = [:]
    for (lane, head) in try log.laneHeads() {
      guard lane.channel.isLogged, !authors.contains(lane.agent),
        routes.destinations(of: lane).contains(agent)
      else { continue }
      var next = head.position
      while next > .start, let entry = try log.entry(at: next), entry.record.point > handled[lane] ?? .start {
        counts[lane.channel, default: 0] += 1
        next = entry.previousInLane
      }
    }
    return counts
  }
}
