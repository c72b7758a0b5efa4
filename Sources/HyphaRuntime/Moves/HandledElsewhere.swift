import HyphaCore
import HyphaLog

/// What an agent had handled before its place in a log begins: on another node, or under another file. It is not given that again.
struct HandledElsewhere: Sendable {
  /// Entries before it are no part of what the agent's place counts.
  var position: Position
  /// How far it had handled each lane.
  var lanes: [Lane: LanePoint]
  /// What it had thrown on among that, and was to be given again, where nothing else in the log says so.
  var open: Set<EventID> = []

  init(_ position: Position, _ lanes: [Lane: LanePoint]) { (self.position, self.lanes) = (position, lanes) }

  /// Whether it had handled an event.
  func has(_ id: EventID, at point: LanePoint, of lane: Lane) -> Bool {
    point <= lanes[lane] ?? .start && !open.contains(id)
  }
}
