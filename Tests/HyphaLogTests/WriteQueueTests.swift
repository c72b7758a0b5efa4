import HyphaCore
import HyphaLog
import Testing

@testable import HyphaLogLMDB

/// What goes into a group, and in which order.
@Suite struct WriteQueueTests {
  private func queue(_ policy: GroupPolicy = GroupPolicy()) -> WriteQueue {
    WriteQueue(groupAppendCountMax: 400, groupByteCountMax: 8 << 20, policy: policy)
  }

  private func add(_ count: Int, urgent isUrgent: Bool = false, to queue: WriteQueue) throws {
    var author = Author(isUrgent ? "urgent" : "other")
    var batch = try author.batch(count)
    batch.isUrgent = isUrgent
    #expect(queue.add(WriteQueue.Waiting(batch) { _ in }))
  }

  /// The next group: the sizes of its batches, negative for urgent ones.
  private func take(from queue: WriteQueue) -> [Int] {
    guard case .group(let group)? = queue.take() else { return [] }
    return group.map { ($0.batch.isUrgent ? -1 : 1) * $0.batch.appends.count }
  }

  @Test func `what is urgent waits for a quarter of a group of others at the most`() throws {
    let queue = queue()
    for _ in 0..<10 { try add(50, to: queue) }
    try add(1, urgent: true, to: queue)
    try add(2, urgent: true, to: queue)
    #expect(take(from: queue) == [-1, -2, 50, 50])
    #expect(take(from: queue) == [Int](repeating: 50, count: 8), "nothing urgent waits")
  }

  @Test func `urgent batches do not keep others waiting for ever`() throws {
    let queue = queue()
    try add(300, to: queue)
    try add(300, to: queue)
    var groups: [[Int]] = []
    for _ in 0..<2 * (WriteQueue.passedOverCountMax + 1) {
      // As many as fill a group, again and again.
      try add(400, urgent: true, to: queue)
      groups.append(take(from: queue))
    }
    let alone = [[Int]](repeating: [-400], count: WriteQueue.passedOverCountMax)
    #expect(groups == alone + [[-400, 300]] + alone + [[-400, 300]])
  }

  @Test func `a group is as small as planning is slow, and a batch is never divided`() throws {
    let queue = queue(GroupPolicy(planMax: .milliseconds(10)))
    queue.planned(appendCount: 100, duration: .milliseconds(10))
    for _ in 0..<3 { try add(60, to: queue) }
    try add(150, to: queue)
    try add(1, urgent: true, to: queue)
    #expect(take(from: queue) == [-1], "a quarter of a hundred has no room for sixty")
    #expect(take(from: queue) == [60])
    try add(60, urgent: true, to: queue)
    try add(60, urgent: true, to: queue)
    #expect(take(from: queue) == [-60])
    #expect(take(from: queue) == [-60])
    #expect(take(from: queue) == [60])
    #expect(take(from: queue) == [60])
    #expect(take(from: queue) == [150])
  }
}
