import Foundation
import HyphaCore
import Testing

/// A Python with the packages that exports are for, as ``Python`` finds it.
enum ExportTools {
  static let script = Places.package.appending(path: "tools/check-exports").path
  static let python = Python.path

  static let areThere: Bool = {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [python, script, "--packages"]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }()

  /// What the tool that `format` is for finds in a file, or in two.
  static func findings(_ format: String, _ paths: String..., in scratch: Scratch) async throws -> JSONValue {
    let result = try await Hypha(
      [python, script, format] + paths, in: scratch, program: "/usr/bin/env",
      environment: ["MPLBACKEND": "Agg"]
    ).end(within: .seconds(300))
    let line = try #require(result.lines.last { $0.hasPrefix("{") }, "\(result.errors.suffix(2_000))")
    return try JSON.decode(JSONValue.self, from: line.utf8)
  }
}

extension Commands {
  /// `hypha export`, `hypha trace`, `hypha log stats`.
  @Suite struct ExportCommandTests {
    private static let formats = [
      "cloudevents", "cloudevents-batch", "ocel-json", "ocel-sqlite", "xes", "otlp", "csv", "graphml",
    ]

    @Test(
      .enabled(
        if: ExportTools.areThere,
        "no Python with what tools/check-exports names; HYPHA_PYTHON may name one"))
    func `the tools that exports are for open them and find what was recorded`() async throws {
      let scratch = try Scratch()
      let logs = try await AskedLogs(in: scratch, roundCount: 30)
      var found: [String: JSONValue] = [:]
      for format in Self.formats {
        let made = try await scratch.hypha(
          "export", "--data", logs.data, "--format", format, "-o", scratch("out.\(format)"))
        #expect(made.status == 0 && made.output.contains("60 events as \(format)"), "\(made.errors)")
        found[format] = try await ExportTools.findings(format, scratch("out.\(format)"), in: scratch)
      }
      for format in ["cloudevents", "cloudevents-batch"] {
        #expect(found[format]?["events"] == .integer(60) && found[format]?["ids"] == .integer(60))
        #expect(found[format]?["broken"] == .integer(0) && found[format]?["odd"] == .array([]))
      }
      #expect(found["csv"]?["events"] == .integer(60) && found["csv"]?["ids"] == .integer(60))
      let xes = try #require(found["xes"])
      #expect(
        xes["events"] == .integer(60) && xes["cases"] == .integer(30) && xes["handOvers"] == .integer(30))
      #expect(
        xes["activities"] == .integer(2) && xes["follows"] == .integer(1) && xes["transitions"] == .integer(2)
      )
      let ocel = try #require(found["ocel-json"])
      #expect(ocel["events"] == .integer(60) && ocel["objects"] == .integer(32))
      #expect(ocel["relations"] == .integer(180) && ocel["activities"] == .integer(2))
      #expect(found["ocel-sqlite"] == ocel)
      let otlp = try #require(found["otlp"])
      #expect(
        otlp["spans"] == .integer(60) && otlp["traces"] == .integer(30) && otlp["parents"] == .integer(30))
      #expect(otlp["backwards"] == .integer(0) && otlp["lengths"] == .array([.integer(8), .integer(16)]))
      let graph = try #require(found["graphml"])
      #expect(
        graph["nodes"] == .integer(2) && graph["edges"] == .integer(2) && graph["events"] == .integer(60))
    }

    @Test(
      .enabled(
        if: ExportTools.areThere && Places.hasRecording("coselog-receipt.xes.gz"),
        "no Python with what tools/check-exports names, or no recordings in ../shared/data"),
      arguments: [
        ("running-example.xes", 32), ("coselog-receipt.xes.gz", 1_208),
        ("bpic2020-PrepaidTravelCost.xes.gz", 1_957), ("bpic2020-DomesticDeclarations.xes.gz", 9_919),
        ("bpic2012.xes.gz", 51_712),
      ])
    func `who hands over to whom in a recording is what pm4py finds in the export of its run`(
      _ name: String, _ count: Int64
    ) async throws {
      let scratch = try Scratch()
      let acted = try await ActedLog(name, in: scratch)
      #expect(try await acted.start().end(within: .seconds(300)).status == 0)
      let made = try await scratch.hypha(
        "export", "--data", acted.data, "--format", "xes", "--type", "work.HandedOver", "--type",
        "work.CaseClosed",
        "-o", scratch("acted.xes"))
      #expect(made.status == 0, "\(made.errors)")
      let source = try await ExportTools.findings("hand-overs", Places.recording(name), in: scratch)
      let exported = try await ExportTools.findings("hand-overs", scratch("acted.xes"), in: scratch)
      #expect(source["handOvers"] == .integer(count) && exported["handOvers"] == .integer(count))
      // Names are those of agents; how often each pair hands over is the same.
      #expect(source["pairs"] == exported["pairs"])
    }

    @Test(
      .enabled(
        if: ExportTools.areThere, "no Python with what tools/check-exports names; HYPHA_PYTHON may name one"))
    func `the Python reader of logs gives what a replay gives, and three plots`() async throws {
      let scratch = try Scratch()
      let logs = try await AskedLogs(in: scratch, roundCount: 200)
      let reader = Places.package.appending(path: "tools/hypha_log.py").path
      func read(_ options: String...) async throws -> Hypha.Result {
        try await Hypha(
          [ExportTools.python, reader, logs.data] + options, in: scratch, program: "/usr/bin/env",
          environment: ["MPLBACKEND": "Agg"]
        ).end(within: .seconds(300))
      }
      let made = try await read("--output", scratch("table.jsonl"))
      #expect(made.status == 0 && made.output.contains("400 events"), "\(made.errors.suffix(2_000))")
      let table = try String(contentsOfFile: scratch("table.jsonl"), encoding: .utf8).split(separator: "\n")
        .map { try JSON.decode(JSONValue.self, from: $0.utf8) }
      let replay = try await scratch.hypha("replay", "--data", logs.data, "--json")
      let shown = try replay.lines.map { try JSON.decode(JSONValue.self, from: $0.utf8) }
      #expect(table.count == 400 && shown.count == 400)
      for name in [
        "id", "node", "position", "agent", "addressee", "type", "subject", "epoch", "sequence", "channel",
        "causation",
        "correlation", "principal", "grant", "policyVersion", "schemaVersion", "source",
      ] {
        let (left, right) = (table.map { $0[name] ?? .null }, shown.map { $0[name] ?? .null })
        #expect(left == right, "\(name)")
      }
      #expect(
        table.map { $0["json"]?.text } == shown.map { line in line["payload"].flatMap { try? JSON.text($0) } }
      )
      let notebook = Places.package.appending(path: "tools/hypha_notebook.py").path
      let plots = try await Hypha(
        [ExportTools.python, notebook, logs.data, scratch("plots")], in: scratch, program: "/usr/bin/env",
        environment: ["MPLBACKEND": "Agg"]
      ).end(within: .seconds(300))
      // A single log is in its own order.
      let single = try await Hypha(
        [ExportTools.python, reader, "\(logs.data)/hq", "--output", scratch("one.jsonl")], in: scratch,
        program: "/usr/bin/env"
      ).end(within: .seconds(300))
      #expect(single.status == 0)
      let positions = try String(contentsOfFile: scratch("one.jsonl"), encoding: .utf8).split(separator: "\n")
        .map { try JSON.decode(JSONValue.self, from: $0.utf8)["position"] }
      let own = try await scratch.hypha("replay", "--data", "\(logs.data)/hq", "--json").lines
        .map { try JSON.decode(JSONValue.self, from: $0.utf8)["position"] }
      #expect(positions == own && !own.isEmpty)
      #expect(plots.status == 0 && plots.lines.count == 3, "\(plots.errors.suffix(2_000))")
      for path in plots.lines {
        #expect(FileManager.default.contents(atPath: path).map { $0.count > 5_000 } == true, "\(path)")
      }
    }

    @Test func `a file has its name when it is whole, and not before`() async throws {
      let scratch = try Scratch()
      let logs = try await AskedLogs(in: scratch, roundCount: 5)
      let kept = try scratch.file("kept.csv", "what was there")
      let bad = try await scratch.hypha(
        "export", "--data", logs.data, "--format", "csv", "--from", "3", "-o", kept)
      #expect(bad.status == 2 && bad.errors.contains("name one node"))
      #expect(try String(contentsOfFile: kept, encoding: .utf8) == "what was there")
      let good = try await scratch.hypha(
        "export", "--data", logs.data, "--format", "csv", "--type", "work.Asked", "-o", kept, "--json")
      #expect(good.status == 0 && good.output.contains(#""events":5"#))
      #expect(try String(contentsOfFile: kept, encoding: .utf8).split(separator: "\n").count == 6)
      for path in [scratch("nix/out.csv"), scratch("data")] {
        let result = try await scratch.hypha("export", "--data", logs.data, "--format", "csv", "-o", path)
        #expect(result.status == 1 && result.errors.contains("cannot be written; name a file"))
      }
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: scratch.path).allSatisfy {
          !$0.contains("partial")
        })
      let database = try await scratch.hypha("export", "--data", logs.data, "--format", "ocel-sqlite")
      #expect(database.status == 2 && database.errors.contains("give one with -o"))
      let piped = try await scratch.hypha("export", "--data", logs.data, "--format", "cloudevents")
      #expect(piped.status == 0 && piped.lines.count == 10)
      #expect(try await scratch.hypha("export", "--data", logs.data, "--format", "word").status == 2)
    }

    @Test func `links are followed, and pipes are written to as it comes`() async throws {
      let scratch = try Scratch()
      let logs = try await AskedLogs(in: scratch, roundCount: 5)
      func export(_ path: String, _ format: String = "csv") throws -> Hypha {
        try scratch.start("export", "--data", logs.data, "--format", format, "-o", path)
      }
      let files = FileManager.default
      try files.createDirectory(atPath: scratch("far"), withIntermediateDirectories: true)
      for target in ["far/new.csv", "far/old.csv"] {
        if target == "far/old.csv" { _ = try scratch.file(target, "what was there") }
        let link = scratch("\(target.split(separator: "/")[1])")
        try files.createSymbolicLink(atPath: link, withDestinationPath: target)
        #expect(await (try export(link)).end().status == 0)
        #expect(try files.destinationOfSymbolicLink(atPath: link) == target)
        #expect(
          try String(contentsOfFile: scratch(target), encoding: .utf8).split(separator: "\n").count == 11)
      }
      #expect(mkfifo(scratch("fifo"), 0o600) == 0)
      // While nobody reads it, Ctrl-C ends the wait.
      let alone = try export(scratch("fifo"))
      let data = "\(logs.data)/hq/log/data.mdb"
      #expect(await becomesTrue { ProcessTable.hasOpen(data, process: alone.id) })
      #expect(
        await becomesTrue {
          if alone.isRunning { alone.signal(SIGINT) }
          return !alone.isRunning
        })
      let ended = await alone.end()
      #expect(ended.status == 130 && ended.errors.contains("stopped after 0 events"), "\(ended)")
      let writing = try export(scratch("fifo"))
      let reading = try Hypha(["-c", "cat fifo"], in: scratch, program: "/bin/sh")
      #expect(await reading.end().lines.count == 11)
      #expect(await writing.end().status == 0)
      var status = stat()
      #expect(stat(scratch("fifo"), &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
      let holder = open(scratch("fifo"), O_RDWR)
      let database = await (try export(scratch("fifo"), "ocel-sqlite")).end()
      close(holder)
      #expect(database.status == 2 && database.errors.contains("is no file"), "\(database)")
      let left = try files.subpathsOfDirectory(atPath: scratch.path)
      #expect(left.allSatisfy { !$0.contains("partial") }, "\(left)")
    }

    @Test func `what was exported is imported, and half an import leaves nothing`() async throws {
      let scratch = try Scratch()
      let logs = try await AskedLogs(in: scratch, roundCount: 20)
      let options = ["--format", "cloudevents", "-o"]
      _ = try await Hypha.run(["export", "--data", logs.data] + options + [scratch("a.jsonl")], in: scratch)
      let made = try await scratch.hypha(
        "import", scratch("a.jsonl"), "--data", scratch("copy"), "--node", "lab")
      #expect(made.status == 0 && made.output.contains("40 events") && made.errors == "")
      _ = try await Hypha.run(
        ["export", "--data", scratch("copy")] + options + [scratch("b.jsonl")], in: scratch)
      let (before, after) = (scratch("a.jsonl"), scratch("b.jsonl"))
      #expect(FileManager.default.contentsEqual(atPath: before, andPath: after))
      #expect(try await scratch.hypha("log", "verify", scratch("copy")).status == 0)
      let again = try await scratch.hypha("import", before, "--data", scratch("copy"), "--node", "lab")
      #expect(again.status == 1 && again.errors.contains("is there already"))
      let cut = try scratch.file(
        "cut.jsonl", String(contentsOfFile: before, encoding: .utf8).dropLast(30).description)
      let refused = try await scratch.hypha("import", cut, "--data", scratch("half"))
      #expect(refused.status == 1 && refused.errors.contains("ends within event 40"))
      #expect(!FileManager.default.fileExists(atPath: scratch("half/imported/log/data.mdb")))
      for format in ["ocel-json", "ocel-sqlite"] {
        let (first, second) = (scratch("first.\(format)"), scratch("second.\(format)"))
        _ = try await scratch.hypha("export", "--data", logs.data, "--format", format, "-o", first)
        // What it is, its content tells.
        let ocel = try await scratch.hypha("import", first, "--data", scratch("data-\(format)"))
        #expect(
          ocel.status == 0 && ocel.output.contains("40 events") && ocel.output.contains("(\(format))"),
          "\(ocel)")
        _ = try await scratch.hypha(
          "export", "--data", scratch("data-\(format)"), "--format", "ocel-json", "-o", second)
        let again = try JSON.decode(JSONValue.self, from: Data(contentsOf: URL(fileURLWithPath: second)))
        if case .array(let events)? = again["events"] { #expect(events.count == 40) }
      }
      let table = try scratch.file("t.csv", "case,activity,resource,time\n1,do,Ana,2020-01-01T00:00:00Z\n")
      let csv = try await scratch.hypha("import", table, "--data", scratch("table"), "--json")
      #expect(csv.status == 0 && csv.output.contains(#""events":1"#))
      let empty = try scratch.file("empty", "")
      #expect(try await scratch.hypha("import", empty, "--data", scratch("none")).errors.contains("is empty"))
    }

    @Test func `a trace and statistics are printed for people and for programs`() async throws {
      let scratch = try Scratch()
      let logs = try await AskedLogs(in: scratch, roundCount: 5)
      let replay = try await scratch.hypha("replay", "--data", logs.data, "--type", "work.Answered", "--json")
      let answer = try JSON.decode(JSONValue.self, from: try #require(replay.lines.first).utf8)
      let id = try #require(answer["id"]?.text)
      let text = try await scratch.hypha("trace", id, "--data", logs.data)
      #expect(
        text.status == 0 && text.output.contains("asked for") && text.output.contains("ana → bo  work.Asked"))
      #expect(text.output.contains("2 events, 10 ms along the longest path of 2"))
      #expect(text.output.contains("by bo (topology, policy 0)"))
      let json = try await scratch.hypha("trace", id, "--data", logs.data, "--json")
      let trace = try JSON.decode(JSONValue.self, from: json.output.utf8)
      #expect(trace["focus"] == .integer(1))
      for format in ["dot", "mermaid", "otlp"] {
        let made = try await scratch.hypha("trace", id, "--data", logs.data, "--format", format)
        #expect(made.status == 0 && !made.output.isEmpty)
      }
      let none = try await scratch.hypha(
        "trace", "01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d", "--data", logs.data)
      #expect(none.status == 1 && none.errors.contains("none of the 2 logs has the event"))
      let stats = try await scratch.hypha("log", "stats", logs.data, "--json")
      let figures = try JSON.decode(JSONValue.self, from: stats.output.utf8)
      #expect(figures["entries"] == .integer(20) && figures["logs"] == .integer(2))
      #expect(try await scratch.hypha("log", "stats", logs.data).output.contains("20 entries in 2 logs"))
    }
  }
}
