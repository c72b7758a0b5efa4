import HyphaCore
import HyphaLog
import HyphaRuntime

/// Says what an agent's state was: whole, what has changed in it, or why a member is what it is.
struct AgentStateView {
  let agent: AgentID
  let node: NodeID
  /// The data directory, for advice on what to type next.
  let data: String
  let isJSON: Bool

  /// The state at a moment.
  func show(_ step: StateStep) throws {
    let state = try step.state()
    if isJSON {
      return try Output.standard.writeLine(
        JSON.text(
          Self.members(of: step).merging([
            "agent": .string(agent.text), "node": .string(home(step).text), "state": state,
            step.isOfCalls ? "calls" : "events": step.count.map { .integer(Int64($0)) } ?? .null,
          ]) { $1 }))
    }
    let place = step.place.map { Self.text($0) } ?? "the begin"
    let noun = step.isOfCalls ? "call" : "event"
    let made = step.count.map { ": made of \(Human.count($0)) \(noun)\($0 == 1 ? "" : "s")" } ?? ""
    try Output.standard.writeLine("\(agent) on node \(home(step)), as of \(place)\(made)")
    for (path, value) in StateChanges.members(of: state) {
      try Output.standard.writeLine("  \(printable(path)): \(printable(try JSON.text(value)))")
    }
  }

  /// What has changed between two moments.
  func show(from before: StateStep, to now: StateStep) throws {
    let changes = StateChanges.between(try before.state(), try now.state())
    if isJSON {
      let objects = changes.map { change -> JSONValue in
        .object([
          "member": .string(change.path), "before": change.before ?? .null, "after": change.after ?? .null,
        ])
      }
      return try Output.standard.writeLine(JSON.text(JSONValue.array(objects)))
    }
    if changes.isEmpty { return try Output.standard.writeLine("nothing has changed") }
    for change in changes {
      func text(_ value: JSONValue?) throws -> String {
        try value.map { printable(try JSON.text($0)) } ?? "–"
      }
      try Output.standard.writeLine(
        "\(printable(change.path)): \(text(change.before)) → \(text(change.after))")
    }
  }

  /// From when on a member is what it is, and because of what.
  func show(_ path: String, is value: JSONValue?, since origin: StateStep) throws {
    if let unknown = origin.unknown { throw unknown }
    if isJSON {
      return try Output.standard.writeLine(
        JSON.text(
          Self.members(of: origin).merging([
            "member": .string(path), "value": value ?? .null, "node": .string(home(origin).text),
          ]) { $1 }))
    }
    let text = try value.map { printable(try JSON.text($0)) } ?? "not there"
    guard let place = origin.place else {
      return try Output.standard.writeLine("\(path) is \(text), as from the begin")
    }
    let there = home(origin) == node ? "" : " of node \(home(origin))"
    try Output.standard.writeLine("\(path) is \(text) since \(Self.text(place))\(there)")
    try Output.standard.writeLine(Self.cause(of: origin))
    if let event = origin.isEventLogged ? origin.event ?? origin.stated : origin.stated {
      try Output.standard.writeLine("next: \(Program.calledAs) trace \(event.id) --data \(data)")
    }
  }

  /// The node that the agent was on then.
  private func home(_ step: StateStep) -> NodeID { step.place?.node ?? node }

  /// A place in words; of one whose entry is gone no time is known.
  private static func text(_ place: StateStep.Place) -> String {
    "position \(place.position)" + (place.time > .zero ? ", \(place.time.text)" : "")
  }

  private static func cause(of step: StateStep) -> String {
    switch (step.call, step.event) {
    case (nil, let event?): "made so by \(event.type) \(event.id)"
    case (_?, let event?) where step.isEventLogged:
      "made so when it handled \(event.type) \(event.id) of \(event.agent)"
    case (_?, let event?):
      "made so when it handled \(event.type) of \(event.agent), which is in no log" + stated(in: step)
    case (.start?, nil): "made so when it started" + stated(in: step)
    case (.wake?, nil): "made so when it woke" + stated(in: step)
    default: "made so there" + stated(in: step)
    }
  }

  /// What a log has of a call that no event of a log has led to.
  private static func stated(in step: StateStep) -> String {
    step.stated.map { ", which stated \($0.type) \($0.id)" } ?? ""
  }

  private static func members(of step: StateStep) -> [String: JSONValue] {
    var members: [String: JSONValue] = [
      "position": step.place.map { .integer(Int64(clamping: $0.position.rawValue)) } ?? .null,
      "time": step.place.map { .string($0.time.text) } ?? .null,
      "event": step.isEventLogged ? step.event.map { .string($0.id.description) } ?? .null : .null,
      "type": step.event.map { .string($0.type.text) } ?? .null,
    ]
    if let call = step.call {
      members["call"] = .string(call.rawValue)
      members["stated"] = step.stated.map { .string($0.id.description) } ?? .null
    }
    return members
  }
}

extension StateStep {
  /// Whether it is made of calls; else of the agent's own events. What an agent has come to a node with, it had of calls elsewhere.
  fileprivate var isOfCalls: Bool { call != nil || event?.type == .agentArrived }

  /// Whether a log has the event that made it so.
  fileprivate var isEventLogged: Bool { call != .realtime && call != .question }
}
