import HyphaCore
import HyphaFormats
import Synchronization

/// What one resource of a recording does: the hand-overs that it makes, and those that it gets.
struct HandOverScript: Sendable {
  /// The hand-overs that the resource makes, in recorded order.
  let outgoing: [HandOver]
  /// The places of the hand-overs that the resource gets, by their index in the recording.
  let incoming: [Int: Int]
  /// The indices of the hand-overs that the resource answers by handing the case on.
  let handedOn: Set<Int>
  /// When the recording begins, in microseconds since 1970.
  let start: Int64
  /// The agents that the recording's resources are acted out by.
  let agents: [String: AgentID]

  init(of resource: String, in recording: [HandOver], _ agents: ResourceAgents) {
    self.agents = agents.agents
    outgoing = recording.filter { $0.from == resource }
    handedOn = Set(outgoing.compactMap(\.predecessor))
    var incoming: [Int: Int] = [:]
    for handOver in recording where handOver.to == resource { incoming[handOver.index] = incoming.count }
    self.incoming = incoming
    start = recording.first?.time ?? 0
  }
}

/// The recordings that agents of this process act out, each read once.
enum Recordings {
  private static let loaded = Mutex<[String: (recording: [HandOver], agents: ResourceAgents)]>([:])

  /// The recording at `path`: a file of hand-overs, or an event log that Hypha can import.
  static func load(_ path: String) throws -> (recording: [HandOver], agents: ResourceAgents) {
    try loaded.withLock { loaded in
      if let known = loaded[path] { return known }
      let recording = try HandOverRecording.load(path)
      let both = (recording, ResourceAgents(of: recording))
      loaded[path] = both
      return both
    }
  }
}
