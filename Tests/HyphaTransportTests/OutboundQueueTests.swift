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
}
