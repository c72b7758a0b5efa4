import Foundation
import Glibc
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaOperator
import Testing

extension Commands {
  /// `hypha log cat` on logs that the tests write, and arguments that cannot be meant.
  @Suite struct LogCatCommandTests {
    /// A clock that a test sets, in minutes.
    private final class Minutes: TimeSource {
      let count: UInt64
      init(_ count: UInt64) { self.count = count }
      func microseconds() -> UInt64 { count * 60_000_000 }
    }

    /// Appends events to the log of node `hq`, stated and taken at a minute.
    private func append(
      _ count: Int, to directory: String, at minute: UInt64, type: EventTypeName = "T"
    ) async throws {
      let log = try LMDBLog(
        directory: directory, node: "hq", settings: LMDBLogSettings(mapByteCount: 1 << 28, niceValue: 0),
        time: Minutes(minute))
      defer { log.close() }
      let lane = Lane(agent: "ana", channel: .persistent, target: .type(type))
      let stream = StreamID(agent: "ana", epoch: 1, channel: .persistent)
      var (previous, number) = (
        try log.laneHead(lane)?.point ?? .start, try log.streamHead(stream)?.sequence ?? 0
      )
      var batch = LogBatch()
      for _ in 0..<count {
        number += 1
        let id = EventID(high: minute, low: number)
        let header = RecordHeader(
          id: id, time: Timestamp(microseconds: minute * 60_000_000), channel: .persistent, agent: "ana",
          epoch: 1, sequence: number, previous: previous, addressee: nil, type: type, subject: "s",
          contentType: .json, correlation: id, authority: Authority(principal: "ana"))
        batch.appends.append(.init(try Record(header, payload: Array("{}".utf8))))
        previous = LanePoint(epoch: 1, sequence: number)
      }
      _ = try await log.append(batch)
    }

    private var thisMinute: UInt64 { UInt64(Date().timeIntervalSince1970) / 60 }

    private func time(_ minute: UInt64) -> String {
      Date(timeIntervalSince1970: Double(minute) * 60).ISO8601Format()
    }

    @Test func `what comes is followed into a pipe as it comes, under one header`() async throws {
      let scratch = try Scratch()
      let now = thisMinute
      try await append(1, to: scratch("hq"), at: now)
      let json = try scratch.start("log", "cat", scratch("hq"), "--follow", "--json")
      let table = try scratch.start("log", "cat", scratch("hq"), "--follow")
      func lines(_ run: Hypha) -> [Substring] { run.output.split(separator: "\n") }
      #expect(await becomesTrue { lines(json).count == 1 && lines(table).count == 2 })
      for count in 2...4 {
        try await append(1, to: scratch("hq"), at: now, type: "something.MuchLongerNamed")
        #expect(await becomesTrue { lines(json).count == count && lines(table).count == count + 1 })
      }
      for run in [json, table] {
        run.signal(SIGINT)
        #expect(await run.end().status == 130)
      }
      let shown = lines(table)
      #expect(shown.count { $0.contains("subject") } == 1 && shown[0].contains("position  time"), "\(shown)")
      // A row that needs more than its column has shifts no other.
      let place = shown[0].range(of: "type")?.lowerBound.utf16Offset(in: shown[0])
      for (line, type) in zip(shown.dropFirst(), ["T  "] + Array(repeating: "something", count: 3)) {
        #expect(line.range(of: " \(type)").map { $0.lowerBound.utf16Offset(in: line) + 1 } == place)
      }
    }

    @Test func `whoever follows until a time gets all up to there, and ends`() async throws {
      let scratch = try Scratch()
      let now = thisMinute
      try await append(3, to: scratch("hq"), at: now)
      let until = Date(timeIntervalSinceNow: 2).ISO8601Format()
      let follow = try scratch.start("log", "cat", scratch("hq"), "--follow", "--until", until, "--json")
      let result = await follow.end()
      #expect(result.status == 0 && result.lines.count == 3 && result.errors == "", "\(result)")
    }

    @Test func `with --since what the log took long before is not read`() async throws {
      let scratch = try Scratch()
      for minute in 1_000...1_009 as ClosedRange<UInt64> {
        try await append(20, to: scratch("hq"), at: minute)
      }
      func cat(_ options: String...) async throws -> Hypha.Result {
        try await scratch.hypha(["log", "cat", scratch("hq"), "--json"] + options)
      }
      let all = try await cat()
      #expect(all.status == 0 && all.lines.count == 200)
      let late = try await cat("--since", time(1_007))
      #expect(late.lines == Array(all.lines.suffix(60)))
      #expect(try await cat("--since", time(1_007), "--reverse").lines == late.lines.reversed())
      let some = try await cat("--since", time(1_003), "--until", time(1_005))
      #expect(some.lines == Array(all.lines[60..<100]))
      #expect(try await cat("--since", time(1_007), "--limit", "5").lines == Array(all.lines[140..<145]))
      // A record that is damaged is an error for whoever reads it.
      let file = URL(fileURLWithPath: scratch("hq/log/data.mdb"))
      var data = try Data(contentsOf: file)
      let record = try #require(
        try LMDBLogReader(directory: scratch("hq")).entry(at: Position(rawValue: 15))?.record)
      let place = try #require(data.range(of: Data(record.bytes.suffix(40))))
      data[place.lowerBound] ^= 1
      try data.write(to: file)
      #expect(try await cat().status == 1)
      #expect(try await cat("--since", time(1_007)) == late)
    }

    @Test func `what cannot be meant is a usage error that says what to give`() async throws {
      let scratch = try Scratch()
      try await append(1, to: scratch("hq"), at: 1_000)
      func refused(_ words: String, by arguments: String..., at: SourceLocation = #_sourceLocation)
        async throws
      {
        let result = try await scratch.hypha(arguments)
        #expect(
          result.status == 2 && result.output == "" && result.errors.contains(words), "\(result)",
          sourceLocation: at)
      }
      let hq = scratch("hq")
      for command in [["log", "cat", hq], ["replay", "--data", hq], ["watch", "--data", hq]] {
        let result = try await scratch.hypha(command + ["--limit", "-1"])
        #expect(
          result.status == 2 && result.errors.contains("--limit") && result.errors.contains("0 or more"),
          "\(result)")
      }
      try await refused(
        "give --until a later time", by: "log", "cat", hq, "--since", time(9), "--until", time(8))
      try await refused(
        "give --until a later time", by: "log", "cat", hq, "--since", time(9), "--until", time(9))
      try await refused(
        "is past; leave one of them out", by: "log", "cat", hq, "--follow", "--until", time(9))
      try await refused(
        "they begin at 1", by: "log", "prune", hq, "--keep-newest", "1", "--protect", "0")
      try await refused("1h or 30d", by: "log", "prune", hq, "--keep-newer-than", "3weeks")
    }
  }
}
