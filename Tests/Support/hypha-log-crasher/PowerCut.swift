import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Synchronization

/// Cuts the power at every moment of a recorded run, and holds what the disk then has against the run's history.
///
/// A moment lies within each call: what it writes is pending beside what was pending before. Of each moment's pending
/// writes every subset is tried where these are few, else none, all, and others by chance; those by chance also tear
/// writes at pages or at sectors of 512 bytes.
struct PowerCuts {
  /// What of the pending writes a cut keeps.
  private enum Kept {
    /// The calls whose bit is set.
    case calls(UInt64)
    /// Each unit of so many bytes by chance.
    case units(byteCount: Int, share: Double)
  }

  private let entries: [TraceEntry]
  private let root: String
  private let target: String
  private let seed: UInt64
  private var disk = Disk()
  private var history = History()
  private(set) var cutCount = 0

  init(trace: String, root: String, target: String, seed: UInt64) throws {
    entries = try TraceEntry.read(trace)
    self.root = root
    self.target = target
    self.seed = seed
  }

  /// - Parameter cutsPerMoment: how many cuts are tried where there is anything to choose.
  mutating func run(cutsPerMoment: Int) throws {
    for (index, entry) in entries.enumerated() {
      if entry.kind == .note {
        for line in entry.text.split(separator: "\n") { history.take(line) }
        continue
      }
      try disk.begin(entry)
      // Directories, which change nothing by themselves, are among what a later cut may miss.
      if entry.kind == .makeDirectory { continue }
      for (number, kept) in choices(cutsPerMoment, moment: index).enumerated() {
        let name = "entry \(index), cut \(number): \(kept), HYPHA_SEED=\(seed)"
        var random = SeededGenerator(seed: seed, name: "\(index) \(number)")
        try cut(kept, &random)
        do {
          try check(isReading: number % 2 == 0, goesOn: cutCount % 8 == 0)
        } catch {
          throw Wrong(what: "\(name): \(error)")
        }
        cutCount += 1
      }
      disk.end(entry)
    }
  }

  private func choices(_ count: Int, moment: Int) -> [Kept] {
    let calls = disk.pendingCalls.count
    guard calls > 0 else { return [.calls(0)] }
    var choices: [Kept] = []
    if calls < 16, 1 << calls <= count {
      choices = (0..<(1 << UInt64(calls))).map { .calls($0) }
    } else {
      choices = [.calls(0), .calls(.max), .calls(.max << 1), .calls(.max >> UInt64(64 - min(calls, 64) + 1))]
    }
    var random = SeededGenerator(seed: seed, name: "\(moment)")
    while choices.count < count {
      let share = [0.1, 0.5, 0.9][Int(random.next() % 3)]
      switch random.next() % 3 {
      case 0: choices.append(.calls(random.next()))
      case 1: choices.append(.units(byteCount: 512, share: share))
      default: choices.append(.units(byteCount: 4_096, share: share))
      }
    }
    return Array(choices.prefix(count))
  }

  private func cut(_ kept: Kept, _ random: inout SeededGenerator) throws {
    var generator = random
    let calls = disk.pendingCalls
    let torn: [Disk.Piece]
    switch kept {
    case .calls(let mask):
      torn = disk.pending.filter { piece in
        calls.firstIndex(of: piece.call).map { mask >> UInt64(min($0, 63)) & 1 == 1 } ?? false
      }
    case .units(let byteCount, let share):
      torn = disk.pending.flatMap { $0.units(of: byteCount) }.filter { _ in generator.chance(share) }
    }
    random = generator
    try disk.write(root, to: target, pieces: torn, &random)
  }

  private func check(isReading: Bool, goesOn: Bool) throws {
    if isReading, history.head > 0 {
      try LMDBLogReader(directory: target).hold(against: history)
    }
    if !isReading || history.head == 0 || goesOn {
      let log = try openLog(target)
      defer { log.close() }
      try log.hold(against: history)
      if goesOn { try log.goOn(epoch: history.nextEpoch) }
    }
  }
}

extension Disk.Piece {
  /// The piece in units that a disk writes whole.
  func units(of byteCount: Int) -> [Disk.Piece] {
    guard size == nil, byteCount < bytes.count else { return [self] }
    return stride(from: 0, to: bytes.count, by: byteCount).map { from in
      var unit = self
      unit.offset += from
      unit.bytes = bytes.dropFirst(from).prefix(byteCount)
      return unit
    }
  }
}

extension LMDBLog {
  /// Appends one more batch, which must stand directly behind what is there.
  func goOn(epoch: UInt64) throws {
    let next = try head().next
    var author = try Author("ana", epoch: epoch, in: self)
    let batch = try author.batch(3)
    let result = submitAndWait(batch)
    guard try result.get().first == next, try head().rawValue == next.rawValue + 2 else {
      throw Wrong(what: "the log does not go on behind position \(next.rawValue - 1)")
    }
    guard try entry(at: next)?.record == batch.appends[0].record, try verify().isSound else {
      throw Wrong(what: "what was appended behind position \(next.rawValue - 1) is not there")
    }
  }

  private func submitAndWait(_ batch: LogBatch) -> Result<CommitReceipt, HyphaError> {
    let done = DispatchSemaphore(value: 0)
    let outcome = Outcome()
    submit(batch) { result in
      outcome.result.withLock { $0 = result }
      done.signal()
    }
    done.wait()
    return outcome.result.withLock { $0 } ?? .failure(HyphaError(.failed, "no outcome"))
  }
}

private final class Outcome: Sendable {
  let result = Mutex<Result<CommitReceipt, HyphaError>?>(nil)
}

/// `cut TRACE ROOT DIR SEED COUNT`: prints `held CUTS` or `lost` and where.
func cutPower(trace: String, root: String, target: String, seed: UInt64, cutsPerMoment: Int) throws {
  var cuts = try PowerCuts(trace: trace, root: root, target: target, seed: seed)
  do {
    try cuts.run(cutsPerMoment: cutsPerMoment)
    say("held \(cuts.cutCount)")
  } catch let wrong as Wrong {
    say("lost \(wrong.what)")
  }
}
