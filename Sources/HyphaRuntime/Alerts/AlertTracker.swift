public import HyphaCore
public import HyphaLog
public import HyphaTopology

/// Follows the alerts that agents of one node have stated until they are answered: what to send again, whom to
/// tell, and when nobody is left.
///
/// A pure state machine, and a fold of the node's log: it changes by ``observe(_:at:isStated:)`` alone, so the
/// same entries give the same open alerts in the node that runs, in one that starts again, and in a program that reads
/// the log. ``due(now:)`` decides; what comes of the decision is an event, which is observed in turn.
///
/// Bounds: ``dutyCountMax`` duties (an alert has one for each agent that it is for). A new alert beyond that is not
/// followed: its addressees' supervisors are told of it at once, in one event a second for each of its agents.
/// ``givenUpCountMax`` alerts that nobody answered are remembered; beyond that the oldest is forgotten here, and stays
/// in the log.
public struct AlertTracker: Sendable {
  /// What is to be done.
  public enum Action: Sendable, Hashable {
    /// Send the event at `position` of the node's log again; `holders` have not answered it.
    case redeliver(position: UInt64, holders: [AgentID])
    /// State that `unanswered` did not answer, to the supervisor above them.
    case escalate(AlertEscalated, to: AgentID, correlation: EventID)
    /// State that nobody has answered.
    case giveUp(AlertUnanswered, correlation: EventID)
  }

  /// The alerts that wait for an answer, or are given up, by id.
  public private(set) var open: [EventID: OpenAlert] = [:]
  /// Grows with every change of what is open.
  public private(set) var changeCount: UInt64 = 0
  /// How long alerts have waited for all their answers since the node started, by type; of ``answeredTypeCountMax`` types
  /// at the most.
  private(set) var answered: [EventTypeName: AgeSum] = [:]

  let audience: AlertAudience
  private let settings: AlertSettings
  private let dutyCountMax: Int
  private let supervisor: @Sendable (AgentID) -> AgentID?
  private var dutyCount = 0
  private var givenUp: [EventID] = []
  /// By escalation, the alert.
  private var escalated: [EventID: EventID] = [:]
  /// Alerts by when they are to be looked at: the moment's number, ``momentMicroseconds`` each.
  private var moments: [UInt64: Set<EventID>] = [:]
  private var early = EarlyAnswers()
  private var deadlines: [EventID: UInt64] = [:]
  private var overflow = AlertOverflow()

  /// The most duties that are followed.
  public static let dutyCountMax = 65_536
  /// The most alerts without an answer that are remembered.
  public static let givenUpCountMax = 4096
  static let answeredTypeCountMax = 1024
  /// The most names in one event.
  public static let nameCountMax = 1000
  private static let momentMicroseconds: UInt64 = 25_000

  /// A tracker of no alerts.
  ///
  /// - Parameter supervisor: whom an agent reports to; nil at the root.
  public init(
    _ audience: AlertAudience, settings: AlertSettings, dutyCountMax: Int = Self.dutyCountMax,
    supervisor: @escaping @Sendable (AgentID) -> AgentID?
  ) {
    self.audience = audience
    self.settings = settings
    self.dutyCountMax = dutyCountMax
    self.supervisor = supervisor
  }

  /// How many alerts somebody may still answer in time.
  public var waitingCount: Int { open.count - givenUp.count }
  /// How many alerts nobody has answered.
  public var givenUpCount: Int { givenUp.count }

  // MARK: Observing

  /// Takes note of an entry of the node's log. `isStated` says that an agent of the node stated it.
  ///
  /// Entries are observed in the order of the log; to observe one again changes nothing. A payload that does not
  /// decode is passed over.
  public mutating func observe(_ record: Record, at position: Position, isStated: Bool) {
    let header = record.header
    guard header.channel == .alert else { return }
    switch header.type {
    case AlertAcknowledged.eventType:
      guard let event = try? AlertAcknowledged.decode(record) else { return }
      if event.by != nil, isStated {
        noteAnswered(header.causation, at: header.time)
        close(header.causation)
      } else if let origin = header.addressee, audience.agents.contains(origin) {
        acknowledged(header.causation, by: header.agent, at: header.time)
      }
    case AlertEscalated.eventType where isStated:
      guard let event = try? AlertEscalated.decode(record) else { return }
      escalated(event, header, position)
    case AlertUnanswered.eventType where isStated:
      guard let event = try? AlertUnanswered.decode(record) else { return }
      gaveUp(event)
    case AlertDeadlineSet.eventType where isStated:
      guard let event = try? AlertDeadlineSet.decode(record) else { return }
      if deadlines.count >= EarlyAnswers.countMax { deadlines = [:] }
      deadlines[event.alert] = event.withinMicroseconds
    case AlertEscalated.eventType, AlertUnanswered.eventType, AlertDeadlineSet.eventType: return
    default:
      if isStated { stated(header, position) }
    }
  }

  private mutating func stated(_ header: RecordHeader, _ position: Position) {
    let own = deadlines.removeValue(forKey: header.id)
    let answered = early.take(header.id)
    let addressees = audience.addressees(of: header).filter { !answered.contains($0) }
    guard !addressees.isEmpty, open[header.id] == nil else { return }
    changeCount += 1
    guard dutyCount + addressees.count <= dutyCountMax else {
      return overflow.add(header, addressees.map { ($0, supervisor($0)) })
    }
    var alert = OpenAlert(
      header, position: position.rawValue,
      withinMicroseconds: own ?? settings.deadline.wholeMicroseconds, addressees: addressees)
    alert.sendAt = header.time.adding(settings.redelivery.wholeMicroseconds)
    keep(alert)
  }

  private mutating func acknowledged(_ id: EventID, by agent: AgentID, at time: Timestamp) {
    if open[id] != nil {
      fulfil(id, [agent], at: time)
    } else if let alert = escalated[id] {
      fulfil(alert, open[alert]?.escalations.first { $0.id == id }?.names ?? [], at: time)
    } else {
      // An answer can overtake the commit of its alert.
      early.add(id, agent)
    }
  }

  private mutating func fulfil(_ id: EventID, _ names: [AgentID], at time: Timestamp) {
    guard var alert = open[id] else { return }
    alert.fulfil(names)
    changeCount += 1
    guard alert.duties.isEmpty else { return keep(alert) }
    noteAnswered(id, at: time)
    close(id)
  }

  private mutating func noteAnswered(_ id: EventID, at time: Timestamp) {
    guard let alert = open[id], !alert.isGivenUp,
      answered[alert.type] != nil || answered.count < Self.answeredTypeCountMax
    else { return }
    answered[alert.type, default: AgeSum()].add(1, age: time.since(alert.statedAt).wholeMicroseconds)
  }

  /// The alerts that were stated at `time` or before and that somebody may still answer, the oldest first.
  ///
  /// - Complexity: a look at each open alert.
  func waiting(since time: Timestamp) -> [OpenAlert] {
    open.values.filter { $0.statedAt <= time && !$0.isGivenUp }
      .sorted { ($0.statedAt, $0.id) < ($1.statedAt, $1.id) }
  }

  private mutating func escalated(_ event: AlertEscalated, _ header: RecordHeader, _ position: Position) {
    guard var alert = open[event.alert], let holder = header.addressee else { return }
    let names = alert.take(event.unanswered, from: event.step - 1)
    guard !names.isEmpty else { return }
    alert.duties.append(
      .init(
        holder: holder, unanswered: names, step: event.step, position: position.rawValue,
        dueAt: header.time.adding(alert.withinMicroseconds)))
    alert.escalations.append(.init(id: header.id, names: names))
    escalated[header.id] = alert.id
    alert.sentCount = 1
    alert.sendAt = header.time.adding(settings.redelivery.wholeMicroseconds)
    changeCount += 1
    keep(alert)
  }

  private mutating func gaveUp(_ event: AlertUnanswered) {
    guard var alert = open[event.alert], !alert.isGivenUp else { return }
    alert.giveUp(event.unanswered, at: event.step)
    changeCount += 1
    keep(alert)
  }

  private mutating func close(_ id: EventID) {
    guard let alert = open.removeValue(forKey: id) else { return }
    forget(id, at: alert.moment)
    for escalation in alert.escalations { escalated[escalation.id] = nil }
    dutyCount -= alert.duties.count
    if alert.isGivenUp { givenUp.removeAll { $0 == id } }
    changeCount += 1
  }

  // MARK: Deciding

  /// What is to be done at `now`. An escalation is decided once; where it cannot be stated,
  /// ``failed(_:now:)`` must be called.
  public mutating func due(now: Timestamp) -> [Action] {
    let last = now.microseconds / Self.momentMicroseconds
    var actions: [Action] = []
    for moment in moments.keys.filter({ $0 <= last }).sorted() {
      for id in moments.removeValue(forKey: moment)?.sorted() ?? [] {
        guard var alert = open[id] else { continue }
        alert.moment = nil
        pass(&alert, now: now, &actions)
        sendAgain(&alert, now: now, &actions)
        keep(alert)
      }
    }
    return actions + overflow.due(now: now)
  }

  /// Tells those above the holders whose time is over.
  private func pass(_ alert: inout OpenAlert, now: Timestamp, _ actions: inout [Action]) {
    struct Group: Hashable {
      let holder: AgentID?
      let step: Int
    }
    var groups: [(Group, [AgentID])] = []
    for index in alert.duties.indices {
      let duty = alert.duties[index]
      guard duty.isWaiting, !duty.isPassing, duty.dueAt <= now else { continue }
      alert.duties[index].isPassing = true
      let group = Group(holder: supervisor(duty.holder), step: duty.step)
      if let place = groups.firstIndex(where: { $0.0 == group }) {
        groups[place].1 += duty.unanswered
      } else {
        groups.append((group, duty.unanswered))
      }
    }
    for (group, all) in groups {
      let names = all.sorted()
      for start in stride(from: 0, to: names.count, by: Self.nameCountMax) {
        let part = Array(names[start..<min(start + Self.nameCountMax, names.count)])
        if let holder = group.holder {
          let event = AlertEscalated(
            alert: alert.id, type: alert.type, agent: alert.agent, unanswered: part, step: group.step + 1)
          actions.append(.escalate(event, to: holder, correlation: alert.correlation))
        } else {
          let event = AlertUnanswered(
            alert: alert.id, type: alert.type, agent: alert.agent, unanswered: part, step: group.step)
          actions.append(.giveUp(event, correlation: alert.correlation))
        }
      }
    }
  }

  private func sendAgain(_ alert: inout OpenAlert, now: Timestamp, _ actions: inout [Action]) {
    guard alert.sendAt <= now else { return }
    let waiting = alert.duties.filter { $0.isWaiting && !$0.isPassing }
    for position in Set(waiting.map(\.position)).sorted() {
      let holders = waiting.filter { $0.position == position }.map(\.holder)
      actions.append(.redeliver(position: position, holders: holders))
    }
    alert.sentCount += 1
    alert.sendAt = now.adding(settings.wait(after: alert.sentCount).wholeMicroseconds)
  }

  /// What follows the deadlines of `alert` could not be stated: it is decided anew after a second.
  public mutating func failed(_ alert: EventID, now: Timestamp) {
    guard var alert = open[alert] else { return }
    for index in alert.duties.indices where alert.duties[index].isPassing {
      alert.duties[index].isPassing = false
      alert.duties[index].dueAt = max(alert.duties[index].dueAt, now.adding(1_000_000))
    }
    keep(alert)
  }

  /// Gives every holder time until `until` at least: a node that was away has not asked anybody meanwhile.
  public mutating func extend(until: Timestamp) {
    for id in open.keys.sorted() {
      guard var alert = open[id] else { continue }
      for index in alert.duties.indices {
        alert.duties[index].dueAt = max(alert.duties[index].dueAt, until)
      }
      alert.sendAt = min(max(alert.sendAt, alert.statedAt), until)
      keep(alert)
    }
  }

  // MARK: Keeping

  private mutating func keep(_ alert: OpenAlert) {
    var alert = alert
    let before = open[alert.id]
    // Rounded up, so that it is due when its moment is.
    let moment = alert.nextAt.map { ($0.microseconds - 1) / Self.momentMicroseconds + 1 }
    if moment != alert.moment {
      forget(alert.id, at: alert.moment)
      if let moment { moments[moment, default: []].insert(alert.id) }
      alert.moment = moment
    }
    open[alert.id] = alert
    dutyCount += alert.duties.count - (before?.duties.count ?? 0)
    guard alert.isGivenUp, !(before?.isGivenUp ?? false) else { return }
    givenUp.append(alert.id)
    if givenUp.count > Self.givenUpCountMax { close(givenUp[0]) }
  }

  private mutating func forget(_ id: EventID, at moment: UInt64?) {
    guard let moment else { return }
    moments[moment]?.remove(id)
    if moments[moment]?.isEmpty ?? false { moments[moment] = nil }
  }
}

// MARK: Snapshots

extension AlertTracker {
  /// The open alerts as of a place in the log: with the entries behind it, all there is to know.
  public struct Snapshot: Sendable, Codable {
    /// The place.
    public var through: UInt64
    /// Whom alerts are for.
    public var audience: AlertAudience
    /// The deadline of alerts that have none of their own, in microseconds.
    public var deadlineMicroseconds: UInt64
    /// The open alerts that stand at or before the place, the oldest first.
    public var open: [OpenAlert]
    fileprivate var early: EarlyAnswers
  }

  /// The name under which the log keeps snapshots, beside those of agents.
  public static let owner: AgentID = "hypha.alerts"
  /// The most alerts in a snapshot; the newer ones are found again in the log.
  public static let snapshotCountMax = 4096

  /// A snapshot of this moment, when everything up to `through` was observed.
  public func snapshot(through: Position) -> Snapshot {
    let all = open.values.sorted { $0.position < $1.position }
    let end = all.dropFirst(Self.snapshotCountMax).first.map { $0.position - 1 } ?? .max
    let place = min(through.rawValue, end)
    return Snapshot(
      through: place, audience: audience, deadlineMicroseconds: settings.deadline.wholeMicroseconds,
      open: all.filter { $0.position <= place }, early: early)
  }

  /// Takes up the open alerts of a snapshot that is of this node. Nothing was observed before.
  public mutating func restore(_ snapshot: Snapshot) {
    early = snapshot.early
    // Who was moved away takes what is open along.
    for var alert in snapshot.open where audience.agents.contains(alert.agent) {
      alert.sendAt = alert.statedAt
      for escalation in alert.escalations { escalated[escalation.id] = alert.id }
      keep(alert)
    }
  }
}

/// Answers that came before their alerts' commits, the oldest first; bounded, the oldest is forgotten.
private struct EarlyAnswers: Sendable, Codable {
  struct Answer: Sendable, Codable {
    var alert: EventID
    var agent: AgentID
  }

  static let countMax = 1024
  private var answers: [Answer] = []

  mutating func add(_ alert: EventID, _ agent: AgentID) {
    if answers.count >= Self.countMax { answers.removeFirst() }
    answers.append(Answer(alert: alert, agent: agent))
  }

  mutating func take(_ alert: EventID) -> [AgentID] {
    guard !answers.isEmpty else { return [] }
    let agents = answers.filter { $0.alert == alert }.map(\.agent)
    if !agents.isEmpty { answers.removeAll { $0.alert == alert } }
    return agents
  }
}
