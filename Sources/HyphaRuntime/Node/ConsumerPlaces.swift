import HyphaCore
public import HyphaLog
import HyphaTopology

/// Where the consumers of a node stand when nothing runs: at its start, and at its end. Pure.
///
/// A consumer's place moves with what it handles, so that of an idle one would stay for ever where its last event was, and
/// hold back every prune of the log. A consumer with nothing before it has handled everything up to the log's head; and one
/// that has never handled anything has a place all the same, so that what waits for it is not pruned.
enum ConsumerPlaces {
  /// The places that are to be written.
  ///
  /// - Parameters:
  ///   - consumers: the agents of this node, on each channel that is logged.
  ///   - places: what the log has of them.
  ///   - newest: the newest event for each, as of `head`.
  ///   - head: the log's head at that moment.
  static func moved(
    _ consumers: [CursorKey], from places: [CursorKey: Cursor], newest: [CursorKey: Position], head: Position
  ) -> [CursorKey: Cursor] {
    var moved: [CursorKey: Cursor] = [:]
    for consumer in consumers {
      var place = places[consumer] ?? .start
      if newest[consumer] ?? .start <= place.position { place.position = max(place.position, head) }
      if places[consumer] != place { moved[consumer] = place }
    }
    return moved
  }
}

extension Node {
  /// The newest event for each consumer of this node.
  func newestForConsumers(_ heads: LogHeads) -> [CursorKey: Position] {
    var newest: [CursorKey: Position] = [:]
    for (lane, head) in heads.lanes {
      for agent in routes.plan(of: lane).local {
        let key = CursorKey(agent: agent, channel: lane.channel)
        newest[key] = max(newest[key] ?? .start, head.position)
      }
    }
    return newest
  }

  /// Where consumers stand that have handled all that the log has for them: further than their cursors say. For a prune
  /// of the running node's log, which would else keep what came since an idle one last had anything. Any thread.
  public func idlePlaces() throws -> [CursorKey: Cursor] {
    let heads = try log.heads()
    return try movedPlaces(heads, newest: newestForConsumers(heads))
  }

  /// The places of consumers that are to be written now, while none of them works.
  func movedPlaces(_ heads: LogHeads, newest: [CursorKey: Position]) throws -> [CursorKey: Cursor] {
    // Of agents that are not here yet it is not known what they have handled.
    let agents = ownAgents.map(\.id)
    let consumers = agents.flatMap { agent in
      Channel.allCases.filter(\.isLogged).map { CursorKey(agent: agent, channel: $0) }
    }
    return ConsumerPlaces.moved(
      consumers, from: try log.cursors(), newest: newest, head: heads.position)
  }

  /// Writes down where idle consumers stand. Without that, the next start does it.
  func notePlaces() async {
    guard let heads = try? log.heads(),
      let moved = try? movedPlaces(heads, newest: newestForConsumers(heads)), !moved.isEmpty
    else { return }
    var batch = LogBatch()
    batch.cursors = moved
    try? await commitOnce(batch, [], alreadySent: true)
  }
}
