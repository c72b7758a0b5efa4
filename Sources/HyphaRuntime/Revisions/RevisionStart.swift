import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// What becomes of the places of a node's agents where it starts under a newer topology file than its log was last used under.
///
/// An agent's place in the log says what it has handled of the lanes that were for it. Where other lanes are for it now, the same
/// place would say otherwise: what it takes newly would seem to be handled, and its count would not fit. So its place is made
/// anew, lane by lane, as that of an agent that was moved (``Handover``). Pure but for reading the log.
struct RevisionStart: Sendable {
  /// Where an agent's place was made anew, and what it had handled then, as the log keeps it.
  struct Place: Codable, Equatable {
    var position: Position
    var handled: [Handover.End]
  }

  /// The agents whose places are made anew with this start.
  private(set) var places: [AgentID: Place] = [:]
  private(set) var cursors: [CursorKey: Cursor] = [:]
  /// What the log is to keep.
  private(set) var snapshots: [AgentID: [UInt8]] = [:]
  /// Of agents that were moved here, and of those whose places were made anew, where that was and what they had handled.
  private(set) var elsewhere: [AgentID: HandledElsewhere]
  /// What the log kept before.
  private let known: [AgentID: Place]
  /// The routes under which the log was last used; nil where they are the same.
  private let earlier: Routes?
  private let authors: Set<AgentID>

  /// The name under which the log keeps places.
  static let owner: AgentID = "hypha.places"

  init(_ configuration: Node.Configuration, _ moves: MoveDesk, _ routes: RouteTable, log: any EventLog) throws
  {
    let topology = routes.topology
    authors = Set(topology.nodes.map(\.id.author))
    known = try Self.places(in: log)
    elsewhere = moves.handledElsewhere
      .merging(known.mapValues { HandledElsewhere($0.position, Handover.points($0.handled)) }) {
        moved, kept in
        var newest = moved.position > kept.position ? moved : kept
        newest.open = moved.open
        return newest
      }
    let revisions = moves.state.withLock { $0.reading.revisions }
    let kept = try KeptFile.read(in: log)
    let last = kept?.revision ?? 1
    guard topology.revision > last, try log.head() > .start,
      // A node that a revision added began under its file.
      let text = kept?.text ?? revisions.text(of: last), let file = configuration.file
    else {
      earlier = nil
      return
    }
    var old = try file.read(text)
    if let order = revisions.revisions.first(where: { $0.order.revision == last })?.order {
      old = try old.revised(by: order, after: [])
    }
    earlier = Routes(old)
    let heads = try log.heads()
    for spec in topology.agents(on: routes.node)
    where !routes.isArriving(spec.id) && moves.adopted[spec.id] == nil {
      try begin(spec.id, in: log, heads) { routes.plan(of: $0).local.contains(spec.id) }
    }
    for spec in topology.agents where spec.node == routes.node && topology.isRetired(spec.id) {
      guard old.agent(spec.id) != nil, !old.isRetired(spec.id) else { continue }
      // It keeps no place here, which would hold back every prune; what it has handled counts if it comes back.
      try begin(spec.id, in: log, heads) { _ in false }
    }
    guard !places.isEmpty else { return }
    let all = known.merging(places) { $1 }
    snapshots[Self.owner] = Array(
      try JSON.encode(Dictionary(uniqueKeysWithValues: all.map { ($0.key.text, $0.value) })))
  }

  /// Where places were made anew, as a log keeps it.
  static func places(in log: any LogReader) throws -> [AgentID: Place] {
    let kept = try log.snapshot(of: owner).flatMap { try? JSON.decode([String: Place].self, from: $0) }
    return kept?.reduce(into: [:]) { $0[AgentID(unchecked: $1.key)] = $1.value } ?? [:]
  }

  private mutating func begin(
    _ agent: AgentID, in log: any LogReader, _ heads: LogHeads, isFor: (Lane) -> Bool
  ) throws {
    // What it had handled of lanes that are not for it now counts if they ever are again.
    var handled = elsewhere[agent]?.lanes ?? [:]
    var isChanged = false
    for (lane, head) in heads.lanes where lane.channel.isLogged {
      let (was, isNow) = (led(lane, to: agent) ?? isFor(lane), isFor(lane))
      guard was || isNow else { continue }
      var point = handled[lane] ?? .start
      if was, head.position > .start {
        let place = try log.cursor(CursorKey(agent: agent, channel: lane.channel))?.position ?? .start
        point = max(point, try log.point(of: lane, at: place))
      }
      if point > .start { handled[lane] = point }
      isChanged = isChanged || was != isNow
    }
    guard isChanged else { return }
    let place = Place(
      position: heads.position.next, handled: handled.map { Handover.End($0, $1) }.sorted { $0.key < $1.key })
    places[agent] = place
    let open = elsewhere[agent]?.open ?? []
    elsewhere[agent] = HandledElsewhere(place.position, handled)
    elsewhere[agent]?.open = open
    let lanes = heads.lanes.keys.filter(isFor).map { ($0, handled[$0] ?? .start) }
    for channel in Channel.allCases where channel.isLogged {
      cursors[CursorKey(agent: agent, channel: channel)] = try Handover.cursor(
        channel, in: log, heads, handled: Dictionary(uniqueKeysWithValues: lanes))
    }
  }

  /// Whether a lane was for an agent under the earlier file; nil where that does not depend on the file.
  private func led(_ lane: Lane, to agent: AgentID) -> Bool? {
    guard let earlier, !authors.contains(lane.agent) else { return nil }
    return earlier.destinations(of: lane).contains(agent)
  }

  /// Whether a lane was for an agent when the log was last used, where that is not as it is now.
  func wasFor(_ agent: AgentID, _ lane: Lane) -> Bool? { led(lane, to: agent) }

  /// What an agent had handled when its place was made anew here.
  func kept(of agent: AgentID) -> [Lane: LanePoint] {
    known[agent].map { Handover.points($0.handled) } ?? [:]
  }
}

extension Handover.End {
  var key: String { "\(agent) \(channel.rawValue) \(addressee?.text ?? "") \(type?.text ?? "")" }
}
