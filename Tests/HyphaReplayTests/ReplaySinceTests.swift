import Foundation
import HyphaCore
import HyphaFormats
import HyphaLog
import HyphaReplay
import Testing

/// From a time on, all that states a later one is shown, whenever the log has taken it.
@Suite struct ReplaySinceTests {
  private static let taken = 1_700_000_000_000_000 as UInt64

  private func emptyLog(_ time: World.SkewedTime = World.SkewedTime()) throws -> MemoryLog {
    time.set(Self.taken)
    let identity = LogIdentity(id: EventID(high: 1, low: 1), node: "some")
    return try MemoryLog(store: MemoryLogStore(identity: identity), time: time)
  }

  private func shown(_ log: any LogReader, since: Timestamp? = nil) throws -> [Timestamp] {
    var filter = EntryFilter()
    filter.since = since
    var replay = try Replay(of: [log], filter: filter)
    try replay.look()
    var times: [Timestamp] = []
    try replay.visit {
      times.append($0.entry.record.time)
      return true
    }
    return times
  }

  private func append(to log: MemoryLog, _ sequence: UInt64, at time: UInt64) async throws {
    let id = EventID(high: 2, low: sequence)
    let header = RecordHeader(
      id: id, time: Timestamp(microseconds: time), channel: .persistent, agent: "a", epoch: 1,
      sequence: sequence, previous: LanePoint(epoch: sequence > 1 ? 1 : 0, sequence: sequence - 1),
      addressee: nil, type: "T", subject: "s", correlation: id, authority: Authority(principal: "a"))
    _ = try await log.append(LogBatch(appends: [.init(try Record(header, payload: []))]))
  }

  @Test func `of an import all is found, however far in the future or the past it lies`() async throws {
    let path = NSTemporaryDirectory() + "hypha-since-\(UUID().uuidString).csv"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let years = [2050, 1985, 2023, 2099, 2023, 2051]
    let rows = years.map { "c,a,r,\($0)-06-01T00:00:00Z\n" }
    try Data(("case,activity,resource,time\n" + rows.joined()).utf8).write(to: URL(fileURLWithPath: path))
    let log = try emptyLog()
    try LogImporter(into: log).addRecording(GzipInputStream(path: path), options: .init(format: .csv))
    let all = try shown(log)
    #expect(all.count == years.count)
    for time in all {
      #expect(try shown(log, since: time) == all.filter { $0 >= time })
    }
    // A node that goes on with such a log changes nothing of that.
    try await append(to: log, 1, at: Self.taken)
    #expect(try shown(log, since: all[3]) == [all[3]])
  }

  @Test func `whoever seeks behind the last event stays where it is`() async throws {
    let log = try emptyLog()
    for sequence in 1...5 as ClosedRange<UInt64> {
      try await append(to: log, sequence, at: Self.taken + sequence * 1_000_000)
    }
    func replay(since seconds: UInt64) throws -> Replay {
      var filter = EntryFilter()
      filter.since = Timestamp(microseconds: Self.taken + seconds * 1_000_000)
      return try Replay(of: [log], filter: filter)
    }
    var player = ReplayPlayer(try replay(since: 0), pace: ReplayPace(rate: .unlimited))
    try player.look()
    func all() throws -> [UInt64] {
      var shown: [UInt64] = []
      while case .shown = try player.advance(now: .zero, { shown.append($0.entry.record.sequence) }) {}
      return shown
    }
    #expect(try !player.seek(to: replay(since: 6), isWantedEmpty: false))
    #expect(try all() == [1, 2, 3, 4, 5])
    #expect(try player.seek(to: replay(since: 4), isWantedEmpty: false))
    #expect(player.leftCount == 2)
    #expect(try all() == [4, 5])
    #expect(try player.seek(to: replay(since: 6)))
    #expect(try all() == [])
  }

  @Test func `what a node has taken long before is not read`() async throws {
    let time = World.SkewedTime()
    let log = try emptyLog(time)
    for sequence in 1...100 as ClosedRange<UInt64> {
      time.set(Self.taken + sequence * 10_000_000)
      try await append(to: log, sequence, at: Self.taken + sequence * 10_000_000)
    }
    var filter = EntryFilter()
    filter.since = Timestamp(microseconds: Self.taken + 50 * 10_000_000)
    // A minute, by which clocks may be apart, is six events.
    #expect(try filter.placeBeforeAll(in: log).rawValue == 43)
    #expect(try shown(log, since: filter.since).count == 51)
    filter.since = nil
    #expect(try filter.placeBeforeAll(in: log) == .start)
  }
}
