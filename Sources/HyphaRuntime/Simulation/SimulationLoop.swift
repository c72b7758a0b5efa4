public import HyphaCore
import Synchronization

/// One thread, one clock that moves only when nothing is left to do, one order of events: the ground of a
/// simulation.
///
/// It is scheduler, time source and task executor at once. Whoever calls ``run(until:limit:)`` is the thread.
public final class SimulationLoop: Scheduler, TaskExecutor {
  private struct Timer {
    let dueAt: UInt64
    let order: UInt64
    let work: @Sendable () -> Void
  }

  private struct State {
    var now: UInt64
    var order: UInt64 = 0
    /// A binary heap, the next timer first.
    var timers: [Timer] = []
    var jobs = Queue<UnownedJob>()
  }

  private let state: Mutex<State>

  /// A loop whose clock shows `start`, in microseconds since 1970.
  public init(start: UInt64 = 1_767_225_600_000_000) { state = Mutex(State(now: start)) }

  public func microseconds() -> UInt64 { state.withLock { $0.now } }

  public func schedule(after delay: Duration, _ work: @escaping @Sendable () -> Void) {
    state.withLock { state in
      state.order += 1
      let dueAt = state.now + delay.wholeMicroseconds
      Self.push(Timer(dueAt: dueAt, order: state.order, work: work), on: &state.timers)
    }
  }

  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    state.withLock { $0.jobs.append(job) }
  }

  /// Runs what is to be done, then moves the clock to the next timer, until `isDone` or until `limit` of
  /// simulated time is over.
  ///
  /// - Returns: whether `isDone` was reached. Without timers and jobs the loop ends at once.
  public func run(until isDone: () -> Bool, limit: Duration) -> Bool {
    let end = microseconds() + limit.wholeMicroseconds
    while true {
      while let job = state.withLock({ $0.jobs.take(upTo: 1).first }) {
        job.runSynchronously(on: asUnownedTaskExecutor())
      }
      if isDone() { return true }
      let timer = state.withLock { state -> Timer? in
        guard let next = state.timers.first, next.dueAt <= end else { return nil }
        state.now = max(state.now, next.dueAt)
        return Self.pop(from: &state.timers)
      }
      guard let timer else { return false }
      timer.work()
    }
  }

  /// Runs an asynchronous function on the loop to its end.
  public func run<Value: Sendable>(
    limit: Duration = .seconds(3600), _ body: @escaping @Sendable () async throws -> Value
  ) throws -> Value {
    let result = Mutex<Result<Value, any Error>?>(nil)
    Task(executorPreference: self) {
      let outcome: Result<Value, any Error>
      do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
      result.withLock { $0 = outcome }
    }
    _ = run(until: { result.withLock { $0 != nil } }, limit: limit)
    guard let outcome = result.withLock({ $0 }) else {
      throw HyphaError(.failed, "the simulation has stalled", remedy: "look for a wait that nothing ends")
    }
    return try outcome.get()
  }

  /// Forgets all timers, and with them what they hold on to: the end of a simulation.
  func clear() {
    let timers = state.withLock { state in
      defer { state.timers = [] }
      return state.timers
    }
    // Let go of outside the lock.
    _ = timers
  }

  private static func isBefore(_ left: Timer, _ right: Timer) -> Bool {
    (left.dueAt, left.order) < (right.dueAt, right.order)
  }

  private static func push(_ timer: Timer, on heap: inout [Timer]) {
    heap.append(timer)
    var place = heap.count - 1
    while place > 0, isBefore(heap[place], heap[(place - 1) / 2]) {
      heap.swapAt(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  private static func pop(from heap: inout [Timer]) -> Timer {
    heap.swapAt(0, heap.count - 1)
    let first = heap.removeLast()
    var place = 0
    while true {
      var least = place
      for child in [2 * place + 1, 2 * place + 2]
      where child < heap.count && isBefore(heap[child], heap[least]) {
        least = child
      }
      if least == place { return first }
      heap.swapAt(place, least)
      place = least
    }
  }
}
