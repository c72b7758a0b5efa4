internal import Glibc
internal import Synchronization

/// Whose a link thread's sockets are at a moment: its own, or for one event another thread's, which sends it (``DirectSender``); or, where
/// the thread has left to run agents and is long in coming back, for good those of the thread that stands by.
///
/// libzmq lets sockets pass from one thread to another where there is a full memory barrier between them, which taking and giving
/// back a mutex is.
///
/// `@unchecked Sendable`: what is no atomic is used by who has the turn.
final class LoopTurn: @unchecked Sendable {
  /// How often the thread that stands by looks, while the other one leaves now and then.
  static let lookNanoseconds = 2_000_000
  /// After so many looks at which nobody had left since the one before it looks no more, until somebody leaves.
  static let idleLookCountMax = 32

  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  /// How often the turn has passed to another thread for good.
  private var generation = 0
  private let isAway = Atomic<Bool>(false)
  private let leaveCount = Atomic<UInt64>(0)
  private let isWatched = Atomic<Bool>(false)
  private let isOver = Atomic<Bool>(false)
  private let standsBy = Atomic<Bool>(false)
  private let bell: EventFlag

  init() throws {
    bell = try EventFlag()
    mutex = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func take() { pthread_mutex_lock(mutex) }
  /// Takes the turn where nobody has it.
  func tryTake() -> Bool { pthread_mutex_trylock(mutex) == 0 }
  func giveBack() { pthread_mutex_unlock(mutex) }

  // MARK: Leaving

  /// Gives the turn back for something that may take long. Returns what ``comeBack(_:)`` needs.
  func leave() -> Int {
    let ticket = generation
    isAway.store(true, ordering: .sequentiallyConsistent)
    leaveCount.wrappingAdd(1, ordering: .sequentiallyConsistent)
    giveBack()
    if !isWatched.exchange(true, ordering: .sequentiallyConsistent) { bell.raise() }
    return ticket
  }

  /// Takes the turn again. Returns false, without it, where another thread has it for good.
  func comeBack(_ ticket: Int) -> Bool {
    take()
    guard generation == ticket else {
      giveBack()
      return false
    }
    isAway.store(false, ordering: .sequentiallyConsistent)
    return true
  }

  // MARK: Standing by

  /// Whether a thread stands by: without one nobody may leave.
  var hasStandby: Bool { standsBy.load(ordering: .acquiring) }

  /// Waits until the thread that has the turn is long in coming back, and takes its place: with the turn. Returns false once all is over.
  func standBy() -> Bool {
    standsBy.store(true, ordering: .releasing)
    while true {
      bell.wait()
      bell.lower()
      var (last, idleCount) = (leaveCount.load(ordering: .sequentiallyConsistent), 0)
      while idleCount <= Self.idleLookCountMax {
        if isOver.load(ordering: .acquiring) { return false }
        sleep()
        let count = leaveCount.load(ordering: .sequentiallyConsistent)
        if count == last, isAway.load(ordering: .sequentiallyConsistent), takeOver(from: count) {
          return true
        }
        idleCount = count == last ? idleCount + 1 : 0
        last = count
      }
      isWatched.store(false, ordering: .sequentiallyConsistent)
      // Who left just now may have seen that somebody watched.
      if leaveCount.load(ordering: .sequentiallyConsistent) != last
        || isAway.load(ordering: .sequentiallyConsistent),
        !isWatched.exchange(true, ordering: .sequentiallyConsistent)
      {
        bell.raise()
      }
    }
  }

  /// Takes the turn for good from who left at the count of `leaves`.
  private func takeOver(from leaves: UInt64) -> Bool {
    take()
    guard isAway.load(ordering: .sequentiallyConsistent),
      leaveCount.load(ordering: .sequentiallyConsistent) == leaves
    else {
      giveBack()
      return false
    }
    generation += 1
    standsBy.store(false, ordering: .releasing)
    isAway.store(false, ordering: .sequentiallyConsistent)
    // Who stands by from now on waits to be called.
    isWatched.store(false, ordering: .sequentiallyConsistent)
    return true
  }

  /// Lets nobody stand by any more.
  func end() {
    isOver.store(true, ordering: .releasing)
    bell.raise()
  }

  private func sleep() {
    var time = timespec(tv_sec: 0, tv_nsec: Self.lookNanoseconds)
    nanosleep(&time, nil)
  }
}
