import Foundation
import Testing

extension Commands {
  /// `hypha log salvage`: what it keeps and says, and what it leaves where it is stopped, killed or dies.
  @Suite struct LogSalvageTests {
    /// The process that reads the damaged log for this one; nil where it has ended.
    private func salvager(of salvage: Hypha) -> Int32? {
      while salvage.isRunning {
        let children = ProcessTable.children(of: salvage.id)
        if let child = children.first(where: { $0.command.contains("log examine salvage") }) {
          return child.id
        }
      }
      return nil
    }

    @Test func `a salvage that is stopped leaves nothing, and says so`() async throws {
      let scratch = try Scratch()
      try await PlainLog.append(6_000, to: scratch("hq"), perBatch: 300)
      var last: Hypha.Result?
      // It may be through before it is stopped.
      for round in 0..<50 where last?.status != 130 {
        let output = scratch("new-\(round)")
        let salvage = try scratch.start("log", "salvage", scratch("hq"), "--output", output)
        while salvage.isRunning, !FileManager.default.fileExists(atPath: output) {}
        kill(salvage.id, SIGINT)
        let result = await salvage.end()
        last = result
        guard result.status == 130 else { continue }
        #expect(result.errorLines == ["stopped: nothing was salvaged to \(output)"], "\(result)")
        #expect(!FileManager.default.fileExists(atPath: output))
      }
      #expect(last?.status == 130)
    }

    @Test func `the death of the process that salvages a log is told, and it can be run again`() async throws
    {
      let scratch = try Scratch()
      try await PlainLog.append(6_000, to: scratch("hq"), perBatch: 300)
      var last: Hypha.Result?
      for _ in 0..<50 where last?.errors.contains("died") != true {
        try? FileManager.default.removeItem(atPath: scratch("new"))
        let salvage = try scratch.start("log", "salvage", scratch("hq"), "--output", scratch("new"))
        let salvager = salvager(of: salvage)
        if let salvager { kill(salvager, SIGSEGV) }
        last = await salvage.end()
      }
      let result = try #require(last)
      #expect(result.status == 1 && result.output == "", "\(result)")
      #expect(
        result.errors.contains("the process that salvaged \(scratch("hq")) died; remove \(scratch("new"))"),
        "\(result)")
      #expect(result.errors.contains("SIGSEGV") && result.errorLines.count == 1, "\(result)")
      // It may have died before it had made anything.
      try? FileManager.default.removeItem(atPath: scratch("new"))
      let again = try await scratch.hypha("log", "salvage", scratch("hq"), "--output", scratch("new"))
      #expect(again.status == 0 && again.output.contains("6,000 entries"), "\(again)")
      #expect(try await scratch.hypha("log", "verify", scratch("new")).status == 0)
    }

    @Test func `a salvage that is killed ends with its child, leaves no log, and can be run again`()
      async throws
    {
      let scratch = try Scratch()
      try await PlainLog.append(6_000, to: scratch("hq"), perBatch: 300)
      var isCut = false
      for _ in 0..<50 where !isCut {
        try? FileManager.default.removeItem(atPath: scratch("new"))
        let salvage = try scratch.start("log", "salvage", scratch("hq"), "--output", scratch("new"))
        let salvager = salvager(of: salvage)
        guard let salvager else { continue }
        // It has no time to end by itself.
        kill(salvager, SIGSTOP)
        kill(salvage.id, SIGKILL)
        _ = await salvage.end()
        kill(salvager, SIGCONT)
        #expect(await becomesTrue { ProcessTable.hasEnded(salvager) })
        isCut = !FileManager.default.fileExists(atPath: scratch("new/log"))
      }
      #expect(isCut)
      let again = try await scratch.hypha("log", "salvage", scratch("hq"), "--output", scratch("new"))
      #expect(again.status == 0 && again.output.contains("6,000 entries"), "\(again)")
      #expect(try await scratch.hypha("log", "verify", scratch("new")).status == 0)
    }

    @Test func `salvage says what it kept and what not, and writes loose records where it is told`()
      async throws
    {
      let scratch = try Scratch()
      try await PlainLog.append(
        40, to: scratch("hq"), payload: [UInt8](repeating: 7, count: 800), perBatch: 40)
      #expect(try await scratch.hypha("log", "head", scratch("hq")).status == 0)
      let file = scratch("hq/log/data.mdb")
      var data = try Data(contentsOf: URL(fileURLWithPath: file))
      let block = try #require(data.range(of: Data("HYB2".utf8)))
      // Neither the block's header nor those of its entries are left.
      data.resetBytes(in: block.lowerBound..<block.lowerBound + 64 + 72 * 40)
      try data.write(to: URL(fileURLWithPath: file))
      let verify = try await scratch.hypha("log", "verify", scratch("hq"))
      #expect(verify.status == 1 && verify.output.contains("position 40"), "\(verify)")
      let salvage = try await scratch.hypha(
        "log", "salvage", scratch("hq"), "--output", scratch("new"), "--loose", scratch("loose.jsonl"))
      #expect(salvage.status == 0 && salvage.errors == "", "\(salvage)")
      #expect(salvage.output.contains("positions 1 to 40: no whole block"), "\(salvage)")
      #expect(
        salvage.output.contains("40 records without a place are in \(scratch("loose.jsonl"))"), "\(salvage)")
      let lines = try String(contentsOfFile: scratch("loose.jsonl"), encoding: .utf8).split(separator: "\n")
      #expect(lines.count == 40 && lines[0].contains("\"agent\":\"ana\""))
      #expect(FileManager.default.fileExists(atPath: scratch("new/node.key")))
      let again = try await scratch.hypha("log", "salvage", scratch("hq"), "--output", scratch("new"))
      #expect(again.status == 1 && again.errors.contains("holds a log already"))
      #expect(try await scratch.hypha("log", "verify", scratch("new")).output.contains("40 quarantined"))
    }
  }
}
