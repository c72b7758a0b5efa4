import Glibc
import HyphaCore
import HyphaTransport
import Testing

@testable import HyphaTransportZMQ

/// When what is to be sent wakes the thread that sends it.
@Suite struct OutboundQueueTests {
  private let queue: OutboundQueue

  init() throws { queue = try OutboundQueue(countMax: 8, byteCountMax: 1 << 20) }

  /// Appends an item of `lane`. Returns whether that has woken the thread.
  private func wakes(_ lane: OutboundQueue.Lane) -> Bool {
    let item = OutboundQueue.Item(kind: .frame(.realtime), node: "next", bytes: [1])
    #expect(queue.append([item]) { _ in lane }.isEmpty)
    var flag = pollfd(fd: queue.flag.descriptor, events: Int16(POLLIN), revents: 0)
    defer { queue.flag.lower() }
    return poll(&flag, 1, 0) == 1
  }

  private func take(_ lane: OutboundQueue.Lane) -> Int {
    var items: [OutboundQueue.Item] = []
    queue.take(lane, into: &items)
    return items.count
  }

  @Test func `a thread that waits is woken once, by whatever comes`() {
    #expect(!wakes(.second), "it does not wait yet")
    #expect(!queue.beginWait(), "there is something to send first")
    #expect(take(.second) == 1)
    #expect(queue.beginWait() && queue.isIdle)
    #expect(wakes(.second) && !wakes(.first))
    #expect(!queue.isIdle)
  }

  @Test func `a thread that rests is woken by its first lane alone, and has the rest afterwards`() {
    #expect(queue.beginRest())
    #expect(!queue.isIdle, "who publishes adds to what waits, and does not send itself")
    #expect(!wakes(.second) && !wakes(.second))
    #expect(queue.beginRest(), "what is in the second lane may wait")
    #expect(wakes(.first) && !wakes(.first))
    #expect(!queue.beginRest() && !queue.beginWait())
    #expect(take(.first) == 2 && take(.second) == 2)
    #expect(queue.beginWait())
  }

  @Test func `nothing waits once there is a plan to follow, or an end`() {
    queue.change(to: LinkPlan(node: "own", addresses: [:], incoming: [:], outgoing: [:]))
    #expect(!queue.beginRest() && !queue.beginWait())
    #expect(queue.takePlan() != nil && queue.beginRest())
    queue.close()
    #expect(!queue.beginRest() && !queue.beginWait() && !queue.isIdle)
  }

  // MARK: Room

  private func run(_ records: some Sequence<Record>) throws -> OutboundRun {
    let front = FrameFront(via: "next", lane: Sample.lane, topologyVersion: 7, hops: 1)
    let run = OutboundRun(channel: .realtime, links: [.init(node: "next", front: front)], expiry: nil)
    for record in records { #expect(try run.add(record)) }
    return run
  }

  @Test func `runs have room for what they have, however many wait, until they leave`() throws {
    let room = 2 * OutboundRun.byteCountMax
    let queue = try OutboundQueue(countMax: 4096, byteCountMax: room)
    let records = Sample.run(1...300)
    var runs: [OutboundRun] = []
    while let run = try? run(records.prefix(1)), queue.append([.run(run)], to: { _ in .second }).isEmpty {
      runs.append(run)
    }
    #expect(runs.count > 200, "many more than two of the longest")
    // No room is left to grow: what does not fit into the queue would find no room in a run, either.
    #expect(try !runs[0].add(records[1]))
    #expect(queue.append([.init(kind: .frame(.realtime), node: "next", bytes: [0])]) { _ in .first }.isEmpty)
    // A little room is enough for a little more.
    #expect(runs[1].take()?.count == 1)
    #expect(try runs[0].add(records[1]))
    #expect(try !runs[0].add(records[2]))
    // Those that leave make room for another one to grow.
    #expect(runs.dropFirst(2).allSatisfy { $0.take()?.count == 1 })
    #expect(try records[2...].prefix { try runs[0].add($0) }.count > 64)
    let bytes = try #require(runs[0].take()).first?.bytes.count ?? 0
    #expect(bytes > OutboundRun.byteCountMax / 4)
    var items: [OutboundQueue.Item] = []
    queue.take(.second, into: &items)
    #expect(queue.beginWait() == false, "the frame of the first lane waits")
    items = []
    queue.take(.first, into: &items)
    #expect(queue.beginWait())
    // All of it is there again.
    let frame = OutboundQueue.Item(
      kind: .frame(.realtime), node: "next", bytes: [UInt8](repeating: 0, count: room))
    #expect(queue.append([frame]) { _ in .second }.isEmpty)
    #expect(queue.append([.run(try run(records.prefix(1)))]) { _ in .second }.count == 1)
  }
}
