import Foundation
import HyphaCore
import HyphaLog
import HyphaRuntime
import Testing

@testable import HyphaLogLMDB

extension Commands {
  /// `hypha log verify` and `head` on logs that are altered or damaged.
  @Suite struct LogSafetyTests {
    private func copy(_ from: String, _ to: String) throws {
      try FileManager.default.copyItem(atPath: from, toPath: to)
    }

    @Test func `what other nodes' logs have kept of a log tells when it was written anew`() async throws {
      let scratch = try Scratch()
      let (hq, desk) = (scratch("data/hq"), scratch("data/desk"))
      func keep(_ sequence: UInt64) throws -> LogBatch {
        let log = try LMDBLog(
          directory: hq, node: "hq", settings: LMDBLogSettings(mapByteCount: 1 << 28), time: PlainLog.Clock())
        defer { log.close() }
        let signed = try #require(try log.signedHead())
        let id = EventID(high: 7, low: sequence)
        let header = RecordHeader(
          id: id, time: Timestamp(microseconds: sequence), channel: .persistent, agent: "hypha.node.hq",
          epoch: 1,
          sequence: sequence, previous: sequence == 1 ? .start : LanePoint(epoch: 1, sequence: sequence - 1),
          addressee: nil, type: LogHeadSigned.eventType, subject: "hypha.log", correlation: id,
          authority: Authority(principal: "hypha.node.hq", grant: "topology"))
        let record = try Record(header, payload: Array(JSON.encode(LogHeadSigned(signed))))
        return LogBatch(appends: [.init(record, source: .received(hops: 1))])
      }
      func take(_ batch: LogBatch) async throws {
        let log = try LMDBLog(
          directory: desk, node: "desk", settings: LMDBLogSettings(mapByteCount: 1 << 28),
          time: PlainLog.Clock())
        defer { log.close() }
        _ = try await log.append(batch)
      }
      try await PlainLog.append(30, to: hq)
      try await take(keep(1))
      try copy(hq, scratch("older"))
      try await PlainLog.append(10, to: hq)
      try await take(keep(2))
      let sound = try await scratch.hypha("log", "verify", scratch("data"))
      #expect(sound.status == 0 && sound.errors == "", "\(sound)")
      #expect(
        sound.output.contains("agrees with the signed heads that other logs have kept: \(desk) (2)"),
        "\(sound)")
      let alone = try await scratch.hypha("log", "verify", hq, "--witness", desk)
      #expect(alone.status == 0 && alone.output.contains("\(desk) (2)"), "\(alone)")
      // Its end was cut off; then it was written on otherwise.
      try FileManager.default.removeItem(atPath: hq)
      try copy(scratch("older"), hq)
      let cut = try await scratch.hypha("log", "verify", scratch("data"))
      #expect(cut.status == 1 && cut.output.contains("\(desk) at 2: behind: "), "\(cut)")
      #expect(cut.output.contains("\(desk) (1)"), "what was signed before still holds: \(cut)")
      try await PlainLog.append(10, to: hq, payload: [4])
      let rewritten = try await scratch.hypha("log", "verify", scratch("data"), "--json")
      #expect(rewritten.status == 1 && rewritten.output.contains("\"verdict\":\"altered\""), "\(rewritten)")
      let checked = try await scratch.hypha("log", "head", hq, "--check", desk)
      #expect(checked.status == 1 && checked.output.contains("altered"), "\(checked)")
      // Another log in its place counts against it, until somebody says that it is there on purpose.
      try FileManager.default.removeItem(atPath: hq)
      try await PlainLog.append(3, to: hq)
      for arguments in [[scratch("data")], [hq, "--witness", desk]] {
        let replaced = try await scratch.hypha(["log", "verify"] + arguments)
        #expect(
          replaced.status == 1 && replaced.output.contains("replaced: node hq had another log then")
            && replaced.output.contains("--accept-new hq"), "\(replaced)")
      }
      let json = try await scratch.hypha("log", "verify", scratch("data"), "--json")
      #expect(json.output.contains("\"verdict\":\"replaced\""), "\(json)")
      let accepted = try await scratch.hypha("log", "verify", scratch("data"), "--accept-new", "hq")
      #expect(accepted.status == 0 && accepted.output.contains("accepted: node hq"), "\(accepted)")
      // A witness that has no head of a log says nothing for it.
      for arguments in [["verify", desk, "--witness", hq], ["head", desk, "--check", hq]] {
        let silent = try await scratch.hypha(["log"] + arguments)
        #expect(
          silent.status == 1 && silent.output.contains("no log there has taken a head of this one"),
          "\(silent)")
      }
      // A file is compared beside what the logs have of each other.
      let line = try await scratch.hypha("log", "head", hq)
      try Data(line.output.utf8).write(to: URL(fileURLWithPath: scratch("hq.head")))
      let both = try await scratch.hypha("log", "verify", scratch("data"), "--witness", scratch("hq.head"))
      #expect(
        both.status == 1 && both.output.contains("hq.head: agrees") && both.output.contains("replaced: "),
        "\(both)")
      // What a restore has moved aside is no node, and no witness.
      try copy(desk, desk + ".replaced-2")
      let aside = try await scratch.hypha("log", "verify", scratch("data"), "--accept-new", "hq")
      #expect(aside.status == 0 && !aside.output.contains(".replaced-2"), "\(aside)")
      // A log that is gone is seen where its directory is left, and where others have kept its heads.
      try FileManager.default.removeItem(atPath: hq + "/log")
      let lost = try await scratch.hypha("log", "verify", scratch("data"))
      #expect(lost.status == 1 && lost.output.contains("\(hq): 1 finding"), "\(lost)")
      try FileManager.default.removeItem(atPath: hq)
      let gone = try await scratch.hypha("log", "verify", scratch("data"))
      #expect(
        gone.status == 0 && gone.errors.contains("node hq has no log here; \(desk) has kept"), "\(gone)")
      let complete = try await scratch.hypha("log", "verify", scratch("data"), "--complete")
      #expect(complete.status == 1 && complete.errors == gone.errors, "\(complete)")
    }

    @Test func `a kept head tells what became of a log`() async throws {
      let scratch = try Scratch()
      let hq = scratch("hq")
      try await PlainLog.append(30, to: hq)
      let first = try await scratch.hypha("log", "head", hq)
      #expect(first.status == 0 && first.lines.count == 1)
      let early = try scratch.file("early.head", first.output)
      try copy(hq, scratch("older"))
      try copy(hq, scratch("rewritten"))
      try await PlainLog.append(10, to: hq)
      try await PlainLog.append(10, to: scratch("rewritten"), payload: [4])
      let late = try scratch.file("late.head", await scratch.hypha("log", "head", hq).output)

      func expect(
        _ verdict: String, _ log: String, _ kept: String, _ words: String...,
        at: SourceLocation = #_sourceLocation
      )
        async throws
      {
        let isGood = verdict == "agrees"
        for arguments in [["log", "verify", log, "--witness", kept], ["log", "head", log, "--check", kept]] {
          let result = try await Hypha.run(arguments + words, in: scratch)
          #expect(result.status == (isGood ? 0 : 1) && result.errors == "", "\(result)", sourceLocation: at)
          #expect(result.lines.last?.contains(": \(verdict): ") == true, "\(result)", sourceLocation: at)
          #expect(!arguments.contains("verify") || result.lines[0].contains(": sound; "), sourceLocation: at)
        }
      }
      try await expect("agrees", hq, early)
      try await expect("agrees", hq, late)
      try await expect("agrees", scratch("rewritten"), early)
      try await expect("behind", scratch("older"), late)
      try await expect("altered", scratch("rewritten"), late)
      try await expect("other-key", hq, late, "--key", String(repeating: "0", count: 64))
      try await PlainLog.append(30, to: scratch("other"))
      #expect(try await scratch.hypha("log", "head", scratch("other")).status == 0)
      try await expect("other-log", scratch("other"), early)
      let forged = try scratch.file(
        "forged.head", first.output.replacing("\"position\":30", with: "\"position\":29"))
      try await expect("bad-signature", hq, forged)
      try FileManager.default.removeItem(atPath: hq + "/node.key")
      try await expect("no-key", hq, late)
      let json = try await scratch.hypha("log", "verify", scratch("rewritten"), "--witness", late, "--json")
      #expect(
        json.status == 1 && json.output.contains("\"isSound\":false")
          && json.output.contains("\"verdict\":\"altered\""))
    }

    @Test func `the key of a log that no node has run on is made by its first head, while nobody writes it`()
      async throws
    {
      let scratch = try Scratch()
      let directory = scratch("hq")
      try await PlainLog.append(3, to: directory)
      let log = try LMDBLog(
        directory: directory, node: "hq", settings: LMDBLogSettings(mapByteCount: 1 << 28),
        time: PlainLog.Clock())
      let early = try await scratch.hypha("log", "head", directory)
      #expect(early.status == 1 && early.output == "", "\(early)")
      #expect(early.errors.contains("has no key yet") && early.errors.contains("while the node is stopped"))
      log.close()
      let made = try await scratch.hypha("log", "head", directory)
      #expect(made.status == 0 && made.lines.count == 1)
      #expect(made.errorLines.count { $0.contains("made the node's key") } == 1, "\(made)")
    }

    @Test func `a node makes its key when it starts, and signs with it while it runs`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Deployments.endless)
      let run = try scratch.start("run", file, "--data", scratch("data"))
      #expect(await becomesTrue { run.output.contains("2/2 nodes") })
      #expect(
        await becomesTrue {
          ["a", "b"].allSatisfy { FileManager.default.fileExists(atPath: scratch("data/\($0)/node.key")) }
        })
      let salvage = try await scratch.hypha("log", "salvage", scratch("data/a"), "--output", scratch("new"))
      #expect(salvage.status == 1 && salvage.errors.contains("is open for writing") && salvage.output == "")
      run.signal(SIGINT)
      _ = await run.end()
      let made = try await scratch.hypha("log", "head", scratch("data"))
      #expect(made.status == 0 && made.lines.count == 2 && made.errors == "", "\(made)")
      let again = try scratch.start("run", file, "--data", scratch("data"))
      #expect(await becomesTrue { again.output.contains("2/2 nodes") })
      let kept = try scratch.file("heads", made.output)
      let live = try await scratch.hypha("log", "head", scratch("data"))
      #expect(live.status == 0 && live.lines.count == 2 && live.errors == "", "\(live)")
      let verify = try await scratch.hypha("log", "verify", scratch("data"), "--witness", kept)
      #expect(verify.status == 0 && verify.lines.count { $0.contains(": agrees: ") } == 2, "\(verify)")
      again.signal(SIGINT)
      _ = await again.end()
      scratch.expectNothingLeft()
    }

    @Test func `whatever stands on a log's pages, whoever reads them ends by itself, and salvage reads them`()
      async throws
    {
      let scratch = try Scratch()
      try await PlainLog.append(600, to: scratch("hq"), perBatch: 3)
      let sound = try Data(contentsOf: URL(fileURLWithPath: scratch("hq/log/data.mdb")))
      let seed =
        ProcessInfo.processInfo.environment["HYPHA_SEED"].flatMap { UInt64($0) } ?? .random(in: 1...999_999)
      var random = SeededGenerator(seed: seed)
      var findingCount = 0
      for round in 0..<40 where findingCount < 4 {
        let damaged = scratch("damaged-\(round)")
        try FileManager.default.createDirectory(atPath: damaged + "/log", withIntermediateDirectories: true)
        // The places of the nodes on some pages lead anywhere.
        var data = sound
        for _ in 0..<4 {
          let page = Int.random(in: 2..<data.count / 4_096, using: &random) * 4_096
          for byte in 16..<80 { data[page + byte] = UInt8.random(in: .min ... .max, using: &random) }
        }
        try data.write(to: URL(fileURLWithPath: damaged + "/log/data.mdb"))
        let comment: Comment = "HYPHA_SEED=\(seed) round \(round)"
        let verify = try await scratch.hypha("log", "verify", damaged)
        #expect([0, 1].contains(verify.status) && verify.errors == "", "\(comment) \(verify)")
        #expect(!verify.output.contains("died"), "\(comment) \(verify)")
        for command in [
          ["cat", damaged], ["info", damaged], ["prune", damaged, "--keep-newest", "9", "--yes"],
        ] {
          // A prune changes what it is given.
          let copied = command[0] == "prune" ? damaged + ".copy" : damaged
          if copied != damaged { try copy(damaged, copied) }
          let words = command.map { $0 == damaged ? copied : $0 }
          let result = try await Hypha.run(["log"] + words, in: scratch)
          #expect([0, 1].contains(result.status), "\(comment) \(words): \(result)")
          let lines = result.errorLines
          #expect(
            result.status == 0 || lines.last?.contains("; run 'hypha log ") == true, "\(comment) \(result)")
        }
        guard verify.output.contains("is broken") else { continue }
        findingCount += 1
        let new = scratch("new-\(round)")
        let salvage = try await scratch.hypha("log", "salvage", damaged, "--output", new, "--json")
        #expect(salvage.status == 0 && salvage.errors == "", "\(comment) \(salvage)")
        let report = try JSONDecoder().decode(SalvageReport.self, from: Data(salvage.output.utf8))
        #expect(report.entryCount + report.quarantinedCount == 600, "\(comment) \(salvage)")
        let again = try await scratch.hypha("log", "verify", new)
        #expect(again.status == 0 && again.lines.count == 1, "\(comment) \(again)")
        try await PlainLog.append(6, to: new, perBatch: 3)
        #expect(try Data(contentsOf: URL(fileURLWithPath: damaged + "/log/data.mdb")) == data)
      }
      #expect(findingCount > 0, "HYPHA_SEED=\(seed)")
    }

    @Test func `the death of the process that reads a log is a finding`() async throws {
      let scratch = try Scratch()
      try await PlainLog.append(6_000, to: scratch("hq"), perBatch: 300)
      var last: Hypha.Result?
      // The process may be through before it is found.
      for _ in 0..<50 where last?.output.contains("died") != true {
        let verify = try scratch.start("log", "verify", scratch("hq"))
        var reader: Int32?
        while reader == nil, verify.isRunning {
          reader =
            ProcessTable.children(of: verify.id).first { $0.command.contains("log examine verify") }?.id
        }
        if let reader { kill(reader, SIGSEGV) }
        last = await verify.end()
        #expect(last?.errors == "")
      }
      let result = try #require(last)
      #expect(result.status == 1 && result.output.contains("the process that read them died"), "\(result)")
      #expect(
        result.output.contains("SIGSEGV") && result.output.contains("log salvage \(scratch("hq"))"),
        "\(result)")
    }

    @Test(arguments: [SIGKILL, SIGTERM])
    func `a process that is killed while it verifies is no finding of damage`(_ signal: Int32) async throws {
      let scratch = try Scratch()
      try await PlainLog.append(6_000, to: scratch("hq"), perBatch: 300)
      struct Row: Decodable {
        var isSound: Bool
        var interruption: String?
        var findings: [String]
        var damaged, entries, recordBytes: UInt64
      }
      var last: Row?
      // The process may be through before it is found.
      for _ in 0..<50 where last?.interruption == nil {
        let verify = try scratch.start("log", "verify", scratch("hq"), "--json")
        var reader: Int32?
        while reader == nil, verify.isRunning {
          reader =
            ProcessTable.children(of: verify.id).first { $0.command.contains("log examine verify") }?.id
        }
        if let reader { kill(reader, signal) }
        let result = await verify.end()
        let row = try JSONDecoder().decode(Row.self, from: Data(result.output.utf8))
        #expect(result.errors == "" && result.status == (row.isSound ? 0 : 1))
        last = row
      }
      let row = try #require(last)
      #expect(!row.isSound && row.findings == [] && row.damaged == 0)
      let interruption = try #require(row.interruption)
      #expect(
        interruption.contains("was killed at position ")
          && interruption.contains(signal == SIGKILL ? "SIGKILL" : "SIGTERM"), "\(interruption)")
      #expect((row.entries > 0) == !interruption.contains("at position 0 "), "\(interruption)")
    }

    @Test func `a verification that is stopped says how far it came`() async throws {
      let scratch = try Scratch()
      try await PlainLog.append(6_000, to: scratch("hq"), perBatch: 300)
      var last: Hypha.Result?
      // The process may be through before it is stopped.
      for _ in 0..<50 where last?.status != 130 {
        let verify = try scratch.start("log", "verify", scratch("hq"), "--json")
        var hasReader = false
        while !hasReader, verify.isRunning {
          hasReader = ProcessTable.children(of: verify.id).contains {
            $0.command.contains("log examine verify")
          }
        }
        kill(verify.id, SIGINT)
        last = await verify.end()
      }
      let stopped = try #require(last)
      #expect(stopped.status == 130 && stopped.output.contains("it was stopped at position "), "\(stopped)")
      #expect(stopped.output.contains("\"isSound\":false") && stopped.output.contains("\"findings\":[]"))
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func `a backup that is stopped leaves nothing, and says so`(_ signal: Int32) async throws {
      let scratch = try Scratch()
      try await PlainLog.append(
        3_000, to: scratch("hq"), payload: [UInt8](repeating: 1, count: 4_000), perBatch: 300)
      var last: Hypha.Result?
      // It may be through before it is stopped.
      for round in 0..<50 where last?.status != 128 + signal {
        let copy = scratch("copy-\(round)")
        let backup = try scratch.start("log", "backup", scratch("hq"), "--output", copy)
        while backup.isRunning, !FileManager.default.fileExists(atPath: copy + ".partial") {}
        kill(backup.id, signal)
        last = await backup.end()
        let isWhole = last?.status == 0
        #expect(FileManager.default.fileExists(atPath: copy) == isWhole, "\(String(describing: last))")
        #expect(!FileManager.default.fileExists(atPath: copy + ".partial"), "\(String(describing: last))")
      }
      let stopped = try #require(last)
      #expect(stopped.status == 128 + signal && stopped.errors.contains("nothing is left of"), "\(stopped)")
    }

    @Test func `a log that may not be read is no finding of damage`() async throws {
      let scratch = try Scratch()
      try await PlainLog.append(30, to: scratch("data/hq"))
      /// Runs hypha without the right to pass over permissions, which root has.
      func hypha(_ arguments: String...) async throws -> Hypha.Result {
        guard geteuid() == 0 else { return try await scratch.hypha(arguments) }
        let rights = ["--bounding-set=-dac_override,-dac_read_search", Places.hypha]
        return try await Hypha(rights + arguments, in: scratch, program: "/usr/bin/setpriv").end()
      }
      func permit(_ mode: Int, _ path: String) throws {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: scratch(path))
      }
      #expect(try await hypha("log", "verify", scratch("data/hq")).status == 0)
      try permit(0, "data/hq/log/data.mdb")
      let file = try await hypha("log", "verify", scratch("data/hq"))
      #expect(
        file.status == 1 && file.output.contains("could not be verified")
          && file.output.contains("may not be used by this user") && !file.output.contains("finding"),
        "\(file)")
      for (path, mode) in [("data/hq/log", 0o700), ("data/hq", 0o700)] {
        try permit(0, path)
        for place in ["data/hq", "data"] {
          let result = try await hypha("log", "verify", scratch(place))
          #expect(
            result.status == 1 && result.errors.contains("\(scratch(path)) may not be read by this user"),
            "\(result)")
        }
        try permit(mode, path)
      }
      // Below a directory that this user may not look into, nothing is known of a log.
      try permit(0, "data")
      let below = try await hypha("log", "verify", scratch("data/hq"))
      try permit(0o700, "data")
      #expect(below.status == 1 && below.errors.contains("may not be read by this user"), "\(below)")
    }
  }
}
