import HyphaCore
import HyphaLog
import HyphaTopology

/// One agent that is run again, whatever its kind.
protocol AgentRerunning: AnyObject {
  /// Takes the next entry of the log that the agent has stated, and makes the calls again that are known by it.
  func take(_ entry: LogEntry) async throws -> [RerunOutcome]
  /// Makes the calls again that stated nothing, at the end of the log.
  func end() async throws -> [RerunOutcome]
  /// Lets the agent come to its end.
  func stop() async
  var report: RerunSummary.Agent { get }
  /// Where it begins.
  var begin: RerunBegin { get }
  /// The epochs of the agent that it runs again.
  var epochs: ClosedRange<UInt64> { get }
  /// The newest event of each lane that the agent has stated now.
  var lanes: [Lane: LanePoint] { get }
}

/// Makes an agent's calls again, in the order and with what they took when they were recorded.
///
/// The log is read once, entry by entry. What the agent stated says how far it had come: all persistent events before the cause of a
/// plain output were handled, in the order of the log; an ``Observed`` says of all other calls where among these they belong.
final class AgentRerun<Kind: Agent>: AgentRerunning {
  private let log: any LogReader
  private let spec: AgentSpec
  private let host: RerunHost
  private let entries: [EventTypeName: Handlers<Kind>.Entry]
  let begin: RerunBegin
  private let limits: WireLimits
  private let keepsStates: Bool

  private var agent = Kind()
  private var inputs: RerunInputs
  /// Whether an actor has begun to work.
  private var hasWorked = false
  /// Whether the agent was activated and its start has not been made again.
  private var isStartOpen = false
  /// Whether the first call from the snapshot on is to come.
  private var isBeforeBegin: Bool
  private var timers = DueTable<Agenda.Timer>()
  /// Where the log's beginning was pruned, the timers that were set since, by the record.
  private var recordedTimers: Set<EventID> = []
  /// Alerts that no call has claimed yet.
  private var alerts: [Record] = []
  /// Outputs in a row of one cause, of a call that is not recorded.
  private var plain: [LogEntry] = []
  /// What is being read of a commit with recorded calls.
  private var group: (left: Int, calls: [ObservedCall], records: [Record])?
  /// Where the record of calls stands that are made again, where events that they stated do, and where the agent began to work.
  private var recordPlace: StateStep.Place?
  private var outputPlaces: [EventID: StateStep.Place] = [:]
  private var activation: StateStep.Place?
  /// Where the newest call left its state.
  private var place: StateStep.Place
  private var outbox: Outbox
  private(set) var lanes: [Lane: LanePoint] = [:]
  /// The agent's stay on the node before this one.
  private let former: (any AgentRerunning)?
  private var newest = Timestamp.zero
  private(set) var report: RerunSummary.Agent

  init(
    _ kind: Kind.Type, _ spec: AgentSpec, _ begin: RerunBegin, in log: any LogReader,
    behind former: (any AgentRerunning)?, declarations: Declarations,
    handlerDeadline: Duration, limits: WireLimits, keepsStates: Bool
  ) {
    self.log = log
    self.spec = spec
    self.begin = begin
    self.former = former
    self.limits = limits
    self.keepsStates = keepsStates
    host = RerunHost(declarations, handlerDeadline: handlerDeadline)
    let entries = kind.handles.entries(for: declarations.takenTypes)
    self.entries = entries
    let (stay, author) = (begin.stay, log.identity.node.author)
    inputs = RerunInputs(of: spec.id, log, after: begin.after, through: begin.handled) { record, position in
      declarations.takes(record)
        && declarations.wants(record.agent, record.addressee, record.type, record.subject)
        && stay.has(record, at: position, author: author)
    } isHandled: {
      entries[$0] != nil
    }
    for timer in begin.brought?.timers ?? begin.timers ?? [] { timers.insert(timer) }
    place = begin.checkpoint?.since ?? StateStep.Place(position: .start, time: .zero)
    isBeforeBegin = begin.snapshot != nil
    outbox = Outbox(agent: spec.id, epoch: 1, lanes: [:], policyVersion: 1)
    report = RerunSummary.Agent(agent: spec.id, kind: kind.kind)
    report.from = begin.checkpoint?.position ?? max(begin.after, stay.arrival?.position ?? .start)
  }

  var epochs: ClosedRange<UInt64> { begin.stay.epochs }

  // MARK: Reading

  func take(_ entry: LogEntry) async throws -> [RerunOutcome] {
    let record = entry.record
    newest = max(newest, record.time)
    if let checkpoint = begin.checkpoint, entry.position <= checkpoint.position {
      // What it began with covers this.
      isStartOpen = entry.position == checkpoint.position && !checkpoint.hasBegun
      outbox = Outbox(agent: spec.id, epoch: record.epoch, lanes: lanes, policyVersion: 1)
      return []
    }
    // What a prune has left before that belongs to nothing that is run again.
    if begin.checkpoint == nil, entry.position <= begin.after { return [] }
    if record.channel == .persistent { report.ownCount += 1 }
    if let point = begin.snapshot?.point, record.channel == .persistent, record.point <= point { return [] }
    if record.channel == .alert {
      if !SystemEvents.all.contains(record.type) { alerts.append(record) }
      return []
    }
    if group != nil { return try await add(entry) }
    switch record.type {
    case AgentActivated.eventType:
      var outcomes = try await flush()
      outcomes += try await endLife(before: AgentActivated.decode(record))
      isStartOpen = true
      activation = entry.place
      if let former, lanes.isEmpty { lanes = former.lanes }
      outbox = Outbox(agent: spec.id, epoch: record.epoch, lanes: lanes, policyVersion: 1)
      return outcomes
    case Observed.eventType:
      var outcomes = try await flush()
      let observed = try Observed.decode(record)
      group = (observed.left, try observed.callsWithValues(), [])
      recordPlace = entry.place
      if observed.left == 0 { outcomes += try await runGroup(before: entry.position) }
      return outcomes
    case let type where SystemEvents.all.contains(type): return []
    default:
      let outcomes =
        plain.last.map { $0.record.causation != record.causation } ?? false ? try await flush() : []
      plain.append(entry)
      outputPlaces[record.id] = entry.place
      return outcomes
    }
  }

  func end() async throws -> [RerunOutcome] {
    var outcomes = try await flush()
    // The start of an agent that has committed something, and of which nothing need be known.
    if isStartOpen, begin.handled > .start || begin.stateAtEnd != nil { outcomes += try await startIfOpen() }
    // Where no call is known since the snapshot, what was handled before it and what behind it is not told apart.
    if isBeforeBegin { try begin(at: begin.handled.next) }
    var none: [EventID: [Record]] = [:]
    outcomes += try await runPlain(through: begin.handled, &none)
    // One that has done nothing since has the state that it began with.
    if begin.checkpoint != nil { outcomes += try await startIfOpen() }
    report.cutOffCount += alerts.count
    if let difference = try await stateDifference() {
      outcomes.append(
        RerunOutcome(
          agent: spec.id, call: nil, input: nil, position: nil, attempt: 1, recorded: [], stated: [],
          differences: [difference]))
      report.differenceCount += 1
    }
    return outcomes
  }

  func stop() async {
    host.stop()
    guard hasWorked else { return }
    let turn = Turn(host: host, input: nil, began: newest)
    _ = turn.end()
    await agent.end(in: Context(turn: turn))
  }

  private func add(_ entry: LogEntry) async throws -> [RerunOutcome] {
    let record = entry.record
    if record.type == Observed.eventType {
      group?.calls += try Observed.decode(record).callsWithValues()
    } else if !SystemEvents.all.contains(record.type) {
      group?.records.append(record)
      outputPlaces[record.id] = entry.place
    }
    group?.left -= 1
    return group?.left == 0 ? try await runGroup(before: entry.position) : []
  }

  // MARK: Which calls

  /// Makes all calls of a commit again.
  private func runGroup(before limit: Position) async throws -> [RerunOutcome] {
    guard let group else { return [] }
    self.group = nil
    defer { outputPlaces = [:] }
    var free = (group.records + alerts).sorted { $0.time < $1.time }
    var claims: [[Record]] = []
    for call in group.calls {
      guard let outputs = call.outputs,
        let first = free.firstIndex(where: { $0.time.rawValue >= outputs.first })
      else {
        claims.append([])
        continue
      }
      let claimed = first..<min(free.count, first + max(0, outputs.count))
      claims.append(Array(free[claimed]))
      free.removeSubrange(claimed)
    }
    // Alerts of calls that were never committed were sent all the same; nothing is known of those calls.
    let last = max(group.records.last?.time ?? .zero, claims.last?.last?.time ?? .zero)
    alerts = free.filter { $0.channel == .alert && $0.time > last }
    report.cutOffCount += free.count { $0.channel == .alert && $0.time <= last }
    var byCause: [EventID: [Record]] = [:]
    for record in free where record.channel == .persistent {
      byCause[record.causation, default: []].append(record)
    }
    var outcomes: [RerunOutcome] = []
    for (call, claimed) in zip(group.calls, claims) {
      outcomes += try await run(call, claimed, &byCause)
    }
    return outcomes + (try await runPlain(&byCause, in: free, before: limit))
  }

  /// Makes the call again that has stated what was read last.
  private func flush() async throws -> [RerunOutcome] {
    guard let last = plain.last else { return [] }
    let records = plain.map(\.record)
    plain = []
    defer { outputPlaces = [:] }
    var byCause = [last.record.causation: records]
    return try await runPlain(&byCause, in: records, before: last.position)
  }

  /// Makes the calls again that are not recorded and that were done before an actor began, by the one before it.
  private func endLife(before activated: AgentActivated) async throws -> [RerunOutcome] {
    guard let handled = activated.handledThrough, activation != nil || begin.checkpoint != nil, !isBeforeBegin
    else { return [] }
    var none: [EventID: [Record]] = [:]
    return try await runPlain(through: Position(rawValue: handled), &none)
  }

  /// Makes the calls again by whose outputs they are known.
  private func runPlain(_ byCause: inout [EventID: [Record]], in records: [Record], before limit: Position)
    async throws -> [RerunOutcome]
  {
    var outcomes: [RerunOutcome] = []
    for record in records {
      guard let outputs = byCause[record.causation] else { continue }
      if isBeforeBegin, let input = try log.entry(withID: record.causation) { try begin(at: input.position) }
      if let position = try inputs.position(of: record.causation, before: limit) {
        outcomes += try await runPlain(through: position, &byCause)
      } else {
        byCause[record.causation] = nil
        report.unclaimedCount += outputs.count
      }
    }
    return outcomes
  }

  /// Makes the calls again that are not recorded, up to a position.
  private func runPlain(through last: Position, _ byCause: inout [EventID: [Record]]) async throws
    -> [RerunOutcome]
  {
    var outcomes: [RerunOutcome] = []
    while let entry = try inputs.next(through: last) {
      guard let handler = entries[entry.record.type] else { continue }
      var call = ObservedCall(.event)
      call.at = entry.position.rawValue
      let outputs = byCause.removeValue(forKey: entry.record.id) ?? []
      outcomes += try await startIfOpen()
      outcomes.append(
        try await make(
          .handle(handler, entry.record, attempt: 1), call, outputs, at: entry.appendedAt,
          place: entry.place))
    }
    return outcomes
  }

  /// Makes a recorded call again, and before it those that are not recorded.
  private func run(_ call: ObservedCall, _ outputs: [Record], _ byCause: inout [EventID: [Record]])
    async throws -> [RerunOutcome]
  {
    let isFirst = call.kind == .event && call.after == nil
    let before = Position(rawValue: isFirst ? (call.at ?? 1) - 1 : call.after ?? 0)
    if isBeforeBegin { try begin(at: before.next) }
    // What was handled before a start was handled by the actor before.
    if call.kind == .start { isStartOpen = false }
    var outcomes = try await runPlain(through: before, &byCause)
    switch call.kind {
    case .start:
      outcomes += try await start(call, outputs, place: recordPlace)
      return outcomes
    case .wake where Kind.reachesOutside:
      // What wakes it is outside of the bus, and comes when it comes.
      return outcomes
    default: outcomes += try await startIfOpen()
    }
    let at = Position(rawValue: call.at ?? 0)
    let entry = call.kind == .event ? try log.entry(at: at) : nil
    if isFirst { try inputs.skip(through: at) }
    if call.kind == .timer { return try outcomes + fire(call, outputs) }
    guard let made = try rerunCall(call, entry), call.isCut != true else {
      report.skippedCount += 1
      return outcomes
    }
    outcomes.append(try await make(made, call, outputs, at: entry?.appendedAt, place: recordPlace))
    return outcomes
  }

  private func rerunCall(_ call: ObservedCall, _ entry: LogEntry?) throws -> RerunCall<Kind>? {
    switch call.kind {
    case .start: return .start
    case .wake: return .wake
    case .timer: return nil
    case .event, .realtime:
      guard let record = try entry?.record ?? call.input?.record(), let handler = entries[record.type] else {
        return nil
      }
      return .handle(handler, record, attempt: call.attempt ?? 1)
    case .question:
      guard let record = try call.input?.record(), case let asked = try Asked.decode(record),
        let entry = Kind.handles.answer(to: asked.type)
      else { return nil }
      let frame = AskedFrame(key: asked.key, path: asked.path, dueAt: Timestamp(rawValue: call.dueAt ?? .max))
      return .answer(entry, record, asked, frame)
    }
  }

  // MARK: Starting

  private func startIfOpen() async throws -> [RerunOutcome] {
    guard isStartOpen || !hasWorked else { return [] }
    // What a start before the log's begin has stated is not known.
    let isUnknown = !isStartOpen && begin.after > .start
    return try await start(
      ObservedCall(.start), [], isUnknown: isUnknown, place: isStartOpen ? activation : nil)
  }

  /// Lets a new actor begin, with the state of the one before.
  private func start(
    _ call: ObservedCall, _ outputs: [Record], isUnknown: Bool = false, place: StateStep.Place?
  ) async throws -> [RerunOutcome] {
    isStartOpen = false
    if hasWorked {
      await stop()
      let state = await agent.state
      agent = Kind()
      await Self.set(state, on: agent)
    } else if let state = begin.brought?.state {
      await Self.set(try JSON.decode(Kind.State.self, from: state), on: agent)
    } else if let checkpoint = begin.checkpoint {
      await Self.set(try JSON.decode(Kind.State.self, from: checkpoint.state), on: agent)
    } else if let snapshot = begin.snapshot {
      await Self.set(try JSON.decode(Kind.State.self, from: snapshot.state), on: agent)
    }
    hasWorked = true
    guard isUnknown else { return [try await make(.start, call, outputs, at: nil, place: place)] }
    // What it did is in what it begins with; it is called for what the actor keeps beside its state.
    let (state, report, timers) = (await agent.state, report, timers)
    let (outbox, lanes) = (outbox, lanes)
    _ = try await make(.start, call, outputs, at: nil, place: place)
    (self.report, self.timers, self.outbox, self.lanes) = (report, timers, outbox, lanes)
    await Self.set(state, on: agent)
    return []
  }

  private static func set(_ state: Kind.State, on agent: isolated Kind) { agent.state = state }

  /// What stands before the first call that is known was handled before the snapshot.
  private func begin(at first: Position) throws {
    isBeforeBegin = false
    try inputs.skip(through: Position(rawValue: first.rawValue - 1))
  }

  // MARK: Making a call

  private func make(
    _ call: RerunCall<Kind>, _ observed: ObservedCall, _ outputs: [Record], at time: Timestamp?,
    place: StateStep.Place?
  ) async throws -> RerunOutcome {
    let began = observed.now.map { Timestamp(rawValue: $0) } ?? outputs.first?.time ?? time ?? newest
    let input = call.input
    host.begin(
      observed, recorded: outputs.map { ($0.id, $0.time) }, at: began,
      seed: input?.id ?? EventID(time: began, random: 0))
    let result = await call.perform(on: agent, host, began: began, timers: timers)
    timers.apply(result.timers)
    let stated = try state(
      result.threw == nil ? result.drafts : result.drafts.filter { $0.channel == .alert })
    var differences = RerunDifference.between(outputs, stated)
    if result.threw != observed.threw {
      differences.append(.threw(recorded: observed.threw, now: result.threw))
    }
    // What a call that throws has set is forgotten.
    if begin.after > .start, begin.timers == nil {
      recordedTimers.formUnion((observed.timers ?? []).lazy.map(\.id))
    }
    let delays = observed.threw == nil ? observed.timers?.map(\.after) ?? [] : []
    if result.delays != delays { differences.append(.timers(recorded: delays, now: result.delays)) }
    differences += result.unrecorded.map { .took($0) }
    var outcome = RerunOutcome(
      agent: spec.id, call: observed.kind, input: input?.header,
      position: observed.at.map { Position(rawValue: $0) }, attempt: observed.attempt ?? 1,
      recorded: outputs,
      stated: stated, differences: differences)
    if keepsStates {
      outcome.after = await state(at: outputs.lazy.compactMap { self.outputPlaces[$0.id] }.first ?? place)
    }
    return note(outcome)
  }

  /// The agent's state now. A call counts from the first event on that it stated, one that stated none from its record on, and one
  /// that has left nothing in the log from its event on; none counts before the one that came before it.
  private func state(at place: StateStep.Place?) async -> RerunOutcome.StateAfter {
    if let place {
      self.place.position = max(self.place.position, place.position)
      self.place.time = max(self.place.time, place.time)
    }
    return .init(place: self.place, state: StateStep.encoder(of: await agent.state))
  }

  /// Lets a timer state its event.
  private func fire(_ call: ObservedCall, _ outputs: [Record]) throws -> [RerunOutcome] {
    guard let recorded = outputs.first, let id = call.timers?.first?.id else {
      report.skippedCount += 1
      return []
    }
    var stated: [Record] = []
    if let timer = timers.remove(id) ?? setBefore(id, recorded) {
      stated = try state([Draft(firing: timer, to: spec.id, (recorded.id, recorded.time))])
    }
    let isSame = stated.first.map { RerunDifference.between([recorded], [$0]).isEmpty } ?? false
    return [
      note(
        RerunOutcome(
          agent: spec.id, call: .timer, input: nil, position: nil, attempt: 1, recorded: outputs,
          stated: stated,
          differences: isSame ? [] : [.timerFired(recorded)]))
    ]
  }

  /// A timer that was set before what was pruned: all that is known of it is what it came to.
  private func setBefore(_ id: EventID, _ recorded: Record) -> Agenda.Timer? {
    guard begin.after > .start, begin.timers == nil, recordedTimers.remove(id) == nil else { return nil }
    let header = recorded.header
    return Agenda.Timer(
      id: id, dueAt: header.time, type: header.type, schemaVersion: header.schemaVersion,
      subject: header.subject, contentType: header.contentType, causation: header.causation,
      correlation: header.correlation, payload: Array(recorded.payload))
  }

  private func note(_ outcome: RerunOutcome) -> RerunOutcome {
    report.callCount += 1
    report.recordedCount += outcome.recorded.count
    report.statedCount += outcome.stated.count
    report.differenceCount += outcome.differences.count
    return outcome
  }

  /// Gives what is stated now its places in the agent's streams.
  private func state(_ drafts: [Draft]) throws -> [Record] {
    guard !drafts.isEmpty else { return [] }
    let records = try outbox.records(of: drafts, limits: limits)
    for record in records { lanes[record.lane] = record.point }
    return records
  }

  // MARK: The end

  private func stateDifference() async throws -> RerunDifference? {
    report.inputCount = inputs.count
    // An agent that has handled nothing has the state that it was made with.
    if !hasWorked, !begin.hasSaved { report.isStateKnown = true }
    guard hasWorked, report.differenceCount == 0, Kind.State.self != Stateless.self, !Kind.evolves.isUsed,
      let recorded = begin.stateAtEnd
    else { return nil }
    report.isStateKnown = true
    let now = String(decoding: try JSON.encode(await agent.state), as: UTF8.self)
    let then = String(decoding: recorded, as: UTF8.self)
    return now == then ? nil : .state(recorded: then, now: now)
  }
}

extension LogEntry {
  fileprivate var place: StateStep.Place { .init(position: position, time: record.time) }
}
