import HyphaCore
import HyphaLog
import HyphaTopology

@testable import HyphaKinds
@testable import HyphaRuntime

/// Checks what the agents of a finished run have made of what they got: each effect once, states that equal
/// what the logs say.
struct WorkChecker {
  private let run: ScenarioRun
  private let topology: Topology
  private(set) var violations: [String] = []

  init(_ run: ScenarioRun) {
    self.run = run
    topology = run.topology
    for agent in topology.agents {
      guard let log = run.logs[agent.node] else { continue }
      // Who was moved has brought along what it had stated.
      let stated = log.entries.filter {
        $0.record.header.agent == agent.id && run.statedIDs.contains($0.record.header.id)
      }.sorted { $0.record.point < $1.record.point }
      do {
        switch agent.kind {
        case "generator": try checkGenerator(agent, stated.map(\.record), log)
        case "recorder": try checkRecorder(agent, log)
        case "watcher": try checkWatcher(agent, stated.map(\.record), log)
        case "trace": try checkTrace(agent, stated.map(\.record), log)
        default: break
        }
      } catch {
        violations.append("snapshot: \(agent.id): \(error)")
      }
    }
    checkRecording()
  }

  private mutating func fail(_ invariant: String, _ text: String) {
    violations.append("\(invariant): \(text)")
  }

  private func state<State: Decodable>(_ type: State.Type, of agent: AgentSpec, _ log: LoggedNode) throws
    -> State?
  {
    try log.snapshots[agent.id].map { try JSON.decode(State.self, from: AgentSnapshot(decoding: $0).state) }
  }

  /// What the log has for an agent, and of that what its subscriptions cover.
  private func inputs(of agent: AgentSpec, _ log: LoggedNode) -> [Record] {
    log.entries.map(\.record).filter { record in
      let header = record.header
      if let addressee = header.addressee { return addressee == agent.id }
      return header.agent != agent.id
        && agent.subscribes.contains { $0.type == header.type && $0.subjects.matches(header.subject) }
    }
  }

  // MARK: atomic-turn

  /// Entries are published once each, in order, whatever crashed; alarms at least once.
  private mutating func checkGenerator(_ agent: AgentSpec, _ stated: [Record], _ log: LoggedNode) throws {
    guard case .object(let settings) = agent.settings, case .integer(let count)? = settings["count"] else {
      return
    }
    let entries = try stated.filter { $0.header.type == Entry.eventType }.map { try Entry.decode($0) }
    let alarms = try stated.filter { $0.header.type == Alarm.eventType }.map { try Alarm.decode($0) }
    let next = try state(Generator.State.self, of: agent, log)?.next ?? 0
    if !entries.isEmpty || settings["event"] == .string("entry") {
      if entries.map(\.index) != Array(0..<count) || next != count {
        fail("atomic-turn", "\(agent.id) has stated \(entries.count) entries of \(count), and counts \(next)")
      }
    }
    if settings["event"] == .string("alarm") {
      if Set(alarms.map(\.index)) != Set(0..<count) || next != count {
        fail(
          "alert-before-state", "\(agent.id) counts \(next) alarms, its log has \(alarms.count) of \(count)")
      }
      let values = Dictionary(grouping: alarms, by: \.index)
      if values.values.contains(where: { Set($0.map(\.value)).count != 1 }) {
        fail("replay", "\(agent.id) draws other values after a restart")
      }
    }
  }

  private mutating func checkRecorder(_ agent: AgentSpec, _ log: LoggedNode) throws {
    var (count, sum) = (Int64(0), Int64(0))
    // What a node takes others for is for those who are there at the time.
    var judgedCount: Int64 = 0
    let isMoved = run.moves.newest(of: agent.id) != nil
    for record in inputs(of: agent, log) {
      switch record.header.type {
      case Entry.eventType: sum += try Entry.decode(record).value
      case Alarm.eventType: sum += try Alarm.decode(record).value
      case HandlerFailed.eventType, AgentActivated.eventType: break
      case NodeSuspected.eventType, NodeDown.eventType, NodeReturned.eventType:
        if isMoved { continue }
      default: continue
      }
      count += 1
    }
    let state = try state(Recorder.State.self, of: agent, log) ?? Recorder.State()
    if isMoved {
      for log in run.logs.values {
        judgedCount += Int64(inputs(of: agent, log).count { MembershipEvents.all.contains($0.type) })
      }
    }
    if !(count...count + judgedCount).contains(state.count) || state.sum != sum {
      fail(
        "persistent-once", "\(agent.id) recorded \(state.count) (\(state.sum)), its log has \(count) (\(sum))"
      )
    }
  }

  /// Each input has either all effects of its handler, once, or none; and the note of each time that it failed. Who fails
  /// for good is put aside, once.
  private mutating func checkWatcher(_ agent: AgentSpec, _ stated: [Record], _ log: LoggedNode) throws {
    let effects = Dictionary(grouping: stated, by: \.header.causation)
    var handled: UInt64 = 0
    for input in inputs(of: agent, log) {
      let header = input.header
      let made = effects[header.id] ?? []
      func count(_ type: EventTypeName) -> Int { made.filter { $0.header.type == type }.count }
      // An answer to one of its own alerts is the bus's.
      if header.type == AlertAcknowledged.eventType { continue }
      let isFailing = Watcher.fails(on: header.id, oneIn: run.scenario.failOneIn)
      let attemptMax = topology.supervision(of: agent.id).retry.attemptCountMax
      let isRetried = header.channel == .persistent
      let isMended = isFailing && isRetried && attemptMax > 1 && Watcher.failsOnce(on: header.id)
      let fails = isFailing && !isMended
      let failureCount = !isFailing ? 0 : isMended || !isRetried ? 1 : attemptMax
      if !fails { handled += 1 }
      let echoes = !fails && (header.type == Entry.eventType || header.type == Alarm.eventType)
      if count(Echo.eventType) != (echoes ? 1 : 0) || count(HandlerFailed.eventType) != failureCount {
        fail(
          "atomic-turn",
          "\(agent.id) has \(count(Echo.eventType)) echoes and \(count(HandlerFailed.eventType)) failures for "
            + "\(header.type) \(header.id), which fails: \(fails) after \(failureCount)")
      }
      if count(EventDeadLettered.eventType) != (fails && isRetried ? 1 : 0) {
        fail("retried-then-set-aside", "\(agent.id) has set \(header.type) \(header.id) aside, or not")
      }
      let isReminded = !fails && header.type == Entry.eventType && Watcher.reminderDelay(of: header.id) != nil
      if count(Reminder.eventType) != (isReminded ? 1 : 0) {
        fail(
          "timer-fires-once", "\(agent.id) was reminded \(count(Reminder.eventType)) times of \(header.id)")
      }
      if header.type == Alarm.eventType && count(Bell.eventType) == 0 {
        fail("alert-before-state", "\(agent.id) rang no bell for \(header.id), which it has handled")
      }
    }
    let state = try state(Watcher.State.self, of: agent, log)?.handled ?? 0
    if state != handled { fail("atomic-turn", "\(agent.id) counts \(state) events, its log \(handled)") }
  }

  // MARK: The recording

  private mutating func checkTrace(_ agent: AgentSpec, _ stated: [Record], _ log: LoggedNode) throws {
    guard let state = try state(Trace.State.self, of: agent, log) else {
      return fail("trace", "\(agent.id) has no state")
    }
    let recording = run.scenario.recording
    let got = recording.filter { $0.to == agent.id }.count
    let made = recording.filter { $0.from == agent.id }.count
    if state.doubled != 0 || state.disordered != 0 || state.strange != 0 {
      fail("trace-once", "\(agent.id): \(state.doubled), \(state.disordered), \(state.strange)")
    }
    if state.gotCount != Int64(got) || state.made != made {
      fail("trace-complete", "\(agent.id) got \(state.gotCount) of \(got), made \(state.made) of \(made)")
    }
  }

  /// Every hand-over was made once, by whom and to whom it was recorded.
  private mutating func checkRecording() {
    var made: [(index: Int, from: AgentID, to: AgentID?)] = []
    for log in run.logs.values {
      for entry in log.entries where entry.source == .stated {
        guard entry.record.header.type == HandedOver.eventType,
          let event = try? HandedOver.decode(entry.record)
        else { continue }
        made.append((event.index, entry.record.header.agent, entry.record.header.addressee))
      }
    }
    made.sort { $0.index < $1.index }
    let isSame =
      made.count == run.scenario.recording.count
      && zip(made, run.scenario.recording.enumerated()).allSatisfy { made, recorded in
        made.index == recorded.offset && made.from == recorded.element.from && made.to == recorded.element.to
      }
    if !isSame {
      fail("trace-complete", "\(made.count) hand-overs of \(run.scenario.recording.count) were made")
    }
  }
}
