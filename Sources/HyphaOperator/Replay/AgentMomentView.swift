import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

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
    let last = moment.last.map { ", the last one \(text($0, on: moment.lastNode))" } ?? ""
    lines.append("  stated: \(Human.count(moment.statedCount, "event"))\(known)\(last)")
    if let cause = moment.cause { lines.append("  last because of: \(text(cause, on: node))") }
    guard let newest = moment.newest else {
      lines.append(
        """
          \(Self.pastAdvice(moment)); its timers and how much it had handled are not in the log, which keeps the newest of \
        them; see them without --at
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

  /// What the count is of, where that is not all in one log without gaps.
  private var known: String {
    let isMoved = moment.move != nil ? ", on all nodes that it was on" : ""
    return isMoved + (Self.lost(moment).map { ", as far as the log has them: \($0)" } ?? "")
  }

  private static func lost(_ moment: AgentMoment) -> String? {
    guard let first = moment.gaps.first else { return nil }
    return first.text + (moment.gaps.count > 1 ? ", and there are \(moment.gaps.count - 1) more gaps" : "")
  }

  /// How the state at an earlier place is found, if it is.
  private static func pastAdvice(_ moment: AgentMoment) -> String {
    let advice =
      "its state there is found by running it again: give --topology with the file that the log was written under"
    return lost(moment).map {
      "\(advice); that is refused before its first checkpoint, and where events of it or for it are gone, and \($0)"
    }
      ?? advice
  }

  /// So many timers are shown to people.
  private static let timerCountMax = 20

  private func text(_ entry: LogEntry, on home: NodeID?) -> String {
    let header = entry.record.header
    let place = home.map { $0 == node ? "" : " of node \($0)" } ?? ""
    return "\(header.type) \(header.id) at position \(entry.position)\(place), \(header.time.text)"
  }

  func json() -> JSONValue {
    func event(_ entry: LogEntry?, on home: NodeID?) -> JSONValue {
      guard let entry else { return .null }
      let header = entry.record.header
      return .object([
        "id": .string(header.id.description), "type": .string(header.type.text),
        "node": .string((home ?? node).text), "position": .integer(Int64(entry.position.rawValue)),
        "time": .string(header.time.text),
      ])
    }
    var members: [String: JSONValue] = [
      "agent": .string(agent.text), "node": .string(node.text), "kind": .string(kind),
      "stated": .integer(Int64(moment.statedCount)), "last": event(moment.last, on: moment.lastNode),
      "because": event(moment.cause, on: node),
    ]
    if let move = moment.move { members["movedTo"] = .string(move.to.text) }
    if !moment.gaps.isEmpty {
      members["gaps"] = .array(
        moment.gaps.map {
          .object([
            "first": .integer(Int64(clamping: $0.range.lowerBound.rawValue)),
            "last": .integer(Int64(clamping: $0.range.upperBound.rawValue)),
            "kind": .string($0.kind == .pruned ? "pruned" : "quarantined"),
          ])
        })
    }
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
