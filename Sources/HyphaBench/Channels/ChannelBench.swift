import Glibc
import HyphaCore

/// Measures delivery between separate processes, through the public API and with everything on, beside bare libzmq
/// over the same transport with one event a message.
public struct ChannelBench: Sendable {
  /// What can be measured alone.
  public enum Part: String, CaseIterable, Sendable {
    case realtime, alert, isolation, lanes
    /// Persistent events: durable at both ends.
    case durable
    /// Deployments with an observer beside the same without.
    case observed

    /// What `hypha bench channels` measures.
    public static let channels: [Part] = [.realtime, .alert, .isolation, .lanes]
  }

  /// What is measured, and for how long.
  public struct Settings: Sendable {
    /// How long each comparison lasts.
    public var duration: Duration
    /// The parts that are wanted.
    public var parts: [Part]
    /// Only workloads whose words contain this; empty for all.
    public var match: String
    /// A new directory to measure in, whose parent exists; it is removed at the end.
    public var directory: String
    /// Whether only enough is done to see that everything runs.
    public var isQuick: Bool
    /// The command, with its first words, that runs ``SceneChild``.
    public var childCommand: [String]

    /// Settings by their parts.
    public init(
      duration: Duration, parts: [Part], match: String = "", directory: String, isQuick: Bool,
      childCommand: [String]
    ) {
      self.duration = duration
      self.parts = parts
      self.match = match
      self.directory = directory
      self.isQuick = isQuick
      self.childCommand = childCommand
    }
  }

  let settings: Settings
  /// Told what is measured now.
  let progress: @Sendable (String) -> Void

  /// A bench; `progress` is told in a few words what it measures now, on the bench's own task.
  public init(_ settings: Settings, progress: @escaping @Sendable (String) -> Void = { _ in }) {
    self.settings = settings
    self.progress = progress
  }

  /// Measures, and hands over each row as soon as there is one.
  ///
  /// It takes the whole machine: what else runs there shows in the figures. Cancelling the task ends it after the
  /// slice that runs.
  ///
  /// - Throws: ``HyphaError/Code/failed`` when a process ends or cannot be started;
  ///   ``HyphaError/Code/fileUnavailable`` when the directory may not be used.
  public func run(_ take: @Sendable (BenchRow) throws -> Void) async throws {
    try Disk.makeDirectory(settings.directory)
    defer { Disk.remove(settings.directory) }
    for part in settings.parts {
      switch part {
      case .realtime: for scene in wanted(realtimeScenes) { try await realtimeRows(scene).forEach(take) }
      case .alert: for scene in wanted(alertScenes) { try await alertRows(scene).forEach(take) }
      case .isolation:
        for pulse in [Channel.alert, .realtime] { try await isolationRows(pulse).forEach(take) }
      case .lanes: try laneRows().forEach(take)
      case .durable: for scene in wanted(durableScenes) { try await durableRows(scene).forEach(take) }
      case .observed: for scene in wanted(observedScenes) { try await observedRows(scene).forEach(take) }
      }
    }
  }

  private func wanted(_ scenes: [Scene]) -> [Scene] {
    settings.match.isEmpty ? scenes : scenes.filter { $0.text.contains(settings.match) }
  }

  /// Calls `body` with the processes of a scene, which end after it.
  func withScene<Result>(
    _ scene: Scene, withBare: Bool = true, _ body: (SceneRun) async throws -> Result
  ) async throws -> Result {
    var scene = scene
    scene.directory = "\(settings.directory)/scene"
    // Not the name of the directory that is measured in, which may be in /tmp as well.
    scene.socketDirectory = "/tmp/hypha-bench-sockets-\(getpid())"
    if scene.carrier == .tcp { scene.port = try FreePorts.find(count: scene.portCount) }
    progress("starting the processes for \(scene.channel), \(scene.text)")
    let run = try SceneRun(scene, command: settings.childCommand, withBare: withBare)
    defer { run.close() }
    return try await body(run)
  }

  /// Lets ours and the bare part take turns under one load.
  func compare(
    _ text: String, _ run: SceneRun, ours: SceneRun.Load, bare: SceneRun.Load
  ) async throws -> Comparison {
    try await Turns(duration: settings.duration, progress: progress).compare(
      "\(run.scene.channel): \(text), \(run.scene.text)",
      [
        { try run.slice(run.ours, until: $0, ours).main },
        { deadline in
          guard let side = run.bare else { return Slice(eventCount: 0, nanoseconds: 1) }
          return try run.slice(side, until: deadline, bare).main
        },
      ])
  }

  /// Events a second at which each is alone on its way.
  static let lowRate = 1_000.0
  /// How many events of a paced slice are timed, about.
  private static let sampleCount = 4_096.0

  /// A load of `rate` events a second of which a sample is timed.
  static func paced(_ rate: Double) -> SceneRun.Load {
    SceneRun.Load(rate: rate, stride: UInt64(max(1, rate * 0.08 / sampleCount)), stampsDue: rate > lowRate)
  }
}

/// Ports that nobody listens at.
enum FreePorts {
  /// The first of `count` ports in a row that are free on the loopback device now.
  static func find(count: Int) throws -> UInt16 {
    var first = 20_000 + Int(getpid()) % 1_000 * 10
    while first + count < 32_000 {
      if (first..<first + count).allSatisfy({ isFree(UInt16($0)) }) { return UInt16(first) }
      first += count
    }
    throw HyphaError(
      .failed, "no \(count) ports in a row are free for the bench", remedy: "end what listens from 20000 on")
  }

  private static func isFree(_ port: UInt16) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return withUnsafeBytes(of: &address) { bytes in
      bind(descriptor, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count)) == 0
    }
  }
}
