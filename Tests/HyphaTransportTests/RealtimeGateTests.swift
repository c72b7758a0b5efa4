import HyphaCore
import HyphaTransport
import Testing

@Suite struct `Realtime gate` {
  private func header(_ sequence: UInt64, epoch: UInt64 = 1, _ subject: Subject = "a") -> RecordHeader {
    Sample.record(at(epoch, sequence), after: .start, channel: .realtime, subject: subject).header
  }

  @Test func `an event newer than the last of its subject passes`() {
    var gate = RealtimeGate()
    #expect([header(1), header(3), header(1, epoch: 2)].map { gate.passes($0) } == [true, true, true])
  }

  @Test func `an older or equal event of the same subject is held back`() {
    var gate = RealtimeGate()
    let headers = [header(5), header(5), header(4), header(4, "b")]
    #expect(headers.map { gate.passes($0) } == [true, false, false, true])
  }

  @Test func `shuffled events never go backwards within a subject`() {
    for seed in Seeds.all(defaultCount: 50) {
      var random = SeededGenerator(seed: seed)
      var gate = RealtimeGate()
      var newest: [Subject: UInt64] = [:]
      let subjects: [Subject] = ["a", "b", "c"]
      for sequence in (UInt64(1)...200).shuffled(using: &random) {
        let subject = subjects[Int(sequence % 3)]
        let passes = gate.passes(header(sequence, subject))
        #expect(passes == (sequence > newest[subject, default: 0]), "seed \(seed)")
        if passes { newest[subject] = sequence }
      }
    }
  }

  @Test func `beyond the bound it forgets and lets newer events pass`() {
    var gate = RealtimeGate(subjectCountMax: 2)
    let headers = [header(1, "a"), header(2, "b"), header(3, "c"), header(4, "a")]
    #expect(headers.map { gate.passes($0) } == [true, true, true, true])
    #expect([header(3, "a"), header(3, "c")].map { gate.passes($0) } == [false, false])
  }
}
