import Foundation
import HyphaCore

/// The processes of a scene, ours and the bare part's, and what they do in a slice.
final class SceneRun: Sendable {
  /// One side of a comparison: a publisher's process and those of its receivers.
  struct Side: Sendable {
    let origin: SceneProcess
    let receivers: [SceneProcess]
  }

  /// What a slice is to be.
  struct Load: Sendable {
    /// Events a second; 0 for as many as the window allows.
    var rate = 0.0
    /// Of how many events one is timed; 0 for none.
    var stride: UInt64 = 0
    /// Whether latencies count from when an event was due.
    var stampsDue = false
  }

  let scene: Scene
  let ours: Side
  let bare: Side?

  /// Starts the processes and waits until each side is connected.
  init(_ scene: Scene, command: [String], withBare: Bool = true) throws {
    self.scene = scene
    try Disk.makeDirectory(scene.directory)
    try Disk.makeDirectory(scene.socketDirectory)
    func side(_ prefix: String) throws -> Side {
      var own = scene
      // Each side has a board of its own.
      own.directory += "/\(prefix)side"
      try Disk.makeDirectory(own.directory)
      let json = String(decoding: try JSONEncoder().encode(own), as: UTF8.self)
      func start(_ role: String, _ number: Int) throws -> SceneProcess {
        try SceneProcess(command + ["scene", prefix + role, "\(number)", json])
      }
      return Side(
        origin: try start("origin", 0),
        receivers: try (0..<scene.receiverCount).map { try start("receiver", $0) })
    }
    ours = try side("")
    bare = withBare ? try side("bare-") : nil
    for side in [ours, bare].compactMap(\.self) {
      for process in [side.origin] + side.receivers { try process.waitUntilReady() }
    }
  }

  /// Ends the processes and removes what they left.
  func close() {
    for side in [ours, bare].compactMap(\.self) {
      for process in [side.origin] + side.receivers { process.close() }
    }
    Disk.remove(scene.directory)
    Disk.remove(scene.socketDirectory)
  }

  /// One slice of one side; with `pulse`, a second one beside it.
  func slice(
    _ side: Side, until deadline: UInt64, _ load: Load, pulse: Load? = nil
  ) throws -> (main: Slice, pulse: Slice?) {
    for receiver in side.receivers {
      _ = try receiver.ask(.begin(stride: load.stride, pulseStride: pulse?.stride ?? 0))
    }
    func order(_ load: Load) -> SliceOrder {
      SliceOrder(deadline: deadline, rate: load.rate, stampsDue: load.stampsDue)
    }
    let answer = try side.origin.ask(.send(order(load), pulse: pulse.map(order)))
    guard let sent = answer.sent else { throw SceneProcess.failure("did not say what it sent") }
    for receiver in side.receivers {
      try receiver.send(.finish(count: sent.count, pulseCount: answer.pulseSent?.count ?? 0))
    }
    let answers = try side.receivers.map { try $0.receive() }
    return (
      Self.slice(sent, answers.compactMap(\.taken)),
      answer.pulseSent.map { Self.slice($0, answers.compactMap(\.pulseTaken)) }
    )
  }

  /// Waits until the indexes of all nodes have everything. Returns the nanoseconds that it took.
  func waitUntilIndexed() throws -> UInt64 {
    let begin = Monotonic.nanoseconds()
    for process in [ours.origin] + ours.receivers { _ = try process.ask(.index) }
    return Monotonic.nanoseconds() - begin
  }

  private static func slice(_ sent: SentSlice, _ taken: [TakenSlice]) -> Slice {
    let end = taken.map(\.end).max() ?? sent.begin
    var slice = Slice(
      eventCount: taken.map(\.count).min() ?? 0, nanoseconds: end > sent.begin ? end - sent.begin : 1)
    slice.latencies = taken.flatMap(\.latencies).map { Double($0) }.sorted()
    slice.processorNanoseconds = taken.reduce(sent.processorNanoseconds) { $0 + $1.processorNanoseconds }
    return slice
  }
}

/// A child process that plays a part in a scene.
///
/// `@unchecked Sendable`: one slice uses it at a time.
final class SceneProcess: @unchecked Sendable {
  private let process: ChildProcess

  init(_ command: [String]) throws { process = try ChildProcess(command) }

  func waitUntilReady() throws {
    guard process.readLine() == "ready" else { throw Self.failure("ended at its start") }
  }

  func send(_ request: SceneRequest) throws {
    try process.write(line: String(decoding: JSONEncoder().encode(request), as: UTF8.self))
  }

  func receive() throws -> SceneAnswer {
    guard let line = process.readLine() else { throw Self.failure("ended in the middle of a slice") }
    return try JSONDecoder().decode(SceneAnswer.self, from: Data(line.utf8))
  }

  func ask(_ request: SceneRequest) throws -> SceneAnswer {
    try send(request)
    return try receive()
  }

  func close() { process.close() }

  static func failure(_ what: String) -> HyphaError {
    HyphaError(.failed, "a process of the bench \(what)", remedy: "see what it wrote to the standard error")
  }
}
