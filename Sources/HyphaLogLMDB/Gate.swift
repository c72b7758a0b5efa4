import Glibc

/// Lets many in at a time, or one alone.
///
/// Whoever enters leaves on the same thread, and may enter again within; whoever wants to be alone must not be
/// inside.
///
/// `@unchecked Sendable`: the lock guards itself, and lives at one address as long as the object.
final class Gate: @unchecked Sendable {
  private let lock: UnsafeMutablePointer<pthread_rwlock_t>

  init() {
    lock = .allocate(capacity: 1)
    lock.initialize(to: pthread_rwlock_t())
    pthread_rwlock_init(lock, nil)
  }

  deinit {
    pthread_rwlock_destroy(lock)
    lock.deallocate()
  }

  func enter() { pthread_rwlock_rdlock(lock) }
  func leave() { pthread_rwlock_unlock(lock) }

  func alone(_ body: () throws -> Void) rethrows {
    pthread_rwlock_wrlock(lock)
    defer { pthread_rwlock_unlock(lock) }
    try body()
  }

  /// Does `body` alone, unless others are inside for longer than `patience`; whether it did.
  func alone(within patience: Duration, _ body: () throws -> Void) rethrows -> Bool {
    let deadline = ContinuousClock.now + patience
    while pthread_rwlock_trywrlock(lock) != 0 {
      guard ContinuousClock.now < deadline else { return false }
      usleep(200)
    }
    defer { pthread_rwlock_unlock(lock) }
    try body()
    return true
  }
}
