internal import CZeroMQ
internal import HyphaCore

/// The sockets that one thread waits for, and the descriptor that wakes it for other work.
struct PollSet {
  private var items: [zmq_pollitem_t]
  private var sockets: [Socket] = []

  init(wakingOn descriptor: Int32) {
    items = [zmq_pollitem_t(socket: nil, fd: descriptor, events: Int16(ZMQ_POLLIN), revents: 0)]
  }

  mutating func add(_ socket: Socket) {
    sockets.append(socket)
    items.append(socket.pollItem)
  }

  mutating func remove(_ socket: Socket) {
    guard let index = sockets.firstIndex(where: { $0 === socket }) else { return }
    sockets.remove(at: index)
    items.remove(at: index + 1)
  }

  /// Looks at every socket, and waits for one for `timeout` at most, without end where that is nil. Returns
  /// whether the descriptor woke it.
  mutating func poll(timeout: Duration?) -> Bool {
    for (index, socket) in sockets.enumerated() {
      items[index + 1].events = Int16(socket.wantsToWrite ? ZMQ_POLLIN | ZMQ_POLLOUT : ZMQ_POLLIN)
    }
    // A signal ends the call early; then nothing is readable.
    let isPolled = zmq_poll(&items, Int32(items.count), timeout?.millisecondsRoundedUp ?? -1) >= 0
    for (index, socket) in sockets.enumerated() {
      socket.isReadable = isPolled && items[index + 1].revents & Int16(ZMQ_POLLIN) != 0
    }
    return isPolled && items[0].revents != 0
  }
}

extension Duration {
  /// Rounded up, so that a wait of less than a millisecond is not none.
  fileprivate var millisecondsRoundedUp: Int { Int(clamping: (wholeMicroseconds + 999) / 1000) }
}
