import HyphaCore
import HyphaLog
import HyphaRuntime

/// Says what a log has of an agent whose state is committed whole.
struct AgentMomentView {
  private let moment: AgentMoment
  private let agent: AgentID
  private let kind: String
  private let node: NodeID

  init(_ moment: AgentMoment, _ agent: AgentID, _ kind: String, on node: NodeID) {
    (self.moment, self.agent, self.kind, self.node) = (moment, agent, kind, node)
  }

  func text() throws -> String {
    var lines = ["\(agent) on node \(node), of kind \(kind), whose state is committed whole"]
    let last = moment.last.map { ", the last one \(Self.text($0))" } ?? ""
    lines.append(
      "  stated: \(Human.count(moment.statedCount)) \(moment.statedCount == 1 ? "event" : "events")\(last)")
    if let cause = moment.cause { lines.append("  last because of: \(Self.text(cause))") }
    guard let newest = moment.newest else {
      lines.append(
        """
          its state there is found by running it again: give --topology with the file that the log was written under; its timers and \
        how much it had handled are not in the log, which keeps the newest of them; see them without --at
        """)
      return lines.joined(separator: "\n")
    }
    for (channel, cursor) in newest.cursors {
      lines.append(
        "  handled: \(Human.count(cursor.handledCount)) \(channel) events, all up to position \(cursor.position)"
      )
    }
    for timer in newest.timers.prefix(Self.timerCountMax) {
      lines.append("  timer: \(timer.type) about \(timer.subject) at \(timer.dueAt.text)")
    }
    let hidden = newest.timers.count - Self.timerCountMax
    if hidden > 0 { lines.append("  and \(Human.count(hidden)) later timers; --json has them") }
    lines.append("  to be given again: \(Human.count(newest.retryCount))")
    lines.append("  open questions: in no log, since they are realtime events")
    guard let state = newest.state else { return (lines + ["  state: none"]).joined(separator: "\n") }
    for (path, value) in StateChanges.members(of: state) {
      lines.append("  \(printable(path)): \(printable(try JSON.text(value)))")
    }
    return lines.joined(separator: "\n")
  }

  /// So many timers are shown to people.
  private static let timerCountMax = 20

  private static func text(_ entry: LogEntry) -> String {
    let header = entry.record.header
    return "\(header.type) \(header.id) at position \(entry.position), \(header.time.text)"
  }

  func json() -> JSONValue {
    func event(_ entry: LogEntry?) -> JSONValue {
      guard let entry else { return .null }
      let header = entry.record.header
      return .object([
        "id": .string(header.id.description), "type": .string(header.type.text),
        "position": .integer(Int64(entry.position.rawValue)), "time": .string(header.time.text),
      ])
    }
    var members: [String: JSONValue] = [
      "agent": .string(agent.text), "node": .string(node.text), "kind": .string(kind),
      "stated": .integer(Int64(moment.statedCount)), "last": event(moment.last),
      "because": event(moment.cause),
    ]
    guard let newest = moment.newest else { return .object(members) }
    members["state"] = newest.state ?? .null
    members["handled"] = .object(
      Dictionary(
        uniqueKeysWithValues: newest.cursors.map { channel, cursor in
          (
            channel.description,
            .object([
              "events": .integer(Int64(cursor.handledCount)),
              "position": .integer(Int64(cursor.position.rawValue)),
            ])
          )
        }))
    members["timers"] = .array(
      newest.timers.map {
        .object([
          "type": .string($0.type.text), "subject": .string($0.subject.text), "dueAt": .string($0.dueAt.text),
        ])
      })
    members["toBeGivenAgain"] = .integer(Int64(newest.retryCount))
    return .object(members)
  }
}
