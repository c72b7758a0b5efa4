internal import CZeroMQ
internal import Glibc
internal import HyphaCore
internal import HyphaTransport
internal import Synchronization

/// Which sockets one of the two threads has.
///
/// Two, so that bulk never stands before urgency; each has its own libzmq context, and with it a libzmq
/// thread of its own.
enum ThreadShare: String, CaseIterable {
  /// Alert and realtime.
  case urgent
  /// Control and persistent, at a raised nice value.
  case bulk

  /// The channels, the more urgent first.
  var channels: [Channel] {
    switch self {
    case .urgent: [.alert, .realtime]
    case .bulk: [.persistent]
    }
  }

  var hasControl: Bool { self == .bulk }

  /// The lane of the thread's queue that an item waits in.
  static func lane(of item: OutboundQueue.Item) -> OutboundQueue.Lane {
    switch item.kind {
    case .request, .answer, .frame(.alert): .first
    case .frame(.realtime), .frame(.persistent): .second
    case .run(let run): run.channel == .alert ? .first : .second
    }
  }
}

/// One of the two threads: opens its sockets, runs its loop, closes its sockets.
final class LinkThread: Sendable {
  let queue: OutboundQueue
  let share: ThreadShare
  private let opened: EventFlag
  private let begun: EventFlag
  private let ended: EventFlag
  private let failure = Mutex<HyphaError?>(nil)
  private let threadID = Atomic<Int>(0)

  init(_ share: ThreadShare, _ options: ZMQTransport.Options) throws {
    self.share = share
    queue = try OutboundQueue(countMax: options.queueCountMax, byteCountMax: options.queueByteCountMax)
    opened = try EventFlag()
    begun = try EventFlag()
    ended = try EventFlag()
  }

  /// Starts the thread and waits until its sockets are open.
  ///
  /// - Throws: what kept them from it; the thread has ended then.
  func open(
    _ plan: LinkPlan, _ options: ZMQTransport.Options, _ endpoints: [NodeID: Endpoints],
    _ counters: Counters, _ lock: NodeLock?, _ receiver: any TransportReceiver
  ) throws {
    lock?.enter()
    do {
      try startThread { [self] in
        work(plan, options, endpoints, counters, receiver)
        // Every socket is closed here.
        lock?.leave()
        ended.raise()
      }
    } catch {
      lock?.leave()
      throw error
    }
    opened.wait()
    if let failure = failure.withLock({ $0 }) {
      ended.wait()
      throw failure
    }
  }

  /// Lets the loop run.
  func begin() { begun.raise() }

  /// Ends the loop without waiting for it.
  func beginStop() {
    queue.close()
    begun.raise()
  }

  /// Waits until the thread has closed its sockets. On the thread itself, which is in a callback then, it
  /// returns at once; that callback is the last.
  func waitForStop() {
    if threadID.load(ordering: .acquiring) == hypha_thread_id() { return }
    ended.wait()
  }

  /// All that the thread does. The context ends with it, and every socket with the context.
  private func work(
    _ plan: LinkPlan, _ options: ZMQTransport.Options, _ endpoints: [NodeID: Endpoints],
    _ counters: Counters, _ receiver: any TransportReceiver
  ) {
    threadID.store(hypha_thread_id(), ordering: .releasing)
    hypha_thread_name("hypha-\(share.rawValue)")
    // Before the context is made: libzmq's thread inherits the nice value of the one that makes it.
    if share == .bulk { hypha_thread_lower_priority(Int32(clamping: options.bulkNiceValue)) }
    do {
      let opener = SocketOpener(
        context: try SocketContext(), plan: plan, options: options, endpoints: endpoints)
      let loop = try SocketLoop(share, opener, queue, counters)
      opened.raise()
      begun.wait()
      loop.run(receiver)
    } catch {
      failure.withLock { $0 = error as? HyphaError ?? HyphaError(.transportFailed, "\(error)") }
      queue.close()
      opened.raise()
    }
  }

  private func startThread(_ body: @escaping @Sendable () -> Void) throws {
    final class Work: Sendable {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let work = Unmanaged.passRetained(Work(body))
    var thread = pthread_t()
    let result = pthread_create(
      &thread, nil,
      { argument in
        // Signals are the program's, not these threads'.
        var signals = sigset_t()
        sigfillset(&signals)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, work.toOpaque())
    guard result == 0 else {
      work.release()
      throw HyphaError(
        .transportFailed, "the \(share.rawValue) link thread cannot be started",
        remedy: "raise the limit of threads (ulimit -u)",
        cause: "pthread_create: \(String(cString: strerror(result)))")
    }
    pthread_detach(thread)
  }
}
