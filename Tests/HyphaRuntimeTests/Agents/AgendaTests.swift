import HyphaCore
import HyphaLog
import Testing

@testable import HyphaRuntime

/// What an agent has before it, and what the log keeps of an agent.
@Suite struct AgendaTests {
  private func time(_ second: UInt64) -> Timestamp { Timestamp(microseconds: second * 1_000_000) }

  private func retry(_ number: UInt64, at second: UInt64) -> Agenda.Retry {
    .init(
      id: EventID(high: 1, low: number), dueAt: time(second), position: Position(rawValue: number), attempt: 2
    )
  }

  private func timer(_ number: UInt64, at second: UInt64, payload: String = "{}") -> Agenda.Timer {
    .init(
      id: EventID(high: 2, low: number), dueAt: time(second), type: "test.Reminder", schemaVersion: 3,
      subject: "a.b", contentType: .json, causation: EventID(high: 9, low: 8),
      correlation: EventID(high: 7, low: 6), payload: Array(payload.utf8))
  }

  @Test func `what is due first comes first, and nothing before its time`() {
    var random = SeededGenerator(seed: 5)
    var table = DueTable<Agenda.Retry>()
    let numbers = (1...300).map { UInt64($0) }.shuffled(using: &random)
    for number in numbers { table.insert(retry(number, at: number / 7)) }
    var taken: [UInt64] = []
    for second in 0...50 {
      let now = time(UInt64(second))
      while let item = table.takeDue(now: now) {
        #expect(item.dueAt <= now)
        taken.append(item.id.low)
      }
      #expect(table.next.map { $0 > now } ?? true)
    }
    #expect(taken == Array(1...300) && table.isEmpty)
  }

  @Test func `what is taken out before its time does not come`() {
    var table = DueTable<Agenda.Timer>()
    for number in 1...3 as ClosedRange<UInt64> { table.insert(timer(number, at: number)) }
    #expect(table.contains(EventID(high: 2, low: 2)))
    #expect(
      table.remove(EventID(high: 2, low: 2))?.id.low == 2 && table.remove(EventID(high: 2, low: 2)) == nil)
    #expect(!table.contains(EventID(high: 2, low: 2)))
    #expect(table.takeDue(now: time(9))?.id.low == 1 && table.takeDue(now: time(9))?.id.low == 3)
    #expect(table.takeDue(now: time(9)) == nil)
  }

  @Test func `the next thing on the agenda is the sooner of timer and retry`() {
    var agenda = Agenda()
    #expect(agenda.next == nil && agenda.isEmpty)
    agenda.retries.insert(retry(1, at: 9))
    #expect(agenda.next == time(9))
    agenda.timers.insert(timer(1, at: 4))
    #expect(agenda.next == time(4) && agenda.count == 2)
  }

  @Test func `an agent that has nothing but its state keeps that as it is`() throws {
    let state = Array(#"{"count":1}"#.utf8)
    #expect(AgentSnapshot(state: state).bytes == state)
    #expect(try AgentSnapshot(decoding: state) == AgentSnapshot(state: state))
    #expect(try AgentSnapshot(decoding: []) == AgentSnapshot(state: []))
  }

  @Test func `a snapshot comes back as it was, whatever is in it`() throws {
    var agenda = Agenda()
    for number in 1...40 as ClosedRange<UInt64> {
      agenda.timers.insert(
        timer(number, at: 100 - number, payload: String(repeating: "x", count: Int(number))))
      agenda.retries.insert(retry(number, at: number))
    }
    let coverage = AgentSnapshot.Coverage(
      point: LanePoint(epoch: 3, sequence: 44), after: Position(rawValue: 1_234_567))
    for version in [1, 7] as [UInt16] {
      for agenda in [Agenda(), agenda] {
        for coverage in [nil, coverage] {
          for state in [[], Array("{}".utf8), [0, 1, 2]] as [[UInt8]] {
            let snapshot = AgentSnapshot(
              state: state, stateVersion: version, agenda: agenda, coverage: coverage)
            #expect(try AgentSnapshot(decoding: snapshot.bytes) == snapshot)
          }
        }
      }
    }
  }

  @Test func `a snapshot that is cut short or too new is named, and nothing traps`() throws {
    var agenda = Agenda()
    agenda.timers.insert(timer(1, at: 1))
    agenda.retries.insert(retry(1, at: 1))
    let bytes = AgentSnapshot(state: Array("{}".utf8), stateVersion: 2, agenda: agenda).bytes
    for count in 1..<bytes.count {
      #expect(throws: HyphaError.self) { try AgentSnapshot(decoding: Array(bytes.prefix(count))) }
    }
    var newer = bytes
    newer[1] = 2
    #expect {
      try AgentSnapshot(decoding: newer)
    } throws: { error in
      "\(error)"
        == "logInvalid: an agent's snapshot has format version 2; run a newer version of this program"
    }
  }

  @Test func `a state is saved after so many events, and when that is asked for`() {
    var policy = SnapshotPolicy(every: 3)
    #expect(!policy.isDue)
    policy.evolved(by: 2)
    #expect(!policy.isDue)
    policy.evolved(by: 1)
    #expect(policy.isDue)
    policy.saved()
    #expect(!policy.isDue)
    policy.want()
    #expect(policy.isDue)
  }
}
