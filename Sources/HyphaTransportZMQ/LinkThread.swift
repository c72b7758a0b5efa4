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
  let direct: DirectSender
  let share: ThreadShare
  private let opened: EventFlag
  private let begun: EventFlag
  private let ended: EventFlag
  private let failure = Mutex<HyphaError?>(nil)
  private let threadID = Atomic<Int>(0)

  init(_ share: ThreadShare, _ options: ZMQTransport.Options) throws {
    self.share = share
    queue = try OutboundQueue(countMax: options.queueCountMax, byteCountMax: options.queueByteCountMax)
    direct = try DirectSender(queue)
    opened = try EventFlag()
    begun = try EventFlag()
    ended = try EventFlag()
  }

  /// Starts the thread and waits until its sockets are open.
  ///
  /// - Throws: what kept them from it; the thread has ended then.
  func open(
    _ plan: LinkPlan, _ options: ZMQTransport.Options, _ endpoints: [NodeID: Endpoints],
    _ former: [Endpoints],
    _ counters: Counters, _ lock: NodeLock?, _ receiver: any TransportReceiver
  ) throws {
    lock?.enter()
    do {
      let end: @Sendable () -> Void = { [self] in
        // Every socket is closed here.
        lock?.leave()
        ended.raise()
      }
      // Only urgent threads run agents. It waits until there is something to take over.
      if share == .urgent {
        try startThread { [self] in
          nameThread()
          serve(receiver, isRunner: false, end)
        }
      }
      do {
        try startThread { [self] in work(plan, options, endpoints, former, counters, receiver, end) }
      } catch {
        direct.turn.end()
        throw error
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

  /// All that the thread does. The context ends with the loop, and every socket with the context.
  private func work(
    _ plan: LinkPlan, _ options: ZMQTransport.Options, _ endpoints: [NodeID: Endpoints],
    _ former: [Endpoints],
    _ counters: Counters, _ receiver: any TransportReceiver, _ end: () -> Void
  ) {
    nameThread()
    // Before the context is made: libzmq's thread inherits the nice value of the one that makes it.
    if share == .bulk { hypha_thread_lower_priority(Int32(clamping: options.bulkNiceValue)) }
    direct.turn.take()
    do {
      let opener = SocketOpener(
        context: try SocketContext(), plan: plan, options: options, endpoints: endpoints, former: former,
        tell: receiver.refused)
      direct.loop = try SocketLoop(share, opener, queue, direct.turn, counters)
    } catch {
      failure.withLock { $0 = error as? HyphaError ?? HyphaError(.transportFailed, "\(error)") }
      queue.close()
      opened.raise()
      return finish(end)
    }
    opened.raise()
    begun.wait()
    serve(receiver, isRunner: true, end)
  }

  /// Runs the loop as long as the turn is this thread's, and stands by as long as it is the other's.
  private func serve(_ receiver: any TransportReceiver, isRunner: Bool, _ end: () -> Void) {
    // A loop's rest is shorter than what the kernel would add to it.
    hypha_thread_timer_slack(1_000)
    var isRunner = isRunner
    while true {
      if isRunner {
        threadID.store(hypha_thread_id(), ordering: .releasing)
        if direct.loop?.run(receiver) != false { return finish(end) }
        isRunner = false
      } else {
        guard direct.turn.standBy() else { return }
        // Whom the other one was about to run others run.
        receiver.reclaimAgents()
        isRunner = true
      }
    }
  }

  /// Closes the sockets and ends the turn, which is this thread's.
  private func finish(_ end: () -> Void) {
    direct.loop?.close()
    direct.loop = nil
    direct.turn.end()
    direct.turn.giveBack()
    end()
  }

  private func nameThread() { hypha_thread_name("hypha-\(share.rawValue)") }

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
