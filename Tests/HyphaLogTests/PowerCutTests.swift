import FaultShim
import Foundation
import HyphaCore
import Testing

/// The log when the power is cut: a run's writes and syncs are recorded, and of what was not synced at some moment,
/// any part may be missing.
@Suite(.enabled(if: FaultShim.library != nil, FaultShim.isMissing)) struct PowerCutTests {
  @Test func `what was acknowledged survives a power cut at any moment, and nothing else appears`() throws {
    let seed = SeededGenerator.seed
    // In a soak long enough that the map grows.
    let (rounds, cuts) = (Soak.seconds == nil ? 8 : 40, Soak.count(12, of: 60))
    let answer = try cut(seed: seed, roundCount: rounds, cutsPerMoment: cuts)
    let count = try #require(Int(answer.dropFirst(5)), "\(answer)")
    #expect(count > 200)
  }

  @Test(arguments: ["skip", "skip-data"])
  func `a log that does not sync is found out`(_ how: String) throws {
    let answer = try cut(seed: 1, roundCount: 8, cutsPerMoment: 12, faults: ["SYNC": how])
    #expect(answer.hasPrefix("lost "), "\(answer)")
  }

  @Test func `what a failed sync left behind is never acknowledged`() throws {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    for call in Soak.sample(2, of: Array(5...40), &random) {
      let faults = ["CALLS": "sync", "AT": "\(call)", "DO": "eio"]
      let answer = try cut(seed: seed, roundCount: 8, cutsPerMoment: 4, faults: faults)
      #expect(answer.hasPrefix("held "), "HYPHA_SEED=\(seed), sync \(call): \(answer)")
    }
  }

  @Test func `a meta page that was not written, or was after all, is no commit after a power cut`() throws {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    // `late` reaches the disk at some time although the log was told that it did not.
    for what in ["late", "eio", "short"] {
      for call in Soak.sample(1, of: Array(2...14), &random) {
        let faults = ["CALLS": "meta", "AT": "\(call)", "DO": what]
        let answer = try cut(seed: seed, roundCount: 8, cutsPerMoment: 8, faults: faults)
        #expect(answer.hasPrefix("held "), "HYPHA_SEED=\(seed), \(what) at meta page \(call): \(answer)")
      }
    }
  }

  /// Records a run and cuts its power; `held` and the number of cuts, or `lost` and where.
  private func cut(
    seed: UInt64, roundCount: Int, cutsPerMoment: Int, faults: [String: String] = [:]
  ) throws -> String {
    let run = try CrasherRun()
    try run.work(seed: seed, roundCount: roundCount, faults: faults.merging(["TRACE": run.trace]) { $1 })
    let child = try Child(
      "cut", run.trace, run.directory, run.place + "/cut", "\(seed)", "\(cutsPerMoment)")
    let answer = child.readLines().last ?? ""
    #expect(child.endsWithoutSignal(), "HYPHA_SEED=\(seed): \(answer)")
    return answer
  }
}
