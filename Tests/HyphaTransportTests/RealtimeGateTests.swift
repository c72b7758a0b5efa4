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

  @Test func `beyond the bound it forgets, and lets nothing pass that is older than what it forgot`() {
    var gate = RealtimeGate(limits: .init(subjectCountMax: 2))
    let events = [event(1, "a"), event(5, "b"), event(6, "c"), event(7, "a")]
    #expect(gate.newest(of: events) == events)
    #expect(gate.newest(of: [event(3, "a"), event(4, "b"), event(5, "d")]).isEmpty)
    #expect(gate.newest(of: [event(8, "b")]).count == 1)
    #expect(gate.subjectCount <= 2)
  }

  @Test func `the bound over all lanes holds, too`() {
    var gate = RealtimeGate(limits: .init(subjectCountMaxInAll: 3))
    for (number, taker) in (["x", "y", "z", "v", "w"] as [AgentID]).enumerated() {
      let point = at(1, UInt64(number) + 1)
      let record = Sample.record(point, after: .start, channel: .realtime, addressee: taker)
      #expect(gate.newest(of: [record]) == [record] && gate.subjectCount <= 3)
    }
    let old = Sample.record(at(1, 1), after: .start, channel: .realtime, addressee: "x")
    #expect(gate.newest(of: [old]).isEmpty)
  }

  @Test func `what came in a row is remembered when other subjects have come`() {
    var gate = RealtimeGate()
    let row = Sample.run(1...9)
    #expect(gate.newest(of: row) == row)
    #expect(gate.newest(of: [event(1, "b")]).count == 1)
    #expect(gate.newest(of: row).isEmpty)
  }
}
