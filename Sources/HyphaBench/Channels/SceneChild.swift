import Foundation
import Glibc
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import HyphaTransportZMQ

/// What a child process of a scene is asked to do, one line of JSON each.
enum SceneRequest: Codable, Sendable {
  /// Publishers: state events.
  case send(SliceOrder, pulse: SliceOrder?)
  /// Receivers: begin a slice in which one of so many events is timed; 0 for none.
  case begin(stride: UInt64, pulseStride: UInt64)
  /// Receivers: wait until so many have come, or nothing comes any more, and tell.
  case finish(count: Int, pulseCount: Int)
  /// Wait until the index has everything.
  case index
}

/// What it answers.
struct SceneAnswer: Codable, Sendable {
  var sent: SentSlice?
  var pulseSent: SentSlice?
  var taken: TakenSlice?
  var pulseTaken: TakenSlice?
}

/// One process of a scene: `scene ROLE NUMBER JSON`, where the role is `origin`, `receiver`, `bare-origin`,
/// `bare-receiver` or, with a number of lanes, `lanes`.
public enum SceneChild {
  /// Plays the part that `words` give until its standard input ends.
  ///
  /// - Throws: what opening the node's log and transport throws; `HyphaError` with the code `usage` for other words.
  public static func run(_ words: [String]) async throws {
    guard words.count == 4, let number = Int(words[2]) else {
      throw HyphaError(.usage, "'\(words.joined(separator: " "))' is no part of a scene")
    }
    if words[1] == "lanes" { return try measureLanes(number) }
    let scene = try JSONDecoder().decode(Scene.self, from: Data(words[3].utf8))
    let state = try SceneState(scene, receiver: number)
    let part: any ScenePart =
      switch words[1] {
      case "origin": try await NodePart(state, as: Scene.originName)
      case "receiver": try await NodePart(state, as: Scene.receiverName(number))
      case "bare-origin": try BareOrigin(state)
      case "bare-receiver": try BareReceiver(state)
      default: throw HyphaError(.usage, "'\(words[1])' is no part of a scene")
      }
    print("ready")
    fflush(nil)
    while let line = await nextLine() {
      let answer = try await part.answer(JSONDecoder().decode(SceneRequest.self, from: Data(line.utf8)))
      print(String(decoding: try JSONEncoder().encode(answer), as: UTF8.self))
      fflush(nil)
    }
    await part.stop()
  }

  /// The next line of the standard input, waited for on a thread of its own.
  static func nextLine() async -> String? {
    await withCheckedContinuation { continuation in
      Thread.detachNewThread { continuation.resume(returning: readLine()) }
    }
  }
}

/// A part in a scene.
protocol ScenePart: Sendable {
  func answer(_ request: SceneRequest) async throws -> SceneAnswer
  func stop() async
}

extension SceneState {
  /// Waits until so many events have come, or none has for a while.
  func finish(count: Int, pulseCount: Int) async throws -> SceneAnswer {
    var (last, patience) = (-1, 0)
    while tally.takenCount < count || pulseTally.takenCount < pulseCount {
      let taken = tally.takenCount + pulseTally.takenCount
      patience = taken == last ? patience + 1 : 0
      if patience > 4_000 { break }
      last = taken
      try await Task.sleep(for: .microseconds(500), clock: .suspending)
    }
    return SceneAnswer(taken: tally.finish(), pulseTaken: pulseCount > 0 ? pulseTally.finish() : nil)
  }
}

/// A node with the scene's agents on it, with everything that a node has.
private final class NodePart: ScenePart {
  private let state: SceneState
  private let log: LMDBLog
  private let node: Node

  init(_ state: SceneState, as name: NodeID) async throws {
    self.state = state
    state.makeCurrent()
    let topology = try state.scene.topology()
    let scheduler = SystemScheduler()
    log = try LMDBLog(directory: "\(state.scene.directory)/\(name)", node: name, time: scheduler)
    let transport = try ZMQTransport(
      plan: Node.linkPlan(of: name, in: topology),
      options: .init(runtimeDirectory: state.scene.socketDirectory))
    let kinds = try KindRegistry([Source.self, Sink.self])
    node = try Node(
      Node.Configuration(topology: topology, node: name, kinds: kinds, linkPatience: .seconds(30)), log: log,
      transport: transport, scheduler: scheduler)
    try await node.start()
  }

  func answer(_ request: SceneRequest) async throws -> SceneAnswer {
    switch request {
    case .send(let order, let pulse):
      try await waitUntilReady(.source)
      if pulse != nil { try await waitUntilReady(.pulse) }
      async let sent = state.run(order, as: .source)
      if let pulse {
        let pulseSent = await state.run(pulse, as: .pulse)
        return SceneAnswer(sent: await sent, pulseSent: pulseSent)
      }
      return SceneAnswer(sent: await sent)
    case .begin(let stride, let pulseStride):
      state.tally.begin(stride: stride)
      state.pulseTally.begin(stride: pulseStride)
      return SceneAnswer()
    case .finish(let count, let pulseCount):
      return try await state.finish(count: count, pulseCount: pulseCount)
    case .index:
      while let status = log.indexStatus(), status.lagCount > 0 {
        if let failure = status.failure { throw failure }
        try await Task.sleep(for: .microseconds(500), clock: .suspending)
      }
      return SceneAnswer()
    }
  }

  private func waitUntilReady(_ role: SceneState.Role) async throws {
    while !state.isReady(role) { try await Task.sleep(for: .microseconds(200), clock: .suspending) }
  }

  func stop() async {
    state.close()
    await node.stop()
    log.close()
  }
}
