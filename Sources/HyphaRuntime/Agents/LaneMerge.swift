import HyphaCore
import HyphaLog

/// An agent's persistent events as the agent has stated them, from a log in which they lie otherwise: lane by lane, as they came
/// from another node. In each lane they are in order, so the lanes are merged.
///
/// - Complexity: memory for some thousand events of all lanes together, and at least one of each lane.
struct LaneMerge {
  /// A lane as far as it was read.
  private struct Source {
    var query: LogQuery
    var entries: [LogEntry] = []
    var index = 0
    /// Where the next page begins; nil before the first, and behind the last.
    var cursor: LogCursor?
    var isOver = false
  }

  private let log: any LogReader
  private let point: LanePoint
  private let limits: LogPageLimits
  private var sources: [Source] = []
  /// The next event's place of each lane that has one: a heap, the earliest first.
  private var heap: [(point: LanePoint, source: Int)] = []

  /// How much of all lanes is held together.
  static let (entryCountMax, byteCountMax) = (4_096, 8 << 20)

  /// The events of `query`, which names an agent, after a point.
  init(_ log: any LogReader, _ query: LogQuery, after point: LanePoint) throws {
    self.log = log
    self.point = point
    let lanes = try log.laneHeads().filter { lane, head in
      guard lane.agent == query.agent, lane.channel == .persistent, head.point > point else { return false }
      guard case .type(let type) = lane.target, !query.types.isEmpty else { return true }
      return query.types.contains(type)
    }
    let share = max(1, lanes.count)
    limits = LogPageLimits(
      entryCountMax: min(256, Self.entryCountMax / share), byteCountMax: Self.byteCountMax / share)
    for lane in lanes.keys {
      var part = query
      part.lane = lane
      sources.append(Source(query: part))
      try advance(sources.count - 1)
    }
  }

  /// How many events are in memory.
  var heldCount: Int { sources.reduce(0) { $0 + $1.entries.count - $1.index } }

  /// The next event; nil when there is none any more.
  mutating func next() throws -> LogEntry? {
    guard let first = heap.first else { return nil }
    let entry = sources[first.source].entries[sources[first.source].index]
    sources[first.source].index += 1
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      siftDown()
    }
    try advance(first.source)
    return entry
  }

  /// Adds the next event of a lane to the heap, and reads on where that must be.
  private mutating func advance(_ number: Int) throws {
    while true {
      while sources[number].index < sources[number].entries.count {
        let next = sources[number].entries[sources[number].index].record.point
        if next > point { return siftUp((next, number)) }
        sources[number].index += 1
      }
      guard !sources[number].isOver else { return }
      let page = try log.page(of: sources[number].query, after: sources[number].cursor, limits: limits)
      (sources[number].entries, sources[number].index) = (page.entries, 0)
      sources[number].cursor = page.next
      sources[number].isOver = page.next == nil
    }
  }

  private mutating func siftUp(_ item: (point: LanePoint, source: Int)) {
    heap.append(item)
    var place = heap.count - 1
    while place > 0, heap[place].point < heap[(place - 1) / 2].point {
      heap.swapAt(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  private mutating func siftDown() {
    var place = 0
    while true {
      var least = place
      for child in 2 * place + 1...2 * place + 2
      where child < heap.count && heap[child].point < heap[least].point { least = child }
      guard least != place else { return }
      heap.swapAt(place, least)
      place = least
    }
  }
}

extension LogReader {
  /// Calls `body` with the persistent events of one agent after a point, as the agent has stated them, until it returns false:
  /// for a log in which they lie otherwise.
  ///
  /// - Parameter query: names the agent, and may name types and positions.
  func visitInOrder(_ query: LogQuery, after point: LanePoint, _ body: (LogEntry) throws -> Bool) throws {
    var merge = try LaneMerge(self, query, after: point)
    while let entry = try merge.next() { guard try body(entry) else { return } }
  }
}
