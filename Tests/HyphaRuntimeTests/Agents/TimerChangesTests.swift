import HyphaCore
import Testing

@testable import HyphaRuntime

@Suite struct TimerChangesTests {
  private func timer(_ number: UInt64) -> Agenda.Timer {
    .init(
      id: EventID(high: 1, low: number), dueAt: Timestamp(microseconds: number), type: "test.Reminder",
      schemaVersion: 1, subject: "a.b", contentType: .json, causation: .none, correlation: .none, payload: [])
  }

  private func pending(_ numbers: Range<UInt64>) -> DueTable<Agenda.Timer> {
    var table = DueTable<Agenda.Timer>()
    for number in numbers { table.insert(timer(number)) }
    return table
  }

  @Test func `what is no timer of the agent is not cancelled, and what is, once`() {
    let pending = pending(0..<2)
    var changes = TimerChanges()
    let hasRoom = changes.set(timer(7), beside: pending)
    for number in [9, 1, 7, 1, 7, 8] as [UInt64] { changes.cancel(timer(number).id, of: pending) }
    #expect(hasRoom && changes.cancelled == [timer(1).id, timer(7).id] && changes.added == [timer(7)])
    var table = pending
    table.apply(changes)
    #expect(table.items == [timer(0)])
  }

  @Test func `an agent has no more timers than it may, whatever is cancelled in which order`() {
    for seed in seeds(20) {
      var random = SeededGenerator(seed: seed, name: "timers")
      let max = UInt64(Agenda.timerCountMax)
      let pending = pending(0..<(max - 5))
      var (changes, next) = (TimerChanges(), max)
      for _ in 0..<60 {
        if random.next() % 3 == 0 {
          // One of those that were pending, of those that were set, or none.
          changes.cancel(
            timer(random.next() % 2 == 0 ? random.next() % 9 : next - random.next() % 4).id, of: pending)
        } else {
          var table = pending
          table.apply(changes)
          let hasRoom = changes.set(timer(next), beside: pending)
          #expect(hasRoom == (table.count < Agenda.timerCountMax), "HYPHA_SEED=\(seed)")
          next += 1
        }
      }
      var table = pending
      table.apply(changes)
      #expect(table.count <= Agenda.timerCountMax, "HYPHA_SEED=\(seed)")
    }
  }
}
