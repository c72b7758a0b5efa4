public import HyphaCore
import HyphaTopology

/// An alert that its handler did not acknowledge by returning: see ``Context/hold()``.
///
/// A value to keep in the agent's state until the answer is there.
public struct HeldAlert: Hashable, Sendable, Codable {
  /// The alert.
  public let id: EventID
  /// The agent that stated it.
  public let agent: AgentID
  /// The conversation that it belongs to.
  public let correlation: EventID

  init(_ header: RecordHeader) {
    id = header.id
    agent = header.agent
    correlation = header.correlation
  }
}

extension Context {
  /// Leaves the alert that is being handled unanswered when the handler returns: whoever decides answers it later, with
  /// ``acknowledge(_:)``. Its deadline goes on meanwhile.
  ///
  /// - Returns: what to keep until then; nil where no alert is being handled.
  public func hold() -> HeldAlert? { turn.hold() }

  /// Answers an alert that was held. The acknowledgement commits with the other effects of the handler that runs,
  /// and is discarded when that throws.
  ///
  /// - Throws: ``HyphaError/Code/agentFailed`` after the handler has returned.
  public func acknowledge(_ alert: HeldAlert) throws { try turn.acknowledge(alert) }
}

/// When alerts whose handlers have thrown are run again. A pure part of an agent's work.
///
/// An alert is run again until it is older than the deployment's deadline: its supervisor has been told by then. Of
/// more than ``countMax`` alerts at a time the rest is not run again, and after a restart none is.
struct AlertsAgain {
  private var counts: [EventID: Int] = [:]

  /// The most alerts that are run again.
  static let countMax = 256

  /// How long to wait before the handler is run again; nil where it is not.
  mutating func wait(after header: RecordHeader, now: Timestamp, _ settings: AlertSettings) -> Duration? {
    let count = (counts[header.id] ?? 0) + 1
    let wait = settings.wait(after: count)
    guard counts[header.id] != nil || counts.count < Self.countMax,
      now.since(header.time) + wait < settings.deadline
    else {
      counts[header.id] = nil
      return nil
    }
    counts[header.id] = count
    return wait
  }

  mutating func forget(_ alert: EventID) { counts[alert] = nil }
}

extension Draft {
  /// The answer to an alert.
  static func acknowledgement(of alert: HeldAlert, _ new: (id: EventID, time: Timestamp)) -> Draft {
    Draft(
      AlertAcknowledged(), payload: Array("{}".utf8), to: alert.agent, new,
      because: Cause(event: alert.id, correlation: alert.correlation))
  }

  /// What says that the alert in `draft` has a deadline of its own.
  static func deadline(_ within: Duration, of draft: Draft, _ new: (id: EventID, time: Timestamp)) throws
    -> Draft
  {
    try Draft(
      bus: AlertDeadlineSet(alert: draft.id, withinMicroseconds: within.wholeMicroseconds), to: nil, new,
      because: Cause(event: .none, correlation: draft.correlation))
  }

  /// An event that the bus states in an agent's name.
  init<E: Event>(
    bus event: E, to addressee: AgentID?, _ new: (id: EventID, time: Timestamp), because cause: Cause? = nil,
    authority: Authority? = nil
  ) throws {
    var payload: [UInt8] = []
    try event.encode(into: &payload)
    // What nothing has caused begins a conversation.
    let cause = cause ?? Cause(event: .none, correlation: new.id)
    self.init(event, payload: payload, to: addressee, new, because: cause, authority: authority)
  }

  private init<E: Event>(
    _ event: E, payload: [UInt8], to addressee: AgentID?, _ new: (id: EventID, time: Timestamp),
    because cause: Cause, authority: Authority? = nil
  ) {
    self.init(
      event: event, addressee: addressee, id: new.id, time: new.time, channel: E.channel, type: E.eventType,
      schemaVersion: E.schemaVersion, subject: event.subject, contentType: .json, causation: cause.event,
      correlation: cause.correlation, within: nil, authority: authority, payload: payload)
  }
}
