import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Synchronization

/// Kills itself after so many steps, to leave the rest to the next one.
func prune(_ directory: String, keeping count: UInt64, killAfter stepCount: Int) async throws {
  let log = try openLog(directory)
  let now = Timestamp(microseconds: WallClock().microseconds())
  let plan = try log.planPrune(RetentionPolicy(entryCountMax: count), now: now)
  let steps = Mutex(0)
  if stepCount == 0 { kill(getpid(), SIGKILL) }
  let report = try await log.prune(plan, principal: "ops", time: WallClock()) { position in
    say("step \(position)")
    if steps.withLock({
      $0 += 1; return $0
    }) == stepCount {
      kill(getpid(), SIGKILL)
    }
  }
  say("done \(report.through) \(report.keyCount)")
  log.close()
}

/// A reader that does so much with each entry that it is far slower than the writer.
func replay(_ directory: String) throws {
  let log = try LMDBLogReader(directory: directory)
  let isOver = Atomic(false)
  let thread = Thread {
    while readLine() != nil {}
    isOver.store(true, ordering: .relaxed)
  }
  thread.start()
  say("open")
  var count = 0
  while !isOver.load(ordering: .relaxed) {
    try log.visit(Position(rawValue: 1)...Position(rawValue: .max), .forward) { entry in
      var digest = Digest.of(entry.record.bytes)
      for _ in 0..<20 { digest = digest.withUnsafeBytes { Digest.of($0) } }
      count += 1
      return !isOver.load(ordering: .relaxed)
    }
  }
  say("read \(count)")
}

func copy(_ directory: String, to output: String) throws {
  let report = try LMDBRetention().backUp(directory, to: output, withKey: false) { _, _ in }
  say("done \(report.head) \(report.link)")
}

func restore(_ backup: String, to directory: String) throws {
  _ = try LMDBRetention().restore(backup, to: directory, replaces: true) { _, _ in }
  say("done")
}

func compact(_ directory: String) throws {
  let report = try LMDBRetention().compact(directory) { _, _ in }
  say("done \(report.byteCountBefore) \(report.byteCountAfter)")
}
