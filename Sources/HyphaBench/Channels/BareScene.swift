import CZeroMQ
import Foundation
import HyphaCore
import Synchronization

/// A libzmq socket called directly.
///
/// `@unchecked Sendable`: one thread uses it at a time.
private final class BareSocket: @unchecked Sendable {
  private let context: UnsafeMutableRawPointer?
  let handle: UnsafeMutableRawPointer?

  init(_ type: Int32, at endpoint: String, binds: Bool) throws {
    context = zmq_ctx_new()
    handle = zmq_socket(context, type)
    // The window bounds what is on its way. A bound of libzmq's own would drop some within it: it looks only every
    // few milliseconds how much its peer has read.
    for option in [ZMQ_SNDHWM, ZMQ_RCVHWM] {
      var value: Int32 = 0
      zmq_setsockopt(handle, option, &value, 4)
    }
    var linger: Int32 = 0
    zmq_setsockopt(handle, ZMQ_LINGER, &linger, 4)
    if type == ZMQ_SUB { zmq_setsockopt(handle, ZMQ_SUBSCRIBE, nil, 0) }
    if type == ZMQ_XPUB {
      // Without it a publisher is told of the first of several subscriptions to the same, and not of the others.
      var isTold: Int32 = 1
      zmq_setsockopt(handle, ZMQ_XPUB_VERBOSE, &isTold, 4)
    }
    guard (binds ? zmq_bind(handle, endpoint) : zmq_connect(handle, endpoint)) == 0 else {
      throw HyphaError(
        .failed, "bare libzmq, which the bus is compared with, cannot use \(endpoint)",
        cause: String(cString: zmq_strerror(zmq_errno())))
    }
  }
}

/// The publishing side of the bare part: one event a message, and, for the persistent channel, one synced commit a
/// group before it is sent.
final class BareOrigin: ScenePart {
  private let state: SceneState
  private let socket: BareSocket
  private let log: BareLMDB?

  /// Waits for all receivers' subscriptions.
  init(_ state: SceneState) throws {
    self.state = state
    socket = try BareSocket(ZMQ_XPUB, at: state.scene.bareEndpoint, binds: true)
    log = try BareLMDB.ofScene(state.scene, "bare-origin")
    var (byte, missing): (UInt8, Int) = (0, state.scene.receiverCount)
    while missing > 0 { if zmq_recv(socket.handle, &byte, 1, 0) > 0 { missing -= 1 } }
  }

  func answer(_ request: SceneRequest) async throws -> SceneAnswer {
    guard case .send(let order, _) = request else { return SceneAnswer() }
    let (state, socket, log) = (state, socket, log)
    // Not the log's nice value: libzmq's own threads have none either, and the two take turns.
    return try await onThread(niceValue: log == nil ? 0 : OwnLog.niceValue) {
      let processor = Monotonic.processorNanoseconds()
      let pace = state.pace(order)
      var words = [UInt64](repeating: 7, count: state.scene.payloadByteCount / 8)
      while let share = pace.next(upTo: log == nil ? 64 : 1_024) {
        try log?.appendGroup(share.count)
        for number in share.first..<share.first + share.count {
          words[0] = pace.stamp(number)
          zmq_send(socket.handle, words, words.count * 8, ZMQ_DONTWAIT)
        }
      }
      return SceneAnswer(
        sent: SentSlice(
          begin: pace.beginning, count: pace.sentCount,
          processorNanoseconds: Monotonic.processorNanoseconds() - processor))
    }
  }

  func stop() async {}
}

/// The receiving side of the bare part: takes whatever has come, and, for the persistent channel, commits it.
final class BareReceiver: ScenePart {
  private let state: SceneState

  init(_ state: SceneState) throws {
    self.state = state
    let socket = try BareSocket(ZMQ_SUB, at: state.scene.bareEndpoint, binds: false)
    let log = try BareLMDB.ofScene(state.scene, "bare-receiver")
    Thread.detachNewThread {
      do { try Self.receive(socket, state.tally, log) } catch {
        FileHandle.standardError.write(Data("\(error)\n".utf8))
        exit(1)
      }
    }
  }

  private static func receive(_ socket: BareSocket, _ tally: Tally, _ log: BareLMDB?) throws {
    var message = zmq_msg_t()
    zmq_msg_init(&message)
    var stamps: [UInt64] = []
    while true {
      guard zmq_msg_recv(&message, socket.handle, 0) >= 8 else { continue }
      stamps.append(zmq_msg_data(&message).loadUnaligned(as: UInt64.self))
      guard let log else {
        tally.take(stamp: stamps[0])
        stamps.removeAll(keepingCapacity: true)
        continue
      }
      while stamps.count < 1_024, zmq_msg_recv(&message, socket.handle, ZMQ_DONTWAIT) >= 8 {
        stamps.append(zmq_msg_data(&message).loadUnaligned(as: UInt64.self))
      }
      try log.appendGroup(stamps.count)
      for stamp in stamps { tally.take(stamp: stamp) }
      stamps.removeAll(keepingCapacity: true)
    }
  }

  func answer(_ request: SceneRequest) async throws -> SceneAnswer {
    switch request {
    case .begin(let stride, _): state.tally.begin(stride: stride)
    case .finish(let count, _): return try await state.finish(count: count, pulseCount: 0)
    case .send, .index: break
    }
    return SceneAnswer()
  }

  func stop() async {}
}

extension BareLMDB {
  /// A table of its own for one side, where events are to be durable.
  fileprivate static func ofScene(_ scene: Scene, _ name: String) throws -> BareLMDB? {
    guard scene.channel == .persistent else { return nil }
    // The socket's name tells the receivers of a scene apart.
    let path = "\(scene.directory)/\(name)-\(getpid())"
    try Disk.makeDirectory(path)
    return try BareLMDB(path, valueByteCount: scene.payloadByteCount)
  }
}
