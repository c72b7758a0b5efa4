import HyphaCore
import HyphaLog
import HyphaTopology

/// Whether a log may be used under a topology: it belongs to the one that it was written under. With agents placed elsewhere or
/// subscriptions changed, places and counts in it would mean something else, and other events would seem to be for the agents.
struct TopologyCheck {
  /// With agents where the log's moves have them.
  let topology: Topology
  let log: any LogReader
  /// What to do where it is another one.
  let remedy: String

  /// So many differences are named.
  private static let namedCount = 3

  /// Checks the newest activation among `lanes` that the log's node has stated, whether the agent is here under this topology
  /// or not.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` that says what differs, as far as the log's outline has it; what reading the
  ///   log throws.
  func check(_ lanes: [Lane: LaneHead]) throws {
    let activations = lanes.filter { $0.key.target == .type(AgentActivated.eventType) }
    var newest: LogEntry?
    for position in activations.values.map(\.position).sorted(by: >) where newest == nil {
      newest = try log.entry(at: position).flatMap { $0.source == .stated ? $0 : nil }
    }
    guard let newest, case let written = try AgentActivated.decode(newest.record).topology,
      written != topology.fingerprint, !topology.hasReplaced(written)
    else { return }
    throw HyphaError(
      .invalidTopology,
      "the log of node '\(log.identity.node)' was written under another topology than '\(topology.name)': "
        + (try differences(from: written)),
      remedy: remedy)
  }

  private func differences(from written: String) throws -> String {
    // An outline of another fingerprint is not of what the log was written under.
    guard let outline = try DeploymentOutline.read(in: log), outline.fingerprint == written,
      case let all = outline.differences(from: DeploymentOutline(topology)), !all.isEmpty
    else { return "the log does not say what differs" }
    let rest = all.count - Self.namedCount
    return all.prefix(Self.namedCount).joined(separator: ", ") + (rest > 0 ? ", and \(rest) more" : "")
  }
}
