internal import HyphaTransport
internal import Synchronization

/// What a transport has done so far, counted by several threads.
final class Counters: Sendable {
  private let framesSent = Atomic<UInt64>(0)
  private let framesReceived = Atomic<UInt64>(0)
  private let framesDropped = Atomic<UInt64>(0)
  private let messagesDropped = Atomic<UInt64>(0)
  private let peersRefused = Atomic<UInt64>(0)
  private let messagesRefused = Atomic<UInt64>(0)

  func add(
    framesSent: Int = 0, framesReceived: Int = 0, framesDropped: Int = 0, messagesDropped: Int = 0,
    peersRefused: Int = 0, messagesRefused: Int = 0
  ) {
    if peersRefused > 0 { self.peersRefused.wrappingAdd(UInt64(peersRefused), ordering: .relaxed) }
    if messagesRefused > 0 { self.messagesRefused.wrappingAdd(UInt64(messagesRefused), ordering: .relaxed) }
    if framesSent > 0 { self.framesSent.wrappingAdd(UInt64(framesSent), ordering: .relaxed) }
    if framesReceived > 0 { self.framesReceived.wrappingAdd(UInt64(framesReceived), ordering: .relaxed) }
    if framesDropped > 0 { self.framesDropped.wrappingAdd(UInt64(framesDropped), ordering: .relaxed) }
    if messagesDropped > 0 { self.messagesDropped.wrappingAdd(UInt64(messagesDropped), ordering: .relaxed) }
  }

  var value: TransportCounters {
    var value = TransportCounters()
    value.framesSent = framesSent.load(ordering: .relaxed)
    value.framesReceived = framesReceived.load(ordering: .relaxed)
    value.framesDropped = framesDropped.load(ordering: .relaxed)
    value.messagesDropped = messagesDropped.load(ordering: .relaxed)
    value.peersRefused = peersRefused.load(ordering: .relaxed)
    value.messagesRefused = messagesRefused.load(ordering: .relaxed)
    return value
  }
}
