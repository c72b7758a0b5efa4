import Foundation
import Glibc
import HyphaCore
import Synchronization

/// Answers operators' requests for one node.
///
/// A thread takes connections, and each has a thread of its own, which also does what is asked: an operator is answered even
/// where agents keep all threads of the program busy. A request must come within 10 s. At most ``connectionCountMax`` connections are served at a time; further ones wait in the
/// kernel's queue of 16. Whatever comes is bounded before it is kept, and what is no request is answered with an
/// error.
final class OperatorServer: Sendable {
  /// Does what was asked. It is told of the request's authority, and may say how far it has come.
  typealias Operation =
    @Sendable (_ request: OperatorRequest, _ progress: @escaping @Sendable (String) -> Void) async throws ->
    JSONValue

  /// The most connections at a time.
  static let connectionCountMax = 16
  /// How long a program may take to send its request, and to take an answer.
  static let patience = Duration.seconds(10)

  private struct State {
    var isStopped = false
    var connectionCount = 0
  }

  private let directory: String
  private let descriptor: Int32
  private let operations: [String: Operation]
  private let state = Mutex(State())

  /// Begins to listen in a node's data directory.
  ///
  /// - Throws: ``HyphaError/Code/fileUnavailable``.
  init(in directory: String, operations: [String: Operation]) throws {
    self.directory = directory
    self.operations = operations
    descriptor = try OperatorSocket.listen(in: directory)
    Thread.detachNewThread { [self] in takeConnections() }
  }

  /// Takes no more connections, and removes the socket. Operations that run go on.
  func stop() {
    let isFirst = state.withLock { state in
      defer { state.isStopped = true }
      return !state.isStopped
    }
    if isFirst { unlink("\(directory)/\(OperatorSocket.name)") }
  }

  private func takeConnections() {
    defer { close(descriptor) }
    while true {
      let (isStopped, hasRoom) = state.withLock { state in
        (state.isStopped, state.connectionCount < Self.connectionCountMax)
      }
      if isStopped { return }
      var waited = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      // So that a stop is seen soon.
      guard poll(&waited, hasRoom ? 1 : 0, 50) > 0 else { continue }
      let connection = accept(descriptor, nil, nil)
      guard connection >= 0 else {
        // The process has no descriptors left, say: the connection stays in the queue.
        usleep(50_000)
        continue
      }
      _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
      state.withLock { $0.connectionCount += 1 }
      Thread.detachNewThread { [self] in serve(connection) }
    }
  }

  private func serve(_ descriptor: Int32) {
    var connection = OperatorConnection(descriptor)
    do {
      try OperatorSocket.checkPeer(descriptor, directory)
      let line = try connection.readLine(
        byteCountMax: OperatorMessage.requestByteCountMax, within: Self.patience)
      let request = try OperatorRequest(line: line)
      guard let operation = operations[request.request] else {
        throw HyphaError(
          .usage, "the node has no operation '\(request.request.shown(80))'",
          remedy: "use one of \(operations.keys.sorted().joined(separator: ", "))")
      }
      let executor = ThreadExecutor()
      Task(executorPreference: executor) { [self] in
        await perform(operation, request, descriptor)
        executor.finish()
      }
      executor.run()
    } catch OperatorConnection.Ending.tooLong {
      let limit = OperatorMessage.requestByteCountMax
      end(descriptor, .failure(HyphaError(.tooLarge, "a request has more than \(limit) bytes")))
    } catch is OperatorConnection.Ending {
      end(descriptor, nil)
    } catch {
      end(descriptor, .failure(error))
    }
  }

  private func perform(_ operation: Operation, _ request: OperatorRequest, _ descriptor: Int32) async {
    let connection = OperatorConnection(descriptor)
    do {
      let result = try await operation(request) { text in
        guard let line = try? OperatorMessage.line(OperatorAnswer.progress(text)) else { return }
        // Who does not look at it does not delay the operation.
        _ = connection.write(line, within: .zero, thenRest: Self.patience)
      }
      end(descriptor, .result(result))
    } catch {
      end(descriptor, .failure(error))
    }
  }

  private func end(_ descriptor: Int32, _ answer: OperatorAnswer?) {
    if let answer, let line = try? OperatorMessage.line(answer) {
      _ = OperatorConnection(descriptor).write(line, within: Self.patience)
    }
    close(descriptor)
    state.withLock { $0.connectionCount -= 1 }
  }
}

/// Runs the parts of a task on the thread that calls ``run()``.
private final class ThreadExecutor: TaskExecutor {
  private struct State {
    var jobs: [UnownedJob] = []
    var isFinished = false
  }

  private let state = Mutex(State())
  private let wake = DispatchSemaphore(value: 0)

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    state.withLock { $0.jobs.append(job) }
    wake.signal()
  }

  /// Lets ``run()`` return once nothing is left.
  func finish() {
    state.withLock { $0.isFinished = true }
    wake.signal()
  }

  func run() {
    while true {
      let (jobs, isFinished) = state.withLock { state in
        defer { state.jobs = [] }
        return (state.jobs, state.isFinished)
      }
      for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
      if jobs.isEmpty {
        if isFinished { return }
        wake.wait()
      }
    }
  }
}
