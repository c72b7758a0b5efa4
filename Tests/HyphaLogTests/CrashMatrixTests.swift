import FaultShim
import Foundation
import HyphaCore
import Testing

/// The log when its process is killed at one step of a commit, and when its files are not what was written.
@Suite struct CrashMatrixTests {
  @Test(.enabled(if: FaultShim.library != nil, FaultShim.isMissing))
  func `kill -9 at any call of a commit, or in it, loses nothing and adds nothing`() throws {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    // In a soak long enough that the map grows.
    let roundCount = Soak.seconds == nil ? 12 : 60
    let callCount = try CrasherRun.callCount(seed: seed, roundCount: roundCount)
    let steps = (1...callCount).flatMap { call in
      ["kill-before", "kill-torn", "kill-after"].map { (call, $0) }
    }
    let judge = try Judge()
    var killCount = 0
    // How the batches fall into groups is not the same each time, so the last calls may not come; others are drawn then.
    for (call, what) in Soak.sample(150, of: steps, &random) where Soak.seconds != nil || killCount < 60 {
      let run = try CrasherRun()
      let isAlive = try run.work(seed: seed, roundCount: roundCount, faults: ["AT": "\(call)", "DO": what])
      killCount += isAlive ? 0 : 1
      let answer = try judge.check(run)
      #expect(answer == "sound", "HYPHA_SEED=\(seed), \(what) at call \(call)")
    }
    #expect(killCount >= 60)
  }

  @Test(.enabled(if: FaultShim.library != nil, FaultShim.isMissing))
  func `a log that is killed again and again keeps all`() throws {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    let judge = try Judge()
    for _ in 0..<Soak.count(1, of: 20) {
      let run = try CrasherRun()
      for epoch in 1...12 {
        let call = Int.random(in: 1...60, using: &random)
        let what = ["kill-before", "kill-torn", "kill-after"].randomElement(using: &random) ?? ""
        try run.work(
          epoch: epoch * 2, seed: seed, roundCount: 12, faults: ["AT": "\(call)", "DO": what])
        let answer = try judge.see(run)
        #expect(answer == "sound", "HYPHA_SEED=\(seed), epoch \(epoch), \(what) at call \(call)")
      }
    }
  }

  @Test(.enabled(if: FaultShim.library != nil, FaultShim.isMissing), arguments: ["any", "meta"])
  func `a log whose writer is killed while others read it goes on from its last commit`(_ calls: String)
    throws
  {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    let judge = try Judge()
    let run = try CrasherRun()
    try run.work(seed: seed, roundCount: 2)
    // It keeps LMDB's table of readers, and with it the number of the newest commit, through every death.
    let reader = try Child("follow", run.directory)
    #expect(reader.readLine() == "open")
    var killCount = 0
    for epoch in 2...9 {
      let call = Int.random(in: 1...(calls == "any" ? 40 : 5), using: &random)
      let faults = ["CALLS": calls, "AT": "\(call)", "DO": "kill-after"]
      let isAlive = try run.work(epoch: epoch * 2, seed: seed, roundCount: 12, faults: faults)
      killCount += isAlive ? 0 : 1
      let context: Comment = "HYPHA_SEED=\(seed), epoch \(epoch), \(calls) call \(call)"
      let refusals = try run.lines().filter { $0.hasPrefix("fail ") || $0.hasPrefix("error ") }
      #expect(refusals == [], context)
      if epoch % 2 == 0 {
        let answer = try judge.see(run)
        #expect(answer == "sound", context)
      }
      reader.write("look")
      #expect(reader.readLine()?.hasSuffix(" sound") == true, context)
    }
    #expect(killCount > 4, "HYPHA_SEED=\(seed)")
    let answer = try judge.check(run)
    #expect(answer == "sound", "HYPHA_SEED=\(seed)")
    reader.endInput()
  }

  @Test func `a file that was cut anywhere is named, and no signal`() throws {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    let run = try CrasherRun()
    try run.work(seed: seed, roundCount: 10)
    let judge = try Judge()
    for (file, size) in try run.files() {
      let pages = Array(stride(from: 0, to: size, by: 4_096))
      let lastPages = Array(max(0, size - 3 * 4_096)..<size)
      for length in Soak.sample(20, of: pages, &random) + Soak.sample(60, of: lastPages, &random) {
        let answer = try judge.damage(run, "cut", file, [length])
        // A damaged index is made anew from the log, nothing is in the room that is kept for a prune, and the key is
        // looked at when it is to sign.
        let mayBeSound = file.hasPrefix("index/") || ["log.reserve", "node.key"].contains(file)
        let isRight = answer.hasPrefix("found ") || (mayBeSound && answer == "sound")
        #expect(isRight, "HYPHA_SEED=\(seed), \(file) cut to \(length): \(answer)")
      }
    }
  }

  @Test func `flipped bits are found, or do not matter`() throws {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    let judge = try Judge()
    var answers: [Substring: Int] = [:]
    for part in 0..<Soak.count(1, of: 50) {
      let run = try CrasherRun()
      try run.work(seed: seed &+ UInt64(part), roundCount: 10)
      for (file, size) in try run.files() {
        for _ in 0..<200 {
          let flips = (0..<Int.random(in: 1...3, using: &random)).flatMap { _ in
            [Int.random(in: 0..<size, using: &random), 1 << Int.random(in: 0..<8, using: &random)]
          }
          let answer = try judge.damage(run, "flip", file, flips)
          let word = answer.prefix { $0 != " " }
          answers[word, default: 0] += 1
          #expect(word != "WRONG", "HYPHA_SEED=\(seed), \(file), \(flips): \(answer)")
        }
      }
    }
    #expect(answers["found"] ?? 0 > 20, "\(answers)")
  }
}

extension CrasherRun {
  /// The files that a log keeps, but for locks, with their sizes.
  fileprivate func files() throws -> [(name: String, byteCount: Int)] {
    let names = try FileManager.default.subpathsOfDirectory(atPath: directory).sorted()
    return try names.filter { !$0.hasSuffix("lock.mdb") && !$0.hasSuffix("writer.lock") }.compactMap { name in
      let facts = try FileManager.default.attributesOfItem(atPath: directory + "/" + name)
      guard facts[.type] as? FileAttributeType == .typeRegular else { return nil }
      return (name, facts[.size] as? Int ?? 0)
    }
  }
}
