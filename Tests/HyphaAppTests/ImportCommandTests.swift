import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

extension Commands {
  /// `hypha import`: where its bytes may come from, and what it leaves.
  @Suite struct ImportCommandTests {
    private static let table = "case,activity,resource,time\n1,do,Ana,2020-01-01T00:00:00Z\n"
    private static let recording = """
      <?xml version="1.0" encoding="UTF-8"?>
      <log><trace><string key="concept:name" value="1"/><event><string key="concept:name" value="do"/>
      <string key="org:resource" value="Ana"/><date key="time:timestamp" value="2020-01-01T00:00:00Z"/></event>
      </trace></log>
      """

    private func shell(_ script: String, in scratch: Scratch) async throws -> Hypha.Result {
      try await Hypha(["-c", script], in: scratch, program: "/bin/sh", environment: ["HYPHA": Places.hypha])
        .end()
    }

    private func fifo(_ scratch: Scratch) -> String {
      #expect(mkfifo(scratch("fifo"), 0o600) == 0)
      return scratch("fifo")
    }

    /// What is below the scratch directory, but for what the programs have written to their streams.
    private func isThere(_ name: String, _ scratch: Scratch) -> Bool {
      FileManager.default.fileExists(atPath: scratch(name))
    }

    @Test func `a file, a pipe and a FIFO are read alike, whatever their format`() async throws {
      let scratch = try Scratch()
      let (table, recording) = (
        try scratch.file("t.csv", Self.table), try scratch.file("r.xes", Self.recording)
      )
      let logs = try await AskedLogs(in: scratch, roundCount: 3)
      let database = scratch("o.sqlite")
      let made = try await scratch.hypha(
        "export", "--data", logs.data, "--format", "ocel-sqlite", "-o", database)
      #expect(made.status == 0)
      let fifo = fifo(scratch)
      for (index, (file, format, count)) in [
        (table, "csv", 1), (recording, "xes", 1), (database, "ocel-sqlite", 6),
      ].enumerated() {
        for (way, script) in [
          ("file", "exec \"$HYPHA\" import '\(file)'"),
          ("pipe", "cat '\(file)' | \"$HYPHA\" import /dev/stdin"),
          ("dash", "gzip -c '\(file)' | \"$HYPHA\" import -"), ("input", "\"$HYPHA\" import - < '\(file)'"),
          ("fifo", "cat '\(file)' > '\(fifo)' & \"$HYPHA\" import '\(fifo)'"),
        ] {
          let data = "\(way)-\(index)"
          let result = try await shell("\(script) --data '\(scratch(data))' --json", in: scratch)
          #expect(result.status == 0 && result.errors == "", "\(way): \(result)")
          #expect(
            result.output.contains("\"events\":\(count),\"format\":\"\(format)\""), "\(way): \(result.output)"
          )
          let names = try FileManager.default.contentsOfDirectory(atPath: scratch("\(data)/imported"))
          #expect(!names.contains { $0.hasSuffix(".sqlite") }, "\(names)")
        }
      }
    }

    @Test(arguments: [false, true])
    func `a signal ends it while it waits for bytes, and nothing is left`(isBegun: Bool) async throws {
      let scratch = try Scratch()
      let fifo = fifo(scratch)
      // With a writer that says no more, as a network may, or without any.
      let descriptor = isBegun ? open(fifo, O_RDWR) : -1
      defer { if isBegun { close(descriptor) } }
      let begin = Self.table.utf8.prefix(40)
      if isBegun { #expect(write(descriptor, Array(begin), begin.count) == begin.count) }
      let run = try scratch.start("import", fifo, "--data", scratch("deep/data"))
      // It has the FIFO open from when it waits.
      #expect(await becomesTrue { ProcessTable.hasOpen(fifo, process: run.id) })
      // A program listens for signals some time after it has begun to.
      #expect(
        await becomesTrue {
          if run.isRunning { run.signal(isBegun ? SIGINT : SIGTERM) }
          return !run.isRunning
        })
      let result = await run.end()
      #expect(result.status == (isBegun ? 130 : 143), "\(result)")
      #expect(result.errors == "stopped after 0 events; nothing was kept\n" && result.output == "")
      #expect(!isThere("deep", scratch))
    }

    @Test func `an import that fails leaves nothing, and may be tried again`() async throws {
      let scratch = try Scratch()
      let good = try scratch.file("good.jsonl", #"{"specversion":"1.0","id":"1","source":"s","type":"t"}"#)
      let bad = try scratch.file("bad.jsonl", #"{"specversion":"1.0","id":"1","source":"s"#)
      _ = try scratch.file("taken", "a file where the directory should be")
      let failed = try await scratch.hypha("import", bad, "--data", scratch("data"))
      #expect(failed.status == 1 && failed.errors.contains("ends within event 1"))
      #expect(!isThere("data", scratch))
      try FileManager.default.createDirectory(atPath: scratch("data"), withIntermediateDirectories: false)
      #expect(try await scratch.hypha("import", bad, "--data", scratch("data")).status == 1)
      #expect(try FileManager.default.contentsOfDirectory(atPath: scratch("data")).isEmpty)
      let made = try await scratch.hypha("import", good, "--data", scratch("data"))
      #expect(made.status == 0 && made.output.contains("1 events"), "\(made)")
      // What was there before stays, whatever becomes of another import.
      let again = try await scratch.hypha("import", bad, "--data", scratch("data"))
      #expect(again.status == 1 && again.errors.contains("is there already; give another --data"))
      #expect(try await scratch.hypha("log", "info", scratch("data")).status == 0)
      let taken = try await scratch.hypha("import", good, "--data", scratch("taken"))
      #expect(taken.status == 1 && taken.errors.contains("cannot be made; give another data directory"))
      #expect(isThere("taken", scratch))
    }

    /// A table with so many events, each a case of its own.
    private func largeTable(_ count: Int, on day: Int = 1, in scratch: Scratch) throws -> String {
      let rows = (1...count).map { "case \($0),do,Ana,2020-01-0\(day)T00:00:00Z\n" }
      return try scratch.file("large.csv", "case,activity,resource,time\n" + rows.joined())
    }

    @Test func `into a deployment's directory nothing is imported, and beside an import another one is`()
      async throws
    {
      let scratch = try Scratch()
      let recording = try scratch.file("r.xes", Self.recording)
      let logs = try await AskedLogs(in: scratch, roundCount: 2)
      let place = try #require(try FileManager.default.contentsOfDirectory(atPath: logs.data).sorted().first)
      for data in [logs.data, "\(logs.data)/\(place)"] {
        let before = try FileManager.default.contentsOfDirectory(atPath: data).sorted()
        let refused = try await scratch.hypha("import", recording, "--data", data)
        #expect(refused.status == 2 && refused.errors.contains("is the log of a node"), "\(refused)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: data).sorted() == before)
      }
      for node in ["one", "two"] {
        let result = try await scratch.hypha("import", recording, "--data", scratch("both"), "--node", node)
        #expect(result.status == 0, "\(result)")
      }
    }

    @Test func `what a file has beside its events is counted as an event nowhere`() async throws {
      let scratch = try Scratch()
      let recording = try scratch.file("r.xes", Self.recording)
      let data = scratch("data")
      let imported = try await scratch.hypha("import", recording, "--data", data, "--json")
      #expect(imported.output.contains("\"events\":1,"), "\(imported)")
      for words in [
        ["replay", "--data", data, "--count"], ["report", "--data", data, "-o", scratch("r.html")],
      ] {
        let result = try await Hypha(words + ["--json"], in: scratch).end()
        #expect(result.status == 0 && result.output.contains("\"events\":1,"), "\(words): \(result)")
      }
      let stats = try await scratch.hypha("log", "stats", data, "--json")
      #expect(
        stats.output.contains("\"background\":2,") && stats.output.contains("\"entries\":1,"), "\(stats)")
      let text = try await scratch.hypha("log", "stats", data)
      #expect(text.output.contains("1 entries in 1 log,") && text.output.contains("and 2 that are no events"))
      for (format, lineCount) in [("csv", 2), ("cloudevents", 1)] {
        let result = try await scratch.hypha("export", "--data", data, "--format", format)
        #expect(result.lines.count == lineCount, "\(format): \(result)")
      }
      #expect(try await scratch.hypha("replay", "--data", data, "--json").lines.count == 1)
      let asked = try await scratch.hypha("replay", "--data", data, "--json", "--type", "recorded.Trace")
      #expect(asked.lines.count == 1 && asked.output.contains("recorded.Trace"))
    }

    @Test func `an import that is killed has no log's name, and does not hinder the next`() async throws {
      let scratch = try Scratch()
      let fifo = fifo(scratch)
      let descriptor = open(fifo, O_RDWR)
      defer { close(descriptor) }
      #expect(write(descriptor, Array(Self.table.utf8), Self.table.utf8.count) == Self.table.utf8.count)
      let run = try scratch.start("import", fifo, "--data", scratch("data"), "--format", "csv")
      func names() -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: scratch("data"))) ?? []
      }
      #expect(await becomesTrue { names().contains { isThere("data/\($0)/log/data.mdb", scratch) } })
      run.signal(SIGKILL)
      _ = await run.end()
      #expect(names().count == 1 && names()[0].hasPrefix("imported.") && names()[0].hasSuffix(".partial"))
      let none = try await scratch.hypha("replay", "--data", scratch("data"))
      #expect(none.status == 1 && none.errors.contains("holds no log"), "\(none)")
      let table = try scratch.file("table.csv", Self.table)
      let made = try await scratch.hypha("import", table, "--data", scratch("data"))
      #expect(made.status == 0 && made.output.contains("1 events"), "\(made)")
      #expect(made.errors.contains("\(names().max { $0.count < $1.count } ?? "?") is of an import"))
      #expect(made.errors.contains("remove it if none runs"))
      #expect(try await scratch.hypha("replay", "--data", scratch("data"), "--count").output.contains("1 "))
    }

    @Test func `recordings in which people have the same names stay two recordings`() async throws {
      let scratch = try Scratch()
      for (node, day) in [("one", 1), ("two", 2)] {
        let table = try largeTable(6_000, on: day, in: scratch)
        let made = try await scratch.hypha("import", table, "--data", scratch("data"), "--node", node)
        #expect(made.status == 0, "\(made)")
      }
      let lines = try await scratch.hypha("replay", "--data", scratch("data"), "--json").lines
      #expect(lines.count == 12_000)
      let export = try await scratch.hypha("export", "--data", scratch("data"), "--format", "csv")
      #expect(export.lines.count == 12_001)
      for node in ["one", "two"] {
        let log = scratch("data/\(node)")
        let pruned = try await scratch.hypha("log", "prune", log, "--keep-newest", "2000", "--yes")
        #expect(pruned.status == 0, "\(pruned)")
      }
      let prunes = try await scratch.hypha(
        "replay", "--data", scratch("data"), "--type", "log.Pruned", "--json")
      #expect(prunes.lines.count == 2)
    }

    @Test func `when it says that it is done, its log's index is too`() async throws {
      let scratch = try Scratch()
      let table = try largeTable(20_000, in: scratch)
      let made = try await scratch.hypha("import", table, "--data", scratch("data"))
      #expect(made.status == 0 && made.output.contains("20,000 events"), "\(made)")
      let log = try LMDBLogReader(directory: scratch("data/imported"))
      let status = try #require(try log.indexStatus())
      #expect(status.lagCount == 0 && status.through == Position(rawValue: 20_000) && status.failure == nil)
    }

    @Test func `an export can be stopped while it puts its file together`() async throws {
      let scratch = try Scratch()
      let table = try largeTable(20_000, in: scratch)
      let made = try await scratch.hypha("import", table, "--data", scratch("data"))
      #expect(made.status == 0)
      let fifo = fifo(scratch)
      let descriptor = open(fifo, O_RDWR | O_NONBLOCK)
      defer { close(descriptor) }
      let run = try Hypha(
        ["-c", "exec \"$HYPHA\" export --data '\(scratch("data"))' --format xes > '\(fifo)'"], in: scratch,
        program: "/bin/sh", environment: ["HYPHA": Places.hypha])
      // Events are sorted by case first: when there is a byte, all were read, and there is no room for the rest.
      var awaited = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      #expect(await becomesTrue { poll(&awaited, 1, 0) > 0 })
      run.signal(SIGINT)
      var (buffer, byteCount) = ([UInt8](repeating: 0, count: 4_096), 0)
      // From here on it has room, a little at a time.
      #expect(
        await becomesTrue {
          byteCount += max(0, read(descriptor, &buffer, buffer.count))
          return !run.isRunning
        })
      let result = await run.end()
      #expect(result.status == 130 && result.errors == "stopped after 20,000 events\n", "\(result)")
      #expect(byteCount < 20_000 * 100, "it has written all: \(byteCount)")
    }
  }
}
