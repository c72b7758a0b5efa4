import CLMDB
import Dispatch
import Glibc
import HyphaCore
import HyphaLog
import Synchronization

/// Keeps the index of a log that this process writes: one thread that follows the commits.
///
/// The log never waits for it. Under load the thread reads what was committed and writes a full run now and then, each in
/// one synced transaction; when nothing was appended for ``LogIndexSettings/idleDelay`` it writes the rest, so the lag
/// becomes 0. What fails, such as a full disk, is kept for ``status()`` and tried again later; an index that turns out to
/// be damaged is made anew.
final class LogIndexer: Sendable {
  /// Answers from the index.
  let reader: IndexReader
  private let shared: Shared
  private let thread: IndexThread

  /// What the thread and everyone else share.
  fileprivate final class Shared: Sendable {
    let head = Atomic<UInt64>(0)
    let through = Atomic<UInt64>(0)
    let isClosed = Atomic<Bool>(false)
    let isAsleep = Atomic<Bool>(false)
    /// Whether a reader has met damage.
    let isDamaged = Atomic<Bool>(false)
    let failure = Mutex<HyphaError?>(nil)
    let pause = WorkPause()
    let wakes = DispatchSemaphore(value: 0)
  }

  /// Opens the index in `place`, or begins a new one, and starts the thread.
  ///
  /// For whoever holds the writer's lock.
  init(_ place: DataDirectory, of log: any IndexedLog, settings: LogIndexSettings) throws {
    let shared = Shared()
    shared.head.store(try log.head().rawValue, ordering: .relaxed)
    // Opened here, so that no reader of this process opens it first, for reading only.
    var store: IndexStore?
    do {
      let opened = try place.openIndex(for: log, settings: settings)
      let through = try opened.meta(opened.environment.beginReading()).through
      shared.through.store(through.rawValue, ordering: .relaxed)
      store = opened
    } catch {
      // The log is open whatever becomes of its index; the thread tries again.
      shared.failure.withLock { $0 = IndexFailure.from(error) }
    }
    reader = IndexReader(place, of: log) { _ in
      shared.isDamaged.store(true, ordering: .releasing)
      shared.wakes.signal()
    }
    self.shared = shared
    thread = try IndexThread(name: "hypha-index", niceValue: settings.niceValue) { [store] in
      IndexWork(place, log: log, store: store, settings: settings, shared: shared).run()
    }
  }

  /// Says that the log has a new head. Never blocks; any thread.
  func noteCommit(head: Position) {
    shared.head.store(head.rawValue, ordering: .sequentiallyConsistent)
    guard shared.isAsleep.load(ordering: .sequentiallyConsistent) else { return }
    if shared.isAsleep.exchange(false, ordering: .sequentiallyConsistent) { shared.wakes.signal() }
  }

  /// How far the index is, and what hinders it.
  func status() -> LogIndexStatus {
    let head = shared.head.load(ordering: .acquiring)
    let through = shared.through.load(ordering: .acquiring)
    return LogIndexStatus(
      through: Position(rawValue: through), lagCount: head > through ? head - through : 0,
      failure: shared.failure.withLock { $0 })
  }

  /// Does `body` while the thread writes nothing: on a full disk it would take the room that others have made.
  func paused<Value>(_ body: () async throws -> Value) async rethrows -> Value {
    await shared.pause.begin()
    defer { if shared.pause.end() { shared.wakes.signal() } }
    return try await body()
  }

  /// Writes what was read, ends the thread and lets go of the index. Closing again does nothing.
  func close() {
    shared.isClosed.store(true, ordering: .releasing)
    shared.wakes.signal()
    thread.join()
    reader.close()
  }
}

/// What the thread does. It stays on it.
private final class IndexWork {
  private let place: DataDirectory
  private let log: any IndexedLog
  private let settings: LogIndexSettings
  private let shared: LogIndexer.Shared
  private var store: IndexStore?
  private var builder: IndexBuilder?
  private var pace: IndexPace

  init(
    _ place: DataDirectory, log: any IndexedLog, store: IndexStore?, settings: LogIndexSettings,
    shared: LogIndexer.Shared
  ) {
    self.place = place
    self.log = log
    self.store = store
    self.settings = settings
    self.shared = shared
    pace = IndexPace(idleDelay: settings.idleDelay, restDelayMax: settings.restDelayMax)
  }

  func run() {
    while !shared.isClosed.load(ordering: .acquiring) {
      guard shared.pause.beginStep() else {
        shared.wakes.wait()
        continue
      }
      let next: Next
      do {
        next = try step()
      } catch {
        if error is IndexFailure.Damage { shared.isDamaged.store(true, ordering: .releasing) }
        let error = IndexFailure.from(error)
        shared.failure.withLock { $0 = error }
        // It may have been left in the middle of a step.
        builder = nil
        next = .wait(pace.failed())
      }
      if let builder { shared.through.store(builder.through.rawValue, ordering: .releasing) }
      shared.pause.endStep()
      switch next {
      case .goOn: break
      case .wait(let pause): wait(pause)
      case .rest: waitForCommit()
      }
    }
    // What was read is worth keeping; what is not costs the next process a scan.
    try? builder?.writeRest()
  }

  /// What follows a step.
  private enum Next {
    case goOn
    case wait(Duration)
    case rest
  }

  /// Reads a bit, or writes the rest of what was read when that is due.
  private func step() throws -> Next {
    let builder = try readyBuilder()
    let before = builder.next
    if try builder.collect(upTo: head) { return .goOn }
    shared.failure.withLock { $0 = nil }
    switch pace.next(hasRest: builder.hasRest, hasMoved: builder.next != before, now: .now) {
    case .write:
      try builder.writeRest()
      return .goOn
    case .lookAgain(let pause): return .wait(pause)
    case .rest: return .rest
    }
  }

  private var head: Position { Position(rawValue: shared.head.load(ordering: .sequentiallyConsistent)) }

  private func readyBuilder() throws -> IndexBuilder {
    if shared.isDamaged.exchange(false, ordering: .acquiringAndReleasing) {
      (builder, store) = (nil, nil)
      store = try place.makeIndex(for: log, settings: settings)
    }
    if let builder { return builder }
    let made: IndexBuilder
    do {
      let store = try self.store ?? place.openIndex(for: log, settings: settings)
      self.store = store
      made = try IndexBuilder(store, log: log, settings: settings)
    } catch let error as HyphaError where error.code == .logInvalid {
      store = nil
      let store = try place.makeIndex(for: log, settings: settings)
      self.store = store
      made = try IndexBuilder(store, log: log, settings: settings)
    }
    try made.dropPruned()
    builder = made
    return made
  }

  private func wait(_ pause: Duration) {
    _ = shared.wakes.wait(timeout: .now() + .microseconds(Int(clamping: pause.wholeMicroseconds)))
  }

  private func waitForCommit() {
    shared.isAsleep.store(true, ordering: .sequentiallyConsistent)
    // A commit between the last look and the mark has woken nobody.
    if let builder, head < builder.next { shared.wakes.wait() }
    shared.isAsleep.store(false, ordering: .sequentiallyConsistent)
  }
}
