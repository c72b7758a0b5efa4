import HyphaCore
import HyphaTransport
import Testing

@Suite struct `Realtime gate` {
  private func event(_ sequence: UInt64, epoch: UInt64 = 1, _ subject: Subject = "a") -> Record {
    Sample.record(at(epoch, sequence), after: .start, channel: .realtime, subject: subject)
  }

  @Test func `an event newer than the last of its subject passes`() {
    var gate = RealtimeGate()
    let events = [event(1), event(3), event(1, epoch: 2)]
    #expect(gate.newest(of: events) == events)
  }

  @Test func `an older or equal event of the same subject is held back`() {
    var gate = RealtimeGate()
    let events = [event(5), event(5), event(4), event(4, "b")]
    #expect(gate.newest(of: events) == [events[0], events[3]])
  }

  @Test func `shuffled events never go backwards within a subject`() {
    for seed in Seeds.all(defaultCount: 50) {
      var random = SeededGenerator(seed: seed)
      var gate = RealtimeGate()
      var newest: [Subject: UInt64] = [:]
      let subjects: [Subject] = ["a", "b", "c"]
      for sequence in (UInt64(1)...200).shuffled(using: &random) {
        let subject = subjects[Int(sequence % 3)]
        let passes = !gate.newest(of: [event(sequence, subject)]).isEmpty
        #expect(passes == (sequence > newest[subject, default: 0]), "seed \(seed)")
        if passes { newest[subject] = sequence }
      }
    }
  }

  @Test func `beyond the bound it forgets and lets newer events pass`() {
    var gate = RealtimeGate(subjectCountMax: 2)
    let events = [event(1, "a"), event(2, "b"), event(3, "c"), event(4, "a")]
    #expect(gate.newest(of: events) == events)
    #expect(gate.newest(of: [event(3, "a"), event(3, "c")]).isEmpty)
  }
}
