import FaultShim
import Foundation
import HyphaCore
import Testing

/// The log when its disk refuses a call.
@Suite(.enabled(if: FaultShim.library != nil, FaultShim.isMissing)) struct DiskFaultTests {
  @Test(arguments: ["eio", "enospc", "short"])
  func `a call that fails is an error that says so, and what was acknowledged stays`(_ what: String) throws {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    let callCount = try CrasherRun.callCount(seed: seed, roundCount: 12)
    let judge = try Judge()
    // Once, or from then on.
    let faults = (1...callCount).flatMap { call in [(call, call), (call, 0)] }
    var faultCount = 0
    var runCount = 0
    for (first, last) in Soak.sample(200, of: faults, &random)
    where Soak.seconds != nil || runCount < 24 || faultCount <= 15 {
      runCount += 1
      let run = try CrasherRun()
      let context: Comment = "HYPHA_SEED=\(seed), \(what) at calls \(first) to \(last)"
      let isAlive = try run.work(
        seed: seed, roundCount: 12, faults: ["AT": "\(first)", "LAST": "\(last)", "DO": what])
      #expect(isAlive, context)
      // What closing the log writes behind the last batch is nobody's loss.
      let lines = try run.lines().prefix { $0 != "done" && $0 != "end" }
      // The index is derived, and may lag behind a disk that fails; the reserve is kept where it can be. Where LMDB
      // gives up after a short write, files of the log's own are written on.
      func matters(_ line: some StringProtocol) -> Bool {
        line.hasPrefix("fault ") && !line.contains("/index") && !line.contains("/log.reserve")
          && (what != "short" || line.contains("/log/"))
      }
      if let fault = lines.firstIndex(where: { matters($0) }) {
        faultCount += 1
        let refusal = lines[fault...].first { $0.hasPrefix("fail ") || $0.hasPrefix("error ") }
        #expect(refusal?.contains("; ") == true, "\(lines.suffix(4)), \(context)")
        #expect(
          ["logFailed: ", "logFull: ", "fileUnavailable: "].contains { refusal?.contains($0) == true },
          "\(refusal ?? ""), \(context)")
      }
      let answer = try judge.check(run)
      #expect(answer == "sound", context)
    }
    #expect(faultCount > 15)
  }

  @Test func `after one refused write the log goes on`() throws {
    let seed = SeededGenerator.seed
    // The creation of the log takes the first calls; the write after them is the first of a commit.
    let run = try CrasherRun()
    try run.work(seed: seed, roundCount: 1)
    try run.work(epoch: 2, seed: seed, roundCount: 20, faults: ["AT": "1", "DO": "enospc", "CALLS": "write"])
    let lines = try run.lines()
    let fault = try #require(lines.firstIndex { $0.hasPrefix("fault ") })
    #expect(lines[fault...].contains { $0.hasPrefix("fail ") && $0.contains("logFull: ") })
    #expect(lines.last == "done", "HYPHA_SEED=\(seed)")
    let answer = try Judge().check(run)
    #expect(answer == "sound", "HYPHA_SEED=\(seed)")
  }

  @Test func `a log is not opened for writing before what it has is synced`() throws {
    let run = try CrasherRun()
    try run.work(seed: 1, roundCount: 3)
    let child = try Child(
      "hold", run.directory, faults: ["DIR": run.directory, "CALLS": "sync", "AT": "1", "DO": "eio"])
    child.endInput()
    let lines = child.readLines()
    #expect(lines.first == "fault 1 \(run.directory)/log/data.mdb")
    #expect(lines.count == 2 && lines.last?.hasPrefix("error logFailed: ") == true, "\(lines)")
    let answer = try Judge().check(run)
    #expect(answer == "sound")
  }

  @Test(arguments: ["eio", "enospc", "short", "late"], [1, 2])
  func `after a meta page that could not be written the log goes on by itself`(
    _ what: String, _ count: Int
  ) throws {
    let seed = SeededGenerator.seed
    let run = try CrasherRun()
    try run.work(seed: seed, roundCount: 1)
    // The second write to fail is that by which LMDB takes the first one back.
    for (index, call) in [1, 4, 5].enumerated() {
      try run.work(
        epoch: index + 2, seed: seed, roundCount: 12,
        faults: ["AT": "\(call)", "LAST": "\(call + count - 1)", "DO": what, "CALLS": "meta"])
      let lines = try run.lines()
      let context: Comment = "HYPHA_SEED=\(seed), call \(call): \(lines.suffix(5))"
      #expect(lines.contains { $0.hasPrefix("fail ") && $0.contains("; ") }, context)
      #expect(lines.last == "done", context)
      let answer = try Judge().see(run)
      #expect(answer == "sound", context)
    }
    let answer = try Judge().check(run)
    #expect(answer == "sound", "HYPHA_SEED=\(seed)")
  }
}
