import CLMDB
import Glibc
import HyphaCore
import Synchronization

/// A thread of its own name and nice value that runs one closure, and can be waited for.
final class IndexThread: Sendable {
  private let handle: Mutex<pthread_t?>

  private final class Start: Sendable {
    let name: String
    let niceValue: Int32
    let body: @Sendable () -> Void

    init(name: String, niceValue: Int32, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.niceValue = niceValue
      self.body = body
    }
  }

  init(name: String, niceValue: Int32, _ body: @escaping @Sendable () -> Void) throws {
    let context = Unmanaged.passRetained(Start(name: name, niceValue: niceValue, body: body))
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { context in
        // The thread is always given a context: the one that was retained for it.
        let start = Unmanaged<Start>.fromOpaque(context!).takeRetainedValue()
        hypha_lmdb_prepare_thread(start.name, start.niceValue)
        start.body()
        return nil
      }, context.toOpaque())
    guard code == 0 else {
      context.release()
      throw HyphaError(
        .logFailed, "the index's thread cannot be started", remedy: "raise the limit of threads (ulimit -u)",
        cause: "pthread_create: \(String(cString: strerror(code)))")
    }
    handle = Mutex(thread)
  }

  /// Waits until the closure has returned; at once when someone has waited already.
  func join() {
    let thread = handle.withLock { handle in
      defer { handle = nil }
      return handle
    }
    if let thread { pthread_join(thread, nil) }
  }
}
