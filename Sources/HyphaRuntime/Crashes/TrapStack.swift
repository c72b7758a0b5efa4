import Glibc

/// A stack of its own for signal handlers, on each thread that runs agents' calls: where a call has used up the thread's stack, a
/// handler would find no room on that.
enum TrapStack {
  private static let byteCount = 64 << 10

  /// Frees a thread's stack when the thread ends.
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key) { memory in
      var stack = stack_t()
      sigaltstack(nil, &stack)
      if stack.ss_sp == memory {
        stack.ss_flags = Int32(SS_DISABLE)
        sigaltstack(&stack, nil)
      }
      free(memory)
    }
    return key
  }()

  /// Sees that the thread has one: its own, where nobody else has given it one.
  static func ensure() {
    guard pthread_getspecific(key) == nil, let memory = malloc(byteCount) else { return }
    pthread_setspecific(key, memory)
    var stack = stack_t()
    guard sigaltstack(nil, &stack) == 0, stack.ss_flags & Int32(SS_DISABLE) != 0 else { return }
    stack = stack_t(ss_sp: memory, ss_flags: 0, ss_size: byteCount)
    sigaltstack(&stack, nil)
  }
}
