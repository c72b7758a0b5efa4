import HyphaCore
import HyphaTransport
import Testing

@Suite struct `Lane receiver` {
  private let start = time(milliseconds: 0)

  private func id(_ epoch: UInt64, _ sequence: UInt64) -> EventID { EventID(high: epoch, low: sequence) }

  private func lost(after common: LanePoint, _ kept: LaneFork.Claim, by other: LanePoint) -> LaneFork {
    LaneFork(
      kind: .lost, common: common, kept: kept,
      other: .init(point: other, event: id(other.epoch, other.sequence)))
  }

  private func points(_ reception: LaneReceiver.Reception) -> [LanePoint] {
    reception.delivered.map(\.point)
  }

  @Test func `events in order are delivered as they come`() {
    var receiver = LaneReceiver()
    let reception = receiver.receive(Sample.run(1...3), now: start)
    #expect(points(reception) == [at(1, 1), at(1, 2), at(1, 3)])
    #expect(receiver.head == at(1, 3))
    #expect(!receiver.isBehind)
  }

  @Test func `an event that was delivered is a duplicate`() {
    var receiver = LaneReceiver()
    _ = receiver.receive(Sample.run(1...3), now: start)
    let reception = receiver.receive(Sample.run(2...3), now: start)
    #expect(reception.delivered.isEmpty)
    #expect(reception.duplicateCount == 2)
  }

  @Test func `an early event waits for the one before it`() {
    var receiver = LaneReceiver()
    let early = receiver.receive(Sample.run(2...3), now: start)
    #expect(early.delivered.isEmpty)
    #expect(early.parkedCount == 2)
    #expect(receiver.isBehind)
    let rest = receiver.receive(Sample.run(1...1), now: start)
    #expect(points(rest) == [at(1, 1), at(1, 2), at(1, 3)])
    #expect(receiver.parkedCount == 0)
  }

  @Test func `an early event that comes twice is parked once`() {
    var receiver = LaneReceiver()
    let reception = receiver.receive(Sample.run(2...2) + Sample.run(2...2), now: start)
    #expect(reception.parkedCount == 1)
    #expect(reception.duplicateCount == 1)
  }

  @Test func `early events beyond the bound are dropped and stay known as missing`() {
    var receiver = LaneReceiver()
    let limits = LaneLimits(parkedCountMax: 2)
    let reception = receiver.receive(Sample.run(2...5), now: start, limits: limits)
    #expect(reception.parkedCount == 2)
    #expect(reception.droppedCount == 2)
    #expect(receiver.announced == at(1, 5))
    _ = receiver.receive(Sample.run(1...1), now: start)
    #expect(receiver.head == at(1, 3))
    #expect(receiver.isBehind)
  }

  @Test func `a receiver that begins at a cursor takes what follows it`() {
    var receiver = LaneReceiver(head: at(1, 3))
    #expect(points(receiver.receive(Sample.run(3...4), now: start)) == [at(1, 4)])
  }

  @Test func `a new epoch behind the last event is no fork`() {
    var receiver = LaneReceiver(head: at(1, 3))
    let reception = receiver.receive(Sample.run(1...2, epoch: 2, after: at(1, 3)), now: start)
    #expect(points(reception) == [at(2, 1), at(2, 2)])
    #expect(reception.forks.isEmpty)
  }

  @Test func `a new epoch before the last event reports what the origin lost`() {
    var receiver = LaneReceiver(head: at(1, 5))
    let reception = receiver.receive(Sample.run(1...1, epoch: 2, after: at(1, 3)), now: start)
    #expect(points(reception) == [at(2, 1)])
    let kept = LaneFork.Claim(point: at(1, 5), event: .none)
    #expect(reception.forks == [lost(after: at(1, 3), kept, by: at(2, 1))])
  }

  @Test func `two forks that come together are both reported`() {
    var receiver = LaneReceiver(head: at(1, 5))
    let second = Sample.run(1...1, epoch: 2, after: at(1, 3))
    let third = Sample.run(1...1, epoch: 3, after: at(1, 3))
    let reception = receiver.receive(second + third, now: start)
    #expect(
      reception.forks == [
        lost(after: at(1, 3), .init(point: at(1, 5), event: .none), by: at(2, 1)),
        lost(after: at(1, 3), .init(point: at(2, 1), event: id(2, 1)), by: at(3, 1)),
      ])
  }

  @Test func `a new epoch that comes before the end of the old one waits for it`() {
    var receiver = LaneReceiver(head: at(1, 1))
    #expect(receiver.receive(Sample.run(1...1, epoch: 2, after: at(1, 3)), now: start).parkedCount == 1)
    let reception = receiver.receive(Sample.run(2...3), now: start)
    #expect(points(reception) == [at(1, 2), at(1, 3), at(2, 1)])
    #expect(reception.forks.isEmpty)
  }

  @Test func `parked events of a lost branch never join the new epoch`() {
    var receiver = LaneReceiver(head: at(1, 3))
    _ = receiver.receive(Sample.run(5...6), now: start)
    receiver.announce(at(2, 9), now: start)
    let reception = receiver.receive(Sample.run(1...1, epoch: 2, after: at(1, 3)), now: start)
    #expect(points(reception) == [at(2, 1)])
    #expect(reception.forks.isEmpty)
    #expect(receiver.isBehind && receiver.parkedCount == 0 && receiver.parkedByteCount == 0)
    #expect(receiver.receive(Sample.run(4...4), now: start).duplicateCount == 1)
  }

  @Test func `an event that skips back within its epoch is refused and told with both claims`() {
    var receiver = LaneReceiver(head: at(1, 5), id: id(1, 5))
    let reception = receiver.receive([Sample.record(at(1, 8), after: at(1, 3))], now: start)
    #expect(reception.contradictoryCount == 1)
    #expect(
      reception.forks == [
        LaneFork(
          kind: .contradicted, common: at(1, 3), kept: .init(point: at(1, 5), event: id(1, 5)),
          other: .init(point: at(1, 8), event: id(1, 8)))
      ])
    #expect(reception.delivered.isEmpty && receiver.head == at(1, 5))
  }

  @Test func `another event in the place of the last one is refused and told`() {
    var receiver = LaneReceiver()
    _ = receiver.receive(Sample.run(1...2), now: start)
    let other = Sample.record(at(1, 2), after: at(1, 1), id: id(9, 9))
    let reception = receiver.receive([other], now: start)
    #expect(reception.contradictoryCount == 1 && reception.duplicateCount == 0)
    #expect(reception.forks.map(\.kept.event) == [id(1, 2)])
    #expect(reception.forks.map(\.other.event) == [id(9, 9)])
    #expect(receiver.receive(Sample.run(2...2), now: start).duplicateCount == 1)
  }

  @Test func `a lane that has everything takes 40 bytes`() {
    #expect(MemoryLayout<LaneReceiver>.stride == 40)
  }

  @Test func `early events beyond the bound of bytes are dropped and stay known as missing`() {
    var receiver = LaneReceiver()
    let records = Sample.run(2...4)
    let limits = LaneLimits(parkedByteCountMax: records[0].bytes.count * 2)
    let reception = receiver.receive(records, now: start, limits: limits)
    #expect(reception.parkedCount == 2 && reception.droppedCount == 1)
    #expect(receiver.parkedByteCount == records[0].bytes.count * 2)
    _ = receiver.receive(Sample.run(1...1), now: start, limits: limits)
    #expect(receiver.head == at(1, 3) && receiver.parkedByteCount == 0 && receiver.isBehind)
  }

  // MARK: Fetching

  @Test func `nothing is fetched while nothing is missing`() {
    var receiver = LaneReceiver()
    #expect(receiver.fetchDue(now: start) == nil)
    _ = receiver.receive(Sample.run(1...2), now: start)
    #expect(receiver.fetchDue(now: time(milliseconds: 10_000)) == nil)
  }

  @Test func `a gap is fetched after its grace and not before`() {
    var receiver = LaneReceiver(head: at(1, 1))
    _ = receiver.receive(Sample.run(3...3), now: start)
    #expect(receiver.fetchDue(now: time(milliseconds: 19)) == nil)
    #expect(receiver.fetchDue(now: time(milliseconds: 20)) == .init(after: at(1, 1), attempt: 0))
    #expect(receiver.fetchDue(now: time(milliseconds: 21)) == nil)
  }

  @Test func `an announcement beyond the head is fetched`() {
    var receiver = LaneReceiver(head: at(1, 1))
    receiver.announce(at(1, 4), now: start)
    #expect(receiver.isBehind)
    #expect(receiver.fetchDue(now: time(milliseconds: 20)) == .init(after: at(1, 1), attempt: 0))
  }

  @Test func `an announcement of what was delivered changes nothing`() {
    var receiver = LaneReceiver(head: at(2, 1))
    receiver.announce(at(1, 9), now: start)
    #expect(!receiver.isBehind)
    #expect(receiver.announced == at(2, 1))
  }

  @Test func `a fetch without an answer is sent again at twice the time up to the longest`() {
    var receiver = LaneReceiver()
    receiver.announce(at(1, 1), now: start)
    var sent: [UInt64] = []
    for milliseconds in stride(from: UInt64(0), to: 40_000, by: 10)
    where receiver.fetchDue(now: time(milliseconds: milliseconds)) != nil {
      sent.append(milliseconds)
    }
    #expect(sent == [20, 1020, 3020, 7020, 15_020, 23_020, 31_020, 39_020])
  }

  @Test func `the rest of a partial answer is fetched at once`() {
    var receiver = LaneReceiver()
    receiver.announce(at(1, 5), now: start)
    #expect(receiver.fetchDue(now: time(milliseconds: 20)) == .init(after: .start, attempt: 0))
    _ = receiver.receive(answer: Sample.run(1...3), after: .start, now: time(milliseconds: 25))
    #expect(receiver.fetchDue(now: time(milliseconds: 25)) == .init(after: at(1, 3), attempt: 0))
  }

  @Test func `an answer that brings nothing is asked for ever less often`() {
    var receiver = LaneReceiver(head: at(1, 1))
    receiver.announce(at(1, 2), now: start)
    var sent: [UInt64] = []
    for milliseconds in stride(from: UInt64(0), to: 40_000, by: 10)
    where receiver.fetchDue(now: time(milliseconds: milliseconds)) != nil {
      sent.append(milliseconds)
      _ = receiver.receive(answer: [], after: at(1, 1), now: time(milliseconds: milliseconds))
    }
    #expect(sent == [20, 1020, 3020, 7020, 15_020, 23_020, 31_020, 39_020])
  }

  @Test func `what fills the gap in time is not fetched`() {
    var receiver = LaneReceiver()
    _ = receiver.receive(Sample.run(2...2), now: start)
    _ = receiver.receive(Sample.run(1...1), now: time(milliseconds: 10))
    #expect(receiver.fetchDue(now: time(milliseconds: 100)) == nil)
  }

  @Test func `what could not be kept is fetched again`() {
    var receiver = LaneReceiver()
    _ = receiver.receive(Sample.run(1...4) + Sample.run(6...6), now: start)
    receiver.reset(to: at(1, 2), now: start)
    #expect(receiver.head == at(1, 2))
    #expect(receiver.parkedCount == 0)
    #expect(receiver.fetchDue(now: time(milliseconds: 20)) == .init(after: at(1, 2), attempt: 0))
    let reception = receiver.receive(answer: Sample.run(3...6), after: at(1, 2), now: time(milliseconds: 21))
    #expect(points(reception) == [at(1, 3), at(1, 4), at(1, 5), at(1, 6)])
    #expect(!receiver.isBehind)
  }

  @Test func `what the origin's log is not known to have is given up when it says that there is nothing`() {
    var receiver = LaneReceiver(head: at(1, 1))
    _ = receiver.receive(Sample.run(3...3), now: start)
    _ = receiver.receive(answer: [], after: at(1, 1), from: .copy, now: start)
    #expect(receiver.isBehind && receiver.parkedCount == 1, "a copy may lack the newest")
    _ = receiver.receive(answer: [], after: .start, now: start)
    #expect(receiver.isBehind, "the answer to an older question says nothing")
    _ = receiver.receive(answer: [], after: at(1, 1), now: start)
    #expect(!receiver.isBehind && receiver.parkedCount == 0)
    receiver.announce(at(1, 3), now: start)
    #expect(receiver.isBehind)
    _ = receiver.receive(answer: [], after: at(1, 1), now: start)
    #expect(receiver.isBehind, "what its log was known to have is waited for")
  }

  @Test func `another gap than before has a grace of its own`() {
    var receiver = LaneReceiver()
    _ = receiver.receive(Sample.run(2...2) + Sample.run(4...4), now: start)
    _ = receiver.receive(Sample.run(1...1), now: time(milliseconds: 15))
    #expect(receiver.head == at(1, 2))
    #expect(receiver.fetchDue(now: time(milliseconds: 34)) == nil)
    #expect(receiver.fetchDue(now: time(milliseconds: 35)) == .init(after: at(1, 2), attempt: 0))
  }

  @Test func `what brought nothing is asked for at once when there is said to be something`() {
    var receiver = LaneReceiver(head: at(1, 1))
    receiver.announce(at(1, 2), by: .copy, now: start)
    #expect(receiver.fetchDue(now: time(milliseconds: 20)) == .init(after: at(1, 1), attempt: 0))
    receiver.announce(at(1, 2), by: .copy, now: time(milliseconds: 21))
    #expect(receiver.fetchDue(now: time(milliseconds: 21)) == nil, "the answer may be on its way")
    _ = receiver.receive(answer: [], after: at(1, 1), from: .copy, now: time(milliseconds: 22))
    #expect(receiver.fetchDue(now: time(milliseconds: 22)) == nil)
    receiver.announce(at(1, 2), by: .copy, now: time(milliseconds: 23))
    #expect(receiver.fetchDue(now: time(milliseconds: 23)) == .init(after: at(1, 1), attempt: 1))
  }

  @Test func `each fetch that does not get on counts as an attempt`() {
    var receiver = LaneReceiver()
    receiver.announce(at(1, 5), now: start)
    #expect(receiver.fetchDue(now: time(milliseconds: 20)) == .init(after: .start, attempt: 0))
    #expect(receiver.fetchDue(now: time(milliseconds: 1020)) == .init(after: .start, attempt: 1))
    _ = receiver.receive(answer: Sample.run(1...3), after: .start, now: time(milliseconds: 1025))
    #expect(receiver.fetchDue(now: time(milliseconds: 1025)) == .init(after: at(1, 3), attempt: 0))
  }
}

@Suite struct `Repair holders` {
  private func holder(_ attempt: Int, silent: Set<NodeID> = []) -> NodeID {
    RepairHolders.choose(origin: "o", copies: ["a", "b"], attempt: attempt, isSilent: silent.contains)
  }

  @Test func `the origin is asked twice, then each copy, then the origin again`() {
    #expect((0..<6).map { holder($0) } == ["o", "o", "a", "b", "o", "o"])
  }

  @Test func `while the origin is silent the copies are asked first`() {
    #expect((0..<4).map { holder($0, silent: ["o"]) } == ["a", "b", "a", "b"])
    #expect((0..<3).map { holder($0, silent: ["o", "a"]) } == ["b", "b", "b"])
  }

  @Test func `where all are silent the origin is asked`() {
    #expect((0..<3).map { holder($0, silent: ["o", "a", "b"]) } == ["o", "o", "o"])
  }
}
