import HyphaCore
import HyphaLog
import Testing

@testable import HyphaReplay

/// In which order entries of several logs are shown, also where they lie far from where their times belong.
@Suite struct MergeOrderTests {
  /// What decides between two entries.
  private struct Place: Comparable {
    let time: UInt64
    let isCopy: Bool
    let log: Int
    let position: UInt64

    static func < (left: Place, right: Place) -> Bool {
      (left.time, left.isCopy ? 1 : 0, left.log, left.position)
        < (right.time, right.isCopy ? 1 : 0, right.log, right.position)
    }
  }

  /// The order by its definition: of what is held the least; of a log of which half is left as much is read as may be.
  private func expected(_ logs: [[Place]]) -> [Place] {
    var (held, shown): ([Place], [Place]) = ([], [])
    var (next, heldCounts) = (logs.map { _ in 0 }, logs.map { _ in 0 })
    func fill() {
      for log in logs.indices where heldCounts[log] <= MergeWindow.entryCountMax / 2 {
        while next[log] < logs[log].count, heldCounts[log] < MergeWindow.entryCountMax {
          let place = logs[log][next[log]]
          var (low, high) = (0, held.count)
          while low < high {
            let middle = (low + high) / 2
            if held[middle] > place { low = middle + 1 } else { high = middle }
          }
          held.insert(place, at: low)
          next[log] += 1
          heldCounts[log] += 1
        }
      }
    }
    fill()
    while let least = held.popLast() {
      shown.append(least)
      heldCounts[least.log] -= 1
      fill()
    }
    return shown
  }

  @Test(arguments: [1, 2, 5])
  func `entries come in the order of their times, as far as that is looked ahead`(nodeCount: Int) async throws
  {
    let seed = SeededGenerator.seed
    print("HYPHA_SEED=\(seed)")
    var random = SeededGenerator(seed: seed &+ UInt64(nodeCount))
    var (logs, places): ([any LogReader], [[Place]]) = ([], [])
    for index in 0..<nodeCount {
      let identity = LogIdentity(id: EventID(high: 7, low: UInt64(index)), node: try NodeID("n\(index)"))
      let log = try MemoryLog(store: MemoryLogStore(identity: identity), time: World.SkewedTime())
      let agent = try AgentID("a\(index)")
      var (own, batch): ([Place], LogBatch) = ([], LogBatch())
      var now: UInt64 = 1_000_000
      for position in 1...UInt64(9_000) {
        // Mostly in order; now and then old, late by more than is looked ahead, or at the time of another.
        now += random.next() % 3
        let isOld = random.next() % 500 == 0
        let time = isOld ? now - min(now - 1, random.next() % 30_000) : now + random.next() % 40
        let isCopy = random.next() % 4 == 0
        let header = RecordHeader(
          id: EventID(high: UInt64(index), low: position), time: Timestamp(rawValue: time),
          channel: .persistent,
          agent: agent, epoch: 1, sequence: position,
          previous: LanePoint(
            epoch: position > 1 ? 1 : 0, sequence: position - 1), addressee: nil, type: "T", subject: "s",
          correlation: EventID(high: UInt64(index), low: position), authority: Authority(principal: agent))
        let source = isCopy ? EntrySource.received(hops: 1) : .stated
        batch.appends.append(.init(try Record(header, payload: []), source: source))
        own.append(Place(time: time, isCopy: isCopy, log: index, position: position))
        if position.isMultiple(of: 500) {
          _ = try await log.append(batch)
          batch = LogBatch()
        }
      }
      logs.append(log)
      places.append(own)
    }
    var replay = try Replay(of: logs)
    try replay.look()
    var shown: [Place] = []
    // Whoever stops now and then sees the same.
    while try !replay.visitAll({ replayed, _ in
      let (record, log) = (replayed.entry.record, replayed.entry.record.id.high)
      shown.append(
        Place(
          time: record.time.rawValue, isCopy: replayed.entry.source != .stated, log: Int(log),
          position: replayed.entry.position.rawValue))
      return random.next() % 700 > 0
    }) {}
    #expect(shown == (nodeCount == 1 ? places[0] : expected(places)), "seed \(seed)")
    #expect(nodeCount == 1 || shown != shown.sorted(), "nothing was late")
  }
}
