import HyphaCore
import HyphaLog
import HyphaLogLMDB

/// Asks a log and its model the same questions, one drawn at a time. Pages are walked and followers followed over many
/// rounds, so that appends, prunes and openings lie between two steps.
struct ModelReading {
  private(set) var operationCount = 0
  private var walks: [Walk] = []
  private var followers: [Follower] = []

  /// A query whose pages are fetched one by one.
  private struct Walk {
    let query: LogQuery
    let limits: LogPageLimits
    /// As text, as it travels.
    var cursor: String?
    /// What is still to come, as of the first page.
    var rest: ArraySlice<LogEntry>
  }

  private struct Follower {
    let query: LogQuery
    var seen: Position
    /// Made anew when the log is opened again.
    var iterator: LogFollower.Iterator?
  }

  mutating func forgetFollowers() {
    for index in followers.indices { followers[index].iterator = nil }
  }

  // MARK: Questions

  /// One question about what is there, while more may be on its way.
  mutating func lookAmid(_ log: any LogReader, _ model: LogModel, _ traffic: inout ModelTraffic) throws {
    operationCount += 1
    switch traffic.count(in: 0...3) {
    case 0:
      let position = traffic.pick(model.present).position
      try Disagreement.unless(
        try log.entry(at: position) == model.entry(at: position), "entry at \(position)")
    case 1: try step(log, model, &traffic)
    default:
      let query = try query(model, &traffic, upTo: model.head)
      try walk(query, log, model, &traffic)
    }
  }

  /// One question to the log, or to a reader that was opened for it, while nothing is on its way.
  mutating func look(
    _ log: any LogReader, _ home: LogHome, _ model: LogModel, _ traffic: inout ModelTraffic
  ) async throws {
    operationCount += 1
    let kind = traffic.count(in: 0...15)
    let isApart = log is LMDBLog && kind > 1 && traffic.chance(0.1)
    let log = isApart ? try LMDBLogReader(directory: home.directory) : log
    // The ends of what is there are asked for more often than they would be by chance.
    let part =
      traffic.chance(0.8)
      ? model.present[...] : traffic.chance(0.5) ? model.present.prefix(1) : model.present.suffix(1)
    let sample = traffic.pick(part)
    let header = sample.record.header
    switch kind {
    case 0, 1: try await follow(log, model, &traffic)
    case 2:
      let after = Position(rawValue: UInt64(traffic.count(in: 0...model.entries.count)))
      let limit = traffic.count(in: 1...60)
      let expected = model.present.filter { $0.position > after }.prefix(limit)
      let read = try log.read(after: after, limit: limit, byteLimit: 1 << 30)
      try Disagreement.unless(read == Array(expected), "read after \(after)")
    case 3:
      let position = Position(rawValue: UInt64(traffic.count(in: 0...model.entries.count + 1)))
      try Disagreement.unless(
        try log.entry(at: position) == model.entry(at: position), "entry at \(position)")
    case 4:
      let point = traffic.chance(0.5) ? .start : header.point
      let limit = traffic.chance(0.5) ? Int.max : traffic.count(in: 1...20)
      let positions = try log.positions(ofLane: header.lane, after: point, limit: limit)
      let expected = model.positions(of: header.lane, after: point).prefix(limit)
      try Disagreement.unless(positions == Array(expected), "lane \(header.lane) after \(point)")
    case 5:
      let sequence = traffic.chance(0.5) ? 1 : header.sequence
      let limit = traffic.chance(0.5) ? Int.max : traffic.count(in: 1...20)
      let expected = model.entries(of: header.stream, from: sequence).prefix(limit)
      let read = try log.read(stream: header.stream, from: sequence, limit: limit)
      try Disagreement.unless(read == Array(expected), "stream \(header.stream) from \(sequence)")
    case 6:
      let time = traffic.chance(0.5) ? sample.appendedAt : Timestamp(rawValue: sample.appendedAt.rawValue + 1)
      let (position, expected) = (try log.position(before: time), model.position(before: time))
      try Disagreement.unless(position == expected, "\(position) before \(time), not \(expected)")
    case 7:
      let found = try log.entry(withID: header.id)
      try Disagreement.unless(found == sample, "the event \(header.id) at \(sample.position)")
    case 8 where traffic.chance(0.3):
      let limit = traffic.chance(0.3) ? traffic.count(in: 1...10) : 400
      let tree = try log.causalTree(of: header.id, limit: limit)
      let expected = model.causalTree(of: header.id, limit: limit)
      try Disagreement.unless(
        tree.nodes.map(\.entry) == expected.map(\.entry) && tree.nodes.map(\.depth) == expected.map(\.depth),
        "what follows from \(header.id), \(limit) at most")
      for node in tree.nodes {
        let cause = node.parent.map { tree.nodes[$0].entry.record.header.id }
        let isRoot = node.entry == sample
        try Disagreement.unless(
          isRoot ? cause == nil : cause == node.entry.record.header.causation, "the cause of \(node.entry)")
      }
    case 9: try compare(log, model, lane: header.lane, stream: header.stream)
    case 10, 11, 12: try step(log, model, &traffic)
    default: try walk(query(model, &traffic, upTo: nil), log, model, &traffic)
    }
  }

  private func compare(_ log: any LogReader, _ model: LogModel, lane: Lane, stream: StreamID) throws {
    try Disagreement.unless(try log.laneHead(lane) == model.laneHead(lane), "head of \(lane)")
    try Disagreement.unless(try log.streamHead(stream) == model.streamHead(stream), "head of \(stream)")
    for channel in [Channel.persistent, .alert] {
      let key = CursorKey(agent: lane.agent, channel: channel)
      try Disagreement.unless(try log.cursor(key) == model.cursors[key], "cursor of \(key)")
    }
    try Disagreement.unless(
      try log.snapshot(of: lane.agent) == model.snapshots[lane.agent], "snapshot of \(lane.agent)")
  }

  // MARK: Queries

  /// A query that finds something; mostly within some positions, so that the model need not look at all.
  private func query(_ model: LogModel, _ traffic: inout ModelTraffic, upTo last: Position?) throws
    -> LogQuery
  {
    let sample = traffic.pick(model.present)
    var query = try traffic.query(like: sample)
    if last != nil || traffic.chance(0.8) {
      let low = max(1, Int(sample.position.rawValue) - traffic.count(in: 0...1_000))
      let high = min(low + traffic.count(in: 0...1_500), last.map { Int($0.rawValue) } ?? .max)
      query.positions = Position(rawValue: UInt64(low))...Position(rawValue: UInt64(max(low, high)))
    }
    if traffic.chance(0.2) {
      let times = [sample.appendedAt, traffic.pick(model.present).appendedAt]
      query.times = min(times[0], times[1])..<max(times[0], times[1])
    }
    return query
  }

  private mutating func walk(
    _ query: LogQuery, _ log: any LogReader, _ model: LogModel, _ traffic: inout ModelTraffic
  ) throws {
    let limits = LogPageLimits(
      entryCountMax: traffic.count(in: 1...80), byteCountMax: traffic.chance(0.2) ? 3_000 : 1 << 20,
      examinedCountMax: traffic.chance(0.3) ? traffic.count(in: 1...300) : 65_536)
    var walk = Walk(query: query, limits: limits, rest: model.entries(matching: query)[...])
    if try next(of: &walk, log, model) { walks.append(walk) }
    if walks.count > 6 { walks.remove(at: traffic.count(in: 0...walks.count - 1)) }
  }

  /// One more page of a walk that was begun earlier.
  private mutating func step(_ log: any LogReader, _ model: LogModel, _ traffic: inout ModelTraffic) throws {
    guard !walks.isEmpty else { return }
    let index = traffic.count(in: 0...walks.count - 1)
    if try !next(of: &walks[index], log, model) { walks.remove(at: index) }
  }

  /// Fetches the next page and compares it; whether there are more.
  private func next(of walk: inout Walk, _ log: any LogReader, _ model: LogModel) throws -> Bool {
    let page = try log.page(of: walk.query, after: walk.cursor.map { try LogCursor($0) }, limits: walk.limits)
    // What was pruned since does not come any more.
    walk.rest = walk.rest.filter { model.entry(at: $0.position) != nil }[...]
    let expected = walk.rest.prefix(page.entries.count)
    let limits = walk.limits
    try Disagreement.unless(
      page.entries == Array(expected) && page.entries.count <= limits.entryCountMax
        && page.examinedCount <= limits.examinedCountMax, "a page of \(walk.query) with \(limits)")
    walk.rest.removeFirst(page.entries.count)
    walk.cursor = page.next?.description
    try Disagreement.unless(
      page.next != nil || walk.rest.isEmpty, "the pages of \(walk.query) end \(walk.rest.count) entries early"
    )
    return page.next != nil
  }

  // MARK: Followers

  private mutating func follow(
    _ log: any LogReader, _ model: LogModel, _ traffic: inout ModelTraffic
  ) async throws {
    if followers.count < 3 {
      var query = try traffic.query(like: traffic.pick(model.present))
      query.order = .forward
      followers.append(Follower(query: query, seen: traffic.chance(0.5) ? .start : model.head))
    }
    let index = traffic.count(in: 0...followers.count - 1)
    var follower = followers[index]
    var query = follower.query
    query.positions = follower.seen.next...Position(rawValue: .max)
    var rest = model.entries(matching: query)[...]
    let limits = LogPageLimits(entryCountMax: traffic.count(in: 1...100))
    var iterator =
      follower.iterator
      ?? log.follow(follower.query, after: follower.seen, limits: limits).makeAsyncIterator()
    while let last = rest.first {
      guard let batch = try await iterator.nextBatch() else {
        throw Disagreement(description: "a follower ends before \(last.position)")
      }
      try Disagreement.unless(batch == rest.prefix(batch.count), "a follower of \(follower.query)")
      rest = rest.dropFirst(batch.count)
    }
    follower.iterator = iterator
    follower.seen = model.head
    followers[index] = follower
    if traffic.chance(0.1) { followers.remove(at: index) }
  }
}
