import Foundation
import HyphaCore
import HyphaLogLMDB
import HyphaRuntime
import HyphaTransportZMQ

/// What a child process of a live deployment is asked, a line of JSON each.
enum LiveRequest: Codable, Sendable {
  /// To let its agents begin at this moment of the monotonic clock, in nanoseconds.
  case begin(UInt64)
  case tally
  /// To stop, and to write how long each event was on its way.
  case finish
}

/// What it answers.
struct LiveAnswer: Codable, Sendable {
  var tally: LiveTally
  var status: NodeStatus
}

/// One node of a live deployment: `live NODE JSON`.
public enum LiveChild {
  /// Runs the node that `words` name until it is told to finish or its standard input ends.
  ///
  /// - Throws: what opening the node's log and transport throws; `HyphaError` with the code `usage` for other words.
  public static func run(_ words: [String]) async throws {
    guard words.count == 3 else {
      throw HyphaError(.usage, "'\(words.joined(separator: " "))' is no node of a live deployment")
    }
    let name = NodeID(unchecked: words[1])
    let scene = try JSONDecoder().decode(LiveScene.self, from: Data(words[2].utf8))
    let traffic = try JSONDecoder().decode(
      LiveTraffic.self, from: Data(contentsOf: URL(fileURLWithPath: scene.trafficPath)))
    let board = LiveBoard(traffic, scene)
    board.makeCurrent()
    let topology = try scene.topology(traffic)
    let scheduler = SystemScheduler()
    let log = try LMDBLog(directory: "\(scene.directory)/\(name)", node: name, time: scheduler)
    let transport = try ZMQTransport(
      plan: Node.linkPlan(of: name, in: topology), options: .init(runtimeDirectory: scene.socketDirectory))
    let node = try Node(
      Node.Configuration(
        topology: topology, node: name, kinds: try KindRegistry([Mailer.self]), linkPatience: .seconds(60)),
      log: log, transport: transport, scheduler: scheduler)
    try await node.start()
    print("ready")
    fflush(nil)
    while let line = await SceneChild.nextLine() {
      let request = try JSONDecoder().decode(LiveRequest.self, from: Data(line.utf8))
      if case .begin(let moment) = request { board.begin(at: moment) }
      let answer = LiveAnswer(tally: board.tally, status: node.status())
      if case .finish = request { try write(board.latencies, to: scene.receptionsPath(of: name)) }
      print(String(decoding: try JSONEncoder().encode(answer), as: UTF8.self))
      fflush(nil)
      if case .finish = request { break }
    }
    // Those who have not begun wait for it.
    board.begin(at: .max / 2)
    await node.stop()
    log.close()
  }

  private static func write(_ latencies: [UInt32], to path: String) throws {
    var bytes = Data(capacity: 4 * latencies.count)
    for latency in latencies { withUnsafeBytes(of: latency.littleEndian) { bytes.append(contentsOf: $0) } }
    try bytes.write(to: URL(fileURLWithPath: path))
  }

  /// What ``write(_:to:)`` has written.
  static func latencies(at path: String) throws -> [UInt32] {
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    return stride(from: 0, to: bytes.count - bytes.count % 4, by: 4).map { place in
      (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[bytes.startIndex + place + $1]) << UInt32(8 * $1) }
    }
  }
}
