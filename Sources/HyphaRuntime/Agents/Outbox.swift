import HyphaCore
import HyphaTopology
import HyphaTransport

/// Numbers what one agent publishes, its sequence in each stream and its back-pointer in each lane, and encodes it.
///
/// A plain value with one writer. It starts from the heads that the log has, in an epoch of its own.
struct Outbox: Sendable {
  let agent: AgentID
  let epoch: UInt64
  /// The agent's epoch before this one, 0 where it has none.
  let previousEpoch: UInt64
  /// On whose authority the agent publishes.
  let principal: Authority
  /// The newest sequence on each channel.
  private var sequences = [UInt64](repeating: 0, count: Channel.allCases.count)
  /// The newest event of each lane, by the lane's slot.
  private var points: [LanePoint] = []
  /// The newest run of each realtime lane, by the lane's slot; only to this one may more be added.
  private var runs: [OutboundRun?] = []
  private var slots: [Lane: Int] = [:]
  private var templates: [TemplateKey: Template] = [:]
  private var recent: Template?
  /// Where payloads of realtime events are encoded, again and again.
  var scratch: [UInt8] = []
  /// The realtime lanes that were used.
  private var realtime: [RealtimeLane.Key: RealtimeLane] = [:]
  private var recentRealtime: RealtimeLane?
  /// What limits its realtime events; nil for nothing.
  private var bucket: TokenBucket?

  /// What is encoded once for all events of one type, addressee and subject.
  private final class Template: Sendable {
    let key: TemplateKey
    let record: RecordTemplate
    let slot: Int

    init(_ key: TemplateKey, _ record: RecordTemplate, slot: Int) {
      self.key = key
      self.record = record
      self.slot = slot
    }
  }

  private struct TemplateKey: Hashable {
    let channel: Channel
    let addressee: AgentID?
    let type: EventTypeName
    let schemaVersion: UInt16
    let subject: Subject
    let contentType: ContentType
    let authority: Authority?
  }

  /// The most templates that are kept; a new one beyond that has all forgotten.
  private static let templateCountMax = 256

  init(
    agent: AgentID, epoch: UInt64, after previousEpoch: UInt64 = 0, lanes: [Lane: LanePoint],
    policyVersion: UInt32, limit: RealtimeLimit? = nil, committed: [String: UInt64] = [:]
  ) {
    self.agent = agent
    self.epoch = epoch
    self.previousEpoch = previousEpoch
    principal = Authority(principal: agent, grant: "topology", policyVersion: policyVersion)
    for (lane, point) in lanes {
      slots[lane] = points.count
      points.append(point)
    }
    for channel in Channel.allCases {
      sequences[Int(channel.rawValue)] = committed[channel.description] ?? 0
    }
    runs = [OutboundRun?](repeating: nil, count: points.count)
    bucket = limit.map { TokenBucket($0) }
  }

  /// Whether one more realtime event may leave now, by the machine's clock.
  mutating func mayPublish(_ time: any TimeSource) -> Bool {
    guard bucket != nil else { return true }
    return bucket?.take(now: .microseconds(Int64(clamping: time.microseconds()))) ?? true
  }

  /// Where the stream of a channel ends.
  func end(of channel: Channel) -> LanePoint {
    LanePoint(epoch: epoch, sequence: sequences[Int(channel.rawValue)])
  }

  /// Gives an event its place; the next one of its lane will point back to it.
  mutating func number(_ draft: Draft) -> RecordHeader {
    let slot = slot(of: draft.lane(of: agent))
    let (sequence, previous) = next(on: draft.channel, slot: slot)
    return header(of: draft, sequence: sequence, previous: previous)
  }

  private func header(of draft: Draft, sequence: UInt64, previous: LanePoint) -> RecordHeader {
    RecordHeader(
      id: draft.id, time: draft.time, channel: draft.channel, agent: agent, epoch: epoch,
      sequence: sequence, previous: previous, addressee: draft.addressee, type: draft.type,
      schemaVersion: draft.schemaVersion, subject: draft.subject, contentType: draft.contentType,
      causation: draft.causation, correlation: draft.correlation,
      authority: draft.authority ?? principal)
  }

  /// The slot of a lane, which stays the same.
  mutating func slot(of lane: Lane) -> Int {
    if let slot = slots[lane] { return slot }
    slots[lane] = points.count
    points.append(.start)
    runs.append(nil)
    return points.count - 1
  }

  /// The realtime lane of events of a type to an addressee, where it was used.
  mutating func realtimeLane(_ key: RealtimeLane.Key) -> RealtimeLane? {
    if let recentRealtime, recentRealtime.key == key { return recentRealtime }
    recentRealtime = realtime[key]
    return recentRealtime
  }

  mutating func add(_ lane: RealtimeLane) {
    realtime[lane.key] = lane
    recentRealtime = lane
  }

  /// The run that events of `lane` may still be added to: not where events of another type have followed on the same
  /// lane of the wire, which would be overtaken.
  func openRun(of lane: RealtimeLane) -> OutboundRun? {
    guard let run = lane.run, runs[lane.slot] === run else { return nil }
    return run
  }

  /// Begins a run, which is the newest of its lane then.
  mutating func begin(_ run: OutboundRun, of lane: RealtimeLane) {
    lane.run = run
    runs[lane.slot] = run
  }

  /// The next place in a channel's stream and in a lane.
  mutating func next(on channel: Channel, slot: Int) -> (sequence: UInt64, previous: LanePoint) {
    let place = Int(channel.rawValue)
    sequences[place] += 1
    let previous = points[slot]
    points[slot] = LanePoint(epoch: epoch, sequence: sequences[place])
    return (sequences[place], previous)
  }

  /// Gives events their places, in order, and encodes them into one piece of memory.
  ///
  /// - Throws: what encoding throws; the outbox is not to be used any more then.
  mutating func records(of drafts: [Draft], limits: WireLimits) throws -> [Record] {
    var builder = RecordBatchBuilder(
      recordCount: drafts.count, byteCount: drafts.reduce(0) { $0 + $1.payload.count + Self.frontByteCount })
    for draft in drafts {
      let template = try template(of: draft, limits: limits)
      let (sequence, previous) = next(on: draft.channel, slot: template.slot)
      let numbers = RecordTemplate.Numbers(
        id: draft.id, time: draft.time, sequence: sequence, previous: previous, causation: draft.causation,
        correlation: draft.correlation)
      try draft.payload.withUnsafeBytes { try builder.append(template.record, numbers, payload: $0) }
    }
    return builder.records()
  }

  /// What a record has besides its payload, about.
  private static let frontByteCount = 224

  private mutating func template(of draft: Draft, limits: WireLimits) throws -> Template {
    let key = TemplateKey(
      channel: draft.channel, addressee: draft.addressee, type: draft.type,
      schemaVersion: draft.schemaVersion, subject: draft.subject, contentType: draft.contentType,
      authority: draft.authority)
    if let recent, recent.key == key { return recent }
    if let known = templates[key] {
      recent = known
      return known
    }
    if templates.count >= Self.templateCountMax { templates = [:] }
    let slot = slot(of: draft.lane(of: agent))
    let header = header(of: draft, sequence: 1, previous: .start)
    let template = Template(key, try RecordTemplate(header, limits: limits), slot: slot)
    templates[key] = template
    recent = template
    return template
  }

  /// A template of the records of one subject of a realtime lane.
  func template(
    of lane: RealtimeLane, subject: Subject, to addressee: AgentID?, limits: WireLimits
  ) throws -> RecordTemplate {
    try RecordTemplate(
      RecordHeader(
        id: .none, time: .zero, channel: .realtime, agent: agent, epoch: epoch, sequence: 1, previous: .start,
        addressee: addressee, type: lane.type, schemaVersion: lane.schemaVersion, subject: subject,
        contentType: lane.contentType, correlation: .none, authority: principal), limits: limits)
  }
}

/// An event that was published and has no place in a stream yet.
struct Draft: Sendable {
  /// The value; nil where only its payload is at hand.
  var event: (any Event)?
  var addressee: AgentID?
  var id: EventID
  var time: Timestamp
  var channel: Channel
  var type: EventTypeName
  var schemaVersion: UInt16
  var subject: Subject
  var contentType: ContentType
  var causation: EventID
  var correlation: EventID
  /// How soon an alert is to be answered; nil means the deployment's deadline.
  var within: Duration?
  /// How durable it is to be before it leaves; nil means what the topology file says of the node.
  var durability: Durability?
  /// On whose authority, where that is not the agent's own.
  var authority: Authority?
  /// The encoded payload.
  var payload: [UInt8]

  /// The lane that the event travels in.
  func lane(of agent: AgentID) -> Lane {
    Lane(agent: agent, channel: channel, target: addressee.map(LaneTarget.addressee) ?? .type(type))
  }
}
