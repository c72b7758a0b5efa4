import HyphaCore
import HyphaLog
import Testing

@testable import HyphaLogLMDB

/// What goes into a group, and in which order.
@Suite struct WriteQueueTests {
  private func queue(_ policy: GroupPolicy = GroupPolicy()) -> WriteQueue {
    WriteQueue(groupAppendCountMax: 400, groupByteCountMax: 8 << 20, policy: policy)
  }

  private func add(_ count: Int, _ priority: LogBatch.Priority = .normal, to queue: WriteQueue) throws {
    var author = Author("a")
    var batch = try author.batch(count)
    batch.priority = priority
    #expect(queue.add(WriteQueue.Waiting(batch) { _ in }))
  }

  /// The next group: of each batch how many events it has, and whether it is urgent or intake.
  private func take(from queue: WriteQueue) -> [String] {
    guard case .group(let group)? = queue.take() else { return [] }
    return group.map { waiting in
      let mark =
        switch waiting.batch.priority {
        case .urgent: "!"
        case .normal: ""
        case .intake: "<"
        }
      return "\(mark)\(waiting.batch.appends.count)"
    }
  }

  @Test func `beside urgent batches and after them groups are small, until no more come`() throws {
    let queue = queue()
    #expect(!queue.isWary)
    for _ in 0..<100 { try add(25, .intake, to: queue) }
    try add(25, to: queue)
    try add(1, .urgent, to: queue)
    try add(2, .urgent, to: queue)
    #expect(take(from: queue) == ["!1", "!2", "25", "<25"])
    for number in 1..<WaitingBatches.waryCountMax {
      #expect(queue.isWary && take(from: queue) == ["<25", "<25"], "\(number)")
    }
    #expect(take(from: queue) == [String](repeating: "<25", count: 16))
    #expect(!queue.isWary)
  }

  @Test func `an agent's batch waits for no backlog of what came from other nodes`() throws {
    let queue = queue()
    for _ in 0..<100 { try add(100, .intake, to: queue) }
    #expect(take(from: queue) == ["<100", "<100", "<100", "<100"])
    try add(0, to: queue)
    #expect(take(from: queue) == ["0", "<100", "<100", "<100", "<100"])
  }

  @Test func `what was passed over for three groups has its turn, whatever its size`() throws {
    let queue = queue()
    try add(300, to: queue)
    try add(300, to: queue)
    try add(300, .intake, to: queue)
    var groups: [[String]] = []
    for _ in 0..<8 {
      try add(100, .urgent, to: queue)
      groups.append(take(from: queue))
    }
    let alone = [[String]](repeating: ["!100"], count: 3)
    #expect(groups == alone + [["!100", "300", "<300"]] + alone + [["!100", "300"]])

    // Agents that fill group after group.
    try add(300, .intake, to: queue)
    groups = []
    for _ in 0..<5 {
      try add(400, to: queue)
      groups.append(take(from: queue))
    }
    #expect(groups == [["400"], ["400"], ["400"], ["400", "<300"], ["400"]])
  }

  @Test func `nothing goes before urgent batches, nor intake before what has no room`() throws {
    let queue = queue()
    try add(300, to: queue)
    try add(1, .intake, to: queue)
    try add(1, .urgent, to: queue)
    #expect(take(from: queue) == ["!1"])
    #expect(take(from: queue) == ["300"])
    #expect(take(from: queue) == ["<1"])

    try add(1, to: queue)
    for _ in 0..<10 { try add(400, .urgent, to: queue) }
    for _ in 0..<9 { #expect(take(from: queue) == ["!400"]) }
    #expect(take(from: queue) == ["!400", "1"])
  }

  @Test func `a group is as small as planning is slow, and a batch is never divided`() throws {
    let queue = queue(GroupPolicy(planMax: .milliseconds(10)))
    queue.planned(appendCount: 100, duration: .milliseconds(10))
    for _ in 0..<3 { try add(60, to: queue) }
    try add(150, to: queue)
    for _ in 0..<3 { #expect(take(from: queue) == ["60"]) }
    #expect(take(from: queue) == ["150"])
    try add(60, .urgent, to: queue)
    try add(60, .urgent, to: queue)
    #expect(take(from: queue) == ["!60"])
    #expect(take(from: queue) == ["!60"])
  }
}
