import HyphaCore
import HyphaTransport
import Testing

@Suite struct `Lane receiver` {
  private let start = time(milliseconds: 0)

  private func points(_ reception: LaneReceiver.Reception) -> [LanePoint] {
    reception.delivered.map(\.header.point)
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
    var receiver = LaneReceiver(limits: .init(parkedCountMax: 2))
    let reception = receiver.receive(Sample.run(2...5), now: start)
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
    #expect(reception.forks == [.init(common: at(1, 3), end: at(1, 5))])
    #expect(reception.fork == .init(common: at(1, 3), end: at(1, 5)))
  }

  @Test func `two forks that come together are both reported`() {
    var receiver = LaneReceiver(head: at(1, 5))
    let second = Sample.run(1...1, epoch: 2, after: at(1, 3))
    let third = Sample.run(1...1, epoch: 3, after: at(1, 3))
    let reception = receiver.receive(second + third, now: start)
    #expect(
      reception.forks == [
        .init(common: at(1, 3), end: at(1, 5)), .init(common: at(1, 3), end: at(2, 1)),
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
    let reception = receiver.receive(Sample.run(1...1, epoch: 2, after: at(1, 3)), now: start)
    #expect(points(reception) == [at(2, 1)])
    #expect(reception.forks.isEmpty)
    #expect(receiver.parkedCount == 0)
    #expect(receiver.receive(Sample.run(4...4), now: start).duplicateCount == 1)
  }

  @Test func `an event that skips back within its epoch is refused`() {
    var receiver = LaneReceiver(head: at(1, 5))
    let reception = receiver.receive([Sample.record(at(1, 8), after: at(1, 3))], now: start)
    #expect(reception.contradictoryCount == 1)
    #expect(receiver.head == at(1, 5))
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
    #expect(receiver.fetchDue(now: time(milliseconds: 20)) == at(1, 1))
    #expect(receiver.fetchDue(now: time(milliseconds: 21)) == nil)
  }

  @Test func `an announcement beyond the head is fetched`() {
    var receiver = LaneReceiver(head: at(1, 1))
    receiver.announce(at(1, 4), now: start)
    #expect(receiver.isBehind)
    #expect(receiver.fetchDue(now: time(milliseconds: 20)) == at(1, 1))
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
    #expect(receiver.fetchDue(now: time(milliseconds: 20)) == .start)
    _ = receiver.receive(answer: Sample.run(1...3), now: time(milliseconds: 25))
    #expect(receiver.fetchDue(now: time(milliseconds: 25)) == at(1, 3))
  }

  @Test func `an answer that brings nothing is asked for ever less often`() {
    var receiver = LaneReceiver(head: at(1, 1))
    receiver.announce(at(1, 2), now: start)
    var sent: [UInt64] = []
    for milliseconds in stride(from: UInt64(0), to: 40_000, by: 10)
    where receiver.fetchDue(now: time(milliseconds: milliseconds)) != nil {
      sent.append(milliseconds)
      _ = receiver.receive(answer: [], now: time(milliseconds: milliseconds))
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
    #expect(receiver.fetchDue(now: time(milliseconds: 20)) == at(1, 2))
    let reception = receiver.receive(answer: Sample.run(3...6), now: time(milliseconds: 21))
    #expect(points(reception) == [at(1, 3), at(1, 4), at(1, 5), at(1, 6)])
    #expect(!receiver.isBehind)
  }
}
