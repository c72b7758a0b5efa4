internal import CZeroMQ
internal import Glibc
internal import HyphaCore

/// The sockets that one thread waits for, and the descriptor that wakes it for other work.
///
/// A libzmq socket's descriptor tells only that something has changed. So each socket that something was done with is asked before the
/// wait, and after it each one whose descriptor tells; asking takes two system calls. The sockets are nobody's while the thread waits.
struct PollSet {
  private var items: [pollfd]
  private var sockets: [Socket] = []

  init(wakingOn descriptor: Int32) {
    items = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
  }

  mutating func add(_ socket: Socket) {
    sockets.append(socket)
    items.append(pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0))
  }

  mutating func remove(_ socket: Socket) {
    guard let index = sockets.firstIndex(where: { $0 === socket }) else { return }
    sockets.remove(at: index)
    items.remove(at: index + 1)
  }

  /// Looks at the sockets, and waits for one for `timeout` at most, without end where that is nil; meanwhile the turn is given
  /// back. Returns whether the descriptor woke it.
  mutating func poll(timeout: Duration?, _ turn: LoopTurn) -> Bool {
    var hasWork = timeout == .zero
    for socket in sockets where !socket.isSettled && socket.look() { hasWork = true }
    if !hasWork { turn.giveBack() }
    // A signal ends the call early; then nothing has woken it.
    let nanoseconds =
      hasWork ? 0 : timeout.map { Int64(clamping: min($0.wholeMicroseconds, 1 << 50) * 1_000) } ?? -1
    let isTold = hypha_poll(&items, UInt(items.count), nanoseconds) > 0
    if !hasWork { turn.take() }
    guard isTold else { return false }
    for (index, socket) in sockets.enumerated() where items[index + 1].revents != 0 { _ = socket.look() }
    return items[0].revents != 0
  }
}
