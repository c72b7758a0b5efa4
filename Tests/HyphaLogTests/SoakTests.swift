import Foundation
import HyphaCore
import Testing

/// The log over a long life: killed at random, on a disk that fills up now and then, with readers in other processes.
@Suite struct SoakTests {
  @Test func `through kills and full disks nothing is lost, and readers always see a sound log`() throws {
    let seed = SeededGenerator.seed
    print("soaking with HYPHA_SEED=\(seed)")
    var soak = try LogSoak(seed: seed)
    let end = Soak.seconds.map { Date(timeIntervalSinceNow: $0) }
    var round = 0
    while end.map({ Date() < $0 }) ?? (round < 12) {
      round += 1
      do {
        try soak.runOnce()
      } catch {
        Issue.record("HYPHA_SEED=\(seed), round \(round): \(error)")
        return
      }
    }
    print("\(round) lives, \(soak.acknowledgedCount) acknowledgements, full \(soak.fullCount) times")
    #expect(soak.acknowledgedCount > 0)
  }
}

private struct LogSoak {
  private struct Failure: Error {
    let what: String
  }

  private let seed: UInt64
  private var random: SeededGenerator
  private let judge: Judge
  /// Nil where the user may not mount one: the disk then never fills up.
  private let disk: ScratchDisk?
  private var run: CrasherRun
  private var readers: [Child] = []
  private var epoch = 0
  private(set) var acknowledgedCount = 0
  private(set) var fullCount = 0

  init(seed: UInt64) throws {
    self.seed = seed
    random = SeededGenerator(seed: seed)
    judge = try Judge()
    disk = ScratchDisk(mebibytes: 16)
    run = try CrasherRun(in: disk?.path)
  }

  /// One life of the writing process, from opening the log to its death.
  mutating func runOnce() throws {
    epoch += 1
    let writer = try Child("strain", run.directory, "\(epoch)", "\(seed)")
    var isOver = false
    var lineCount = Int.random(in: 1...600, using: &random)
    // Either the life ends in a kill, or the disk fills up first, and has room again.
    var isFilling = disk != nil && Bool.random(using: &random)
    var lines: [String] = []
    while lines.count < lineCount, !isOver, let line = writer.readLine() {
      lines.append(line)
      if line.hasPrefix("fail "), !line.contains("logFull: "), !line.contains("logConflict: ") {
        throw Failure(what: line)
      }
      if lines.count == lineCount, isFilling {
        isFilling = false
        try disk?.fill()
        lineCount = .max
      }
      if line == "full" {
        if disk?.isFilled == true {
          fullCount += 1
          try disk?.empty()
          writer.write("go on")
          lineCount = lines.count + Int.random(in: 1...200, using: &random)
        } else {
          // The log itself has filled the disk.
          isOver = true
        }
      }
    }
    writer.killNow()
    lines += writer.readLines()
    try disk?.empty()
    try run.note(lines)
    acknowledgedCount += lines.count { $0.hasPrefix("ack ") }
    let answer = try judge.see(run)
    guard answer == "sound" else { throw Failure(what: "epoch \(epoch): \(answer)") }
    try look(atLeast: lines)
    if isOver { try beginAgain() }
  }

  /// The readers, who have had the log open all the while, see what was acknowledged.
  private mutating func look(atLeast lines: [String]) throws {
    if readers.isEmpty { readers = try (0..<2).map { _ in try Child("follow", run.directory) } }
    let head = lines.last { $0.hasPrefix("ack ") }.flatMap {
      $0.split(separator: " ").last.flatMap { Int($0) }
    }
    for reader in readers {
      reader.write("look")
      var line = reader.readLine()
      if line == "open" { line = reader.readLine() }
      let words = line?.split(separator: " ", maxSplits: 1) ?? []
      guard words.count == 2, words[1] == "sound", Int(words[0]) ?? 0 >= head ?? 0 else {
        throw Failure(what: "a reader sees '\(line ?? "its death")', where \(head ?? 0) were acknowledged")
      }
    }
  }

  private mutating func beginAgain() throws {
    for reader in readers { reader.endInput() }
    for reader in readers where !reader.endsWithoutSignal() { throw Failure(what: "a reader died") }
    readers = []
    run = try CrasherRun(in: disk?.path)
    epoch = 0
  }
}
