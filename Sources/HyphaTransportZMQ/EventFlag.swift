internal import CZeroMQ
internal import Glibc
internal import HyphaCore

/// A flag that one thread raises and others wait for, made of an eventfd so that `zmq_poll` can wait too.
///
/// It holds nothing but the number of a descriptor, which the kernel lets every thread use.
final class EventFlag: Sendable {
  let descriptor: Int32

  init() throws {
    descriptor = hypha_eventfd()
    guard descriptor >= 0 else {
      throw HyphaError(
        .transportFailed, "no descriptor is left to wake a thread with",
        remedy: "raise the limit of open files (ulimit -n)",
        cause: "eventfd: \(String(cString: strerror(errno)))")
    }
  }

  deinit { close(descriptor) }

  func raise() { hypha_eventfd_signal(descriptor) }
  func lower() { hypha_eventfd_clear(descriptor) }

  /// Waits until the flag is raised; it stays so.
  func wait() {
    var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while poll(&item, 1, -1) != 1 {}
  }
}
