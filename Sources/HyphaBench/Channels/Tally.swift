import Synchronization

/// What a receiver took in one slice.
struct TakenSlice: Codable, Sendable {
  var count: Int
  /// When the last event was taken.
  var end: UInt64
  var processorNanoseconds: UInt64
  /// How long events were on their way, in nanoseconds; a regular sample where there are many.
  var latencies: [UInt64]
}

/// Counts what one receiver takes, tells the board, and notes how long events were on their way.
final class Tally: Sendable {
  private struct Sample {
    var latencies: [UInt64] = []
    var processor: UInt64 = 0
  }

  private let board: Board
  private let receiver: Int
  private let count = Atomic<UInt64>(0)
  private let end = Atomic<UInt64>(0)
  /// Of how many events one is noted; 0 for none.
  private let stride = Atomic<UInt64>(0)
  private let sample = Mutex(Sample())

  init(_ board: Board, receiver: Int) {
    self.board = board
    self.receiver = receiver
  }

  /// Begins a slice in which one of `stride` events is noted; 0 for none.
  func begin(stride: UInt64) {
    sample.withLock { $0 = Sample(latencies: [], processor: Monotonic.processorNanoseconds()) }
    self.stride.store(stride, ordering: .relaxed)
    count.store(0, ordering: .relaxed)
    board.setTaken(0, by: receiver)
  }

  /// Takes an event that was stamped so. One thread at a time.
  func take(stamp: UInt64) {
    let taken = count.load(ordering: .relaxed) + 1
    count.store(taken, ordering: .relaxed)
    let stride = stride.load(ordering: .relaxed)
    // A clock and a word of the board for each event would only be work that is not the bus's.
    guard stride > 0 || taken % Self.reportStride == 0 else { return }
    let now = Monotonic.nanoseconds()
    end.store(now, ordering: .relaxed)
    board.setTaken(taken, by: receiver)
    if stride > 0, taken % stride == 0 { sample.withLock { $0.latencies.append(now - min(now, stamp)) } }
  }

  private static var reportStride: UInt64 { 16 }

  var takenCount: Int { Int(count.load(ordering: .relaxed)) }

  /// Ends the slice.
  func finish() -> TakenSlice {
    let processor = Monotonic.processorNanoseconds()
    stride.store(0, ordering: .relaxed)
    return sample.withLock { sample in
      TakenSlice(
        count: takenCount, end: end.load(ordering: .relaxed),
        processorNanoseconds: processor - sample.processor,
        latencies: sample.latencies)
    }
  }
}
