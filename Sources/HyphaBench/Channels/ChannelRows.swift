import HyphaCore

/// What the parts measure.
extension ChannelBench {
  /// Realtime events over each carrier, to one and to four, small and large, with both codecs.
  var realtimeScenes: [Scene] {
    if settings.isQuick { return [Scene(channel: .realtime)] }
    var scenes: [Scene] = []
    for carrier in Scene.Carrier.allCases {
      for receiverCount in [1, 4] {
        for payload in [128, 1024] {
          for codec in Scene.Codec.allCases {
            scenes.append(
              Scene(
                channel: .realtime, carrier: carrier, receiverCount: receiverCount, payloadByteCount: payload,
                codec: codec))
          }
        }
      }
    }
    return scenes
  }

  func realtimeRows(_ scene: Scene) async throws -> [BenchRow] {
    try await withScene(scene) { run in
      let isGoal = scene.receiverCount == 1 && scene.codec == .bytes
      let flood = try await compare("throughput", run, ours: .init(), bare: .init())
      var rows = [
        flood.row(
          "realtime-rate", scene.text, .eventsPerSecond, against: 1, goal: isGoal ? .realtimeRate : nil,
          \.rate),
        flood.row(
          "realtime-cpu", scene.text, .processorSecondsPerMillion, against: 1, \.processorSecondsPerMillion),
      ]
      let low = Self.paced(Self.lowRate)
      let slow = try await compare("latency at a low rate", run, ours: low, bare: low)
      rows += latencyRows("realtime-low", scene.text, slow, median: isGoal ? .realtimeLatency : nil)
      // Each at half of what it gives itself.
      let half = try await compare(
        "latency at half load", run, ours: Self.paced(flood.spread(\.rate).median / 2),
        bare: Self.paced(flood.spread(of: 1, \.rate).median / 2))
      rows += latencyRows("realtime-half", scene.text, half)
      return rows
    }
  }

  var alertScenes: [Scene] {
    settings.isQuick
      ? [Scene(channel: .alert)] : [Scene(channel: .alert), Scene(channel: .alert, carrier: .tcp)]
  }

  /// Alerts, each durable before its addressee's handler gets it.
  func alertRows(_ scene: Scene) async throws -> [BenchRow] {
    try await withScene(scene) { run in
      let low = Self.paced(Self.lowRate / 10)
      let slow = try await compare("latency at a low rate", run, ours: low, bare: low)
      return latencyRows("alert-low", scene.text, slow)
    }
  }

  private func latencyRows(
    _ name: String, _ text: String, _ comparison: Comparison, median: BenchGoal? = nil, tail: BenchGoal? = nil
  ) -> [BenchRow] {
    [
      comparison.latencyRow("\(name)-p50", text, 0.5, against: 1, goal: median),
      comparison.latencyRow("\(name)-p99", text, 0.99, against: 1, goal: tail),
      comparison.latencyRow("\(name)-p99.9", text, 0.999, against: 1),
    ]
  }

  // MARK: Durable

  var durableScenes: [Scene] {
    if settings.isQuick { return [Scene(channel: .persistent, window: 8_192)] }
    return [
      Scene(channel: .persistent, window: 8_192), Scene(channel: .persistent, sourceCount: 4, window: 8_192),
      Scene(channel: .persistent, carrier: .tcp, sourceCount: 4, window: 8_192),
      Scene(channel: .persistent, codec: .json, sourceCount: 4, window: 8_192),
      Scene(channel: .persistent, payloadByteCount: 1024, sourceCount: 4, window: 8_192),
    ]
  }

  /// Persistent events from publishing to the handler in another process: synced in the publisher's log before they
  /// leave and in the receiver's before they are handled, beside LMDB and libzmq called directly.
  func durableRows(_ scene: Scene) async throws -> [BenchRow] {
    try await withScene(scene) { run in
      let text = scene.text
      guard let bare = run.bare else { return [] }
      let flood = try await Turns(duration: settings.duration, progress: progress).compare(
        "durable: throughput, \(text)",
        [
          { deadline in
            var slice = try run.slice(run.ours, until: deadline, .init()).main
            let nanoseconds = try run.waitUntilIndexed()
            slice.indexNanoseconds = nanoseconds - min(nanoseconds, OwnLog.indexIdleNanoseconds)
            return slice
          }, { try run.slice(bare, until: $0, .init()).main },
        ])
      let isGoal = scene.payloadByteCount == 128 && scene.codec == .bytes
      let goal: BenchGoal? = isGoal ? .endToEndRate : nil
      var rows = [
        flood.row("e2e-rate", text, .eventsPerSecond, against: 1, goal: goal, \.rate),
        flood.row("e2e-rate-indexed", text, .eventsPerSecond, against: 1, goal: goal, \.indexedRate),
        flood.row("e2e-cpu", text, .processorSecondsPerMillion, against: 1, \.processorSecondsPerMillion),
      ]
      let half = try await compare(
        "latency at half load", run, ours: Self.paced(flood.spread(\.rate).median / 2),
        bare: Self.paced(flood.spread(of: 1, \.rate).median / 2))
      rows += latencyRows("e2e-half", text, half, tail: isGoal ? .endToEndLatency : nil)
      return rows
    }
  }

  // MARK: Isolation

  /// What passes at a low rate beside a saturated persistent channel, over the same while that is idle; and bare
  /// libzmq's own beside the same saturation.
  func isolationRows(_ pulse: Channel) async throws -> [BenchRow] {
    let scene = Scene(channel: .persistent, pulse: pulse, window: 8_192)
    let beside = Scene(channel: .realtime)
    return try await withScene(scene, withBare: false) { run in
      var bareScene = beside
      bareScene.directory = "\(settings.directory)/beside"
      bareScene.socketDirectory = "\(run.scene.socketDirectory)/b"
      let other = try SceneRun(bareScene, command: settings.childCommand)
      defer { other.close() }
      guard let bare = other.bare else { return [] }
      let low = Self.paced(Self.lowRate / (pulse == .alert ? 10 : 1))
      // Nothing is due within a slice but its first event.
      let idle = SceneRun.Load(rate: 0.001)
      func pulseSlice(_ load: SceneRun.Load, _ deadline: UInt64) throws -> Slice {
        try run.slice(run.ours, until: deadline, load, pulse: low).pulse
          ?? Slice(eventCount: 0, nanoseconds: 1)
      }
      let comparison = try await Turns(duration: settings.duration * 2, progress: progress).compare(
        "isolation: \(pulse) beside persistent",
        [
          { try pulseSlice(.init(), $0) }, { try pulseSlice(idle, $0) },
          { deadline in
            let flooding = Task.detached { try run.slice(run.ours, until: deadline, .init()) }
            let slice = try other.slice(bare, until: deadline, low).main
            _ = try await flooding.value
            return slice
          },
        ])
      let text = "128 B, ipc, persistent saturated, over the same while it is idle"
      return [
        comparison.latencyRow("isolation-\(pulse)-p99", text, 0.99, against: 1, goal: .isolation),
        comparison.latencyRow("isolation-\(pulse)-p50", text, 0.5, against: 1),
        comparison.latencyRow(
          "isolation-\(pulse)-bare-p99", "128 B, ipc, beside bare libzmq under the same saturation", 0.99,
          against: 2),
      ]
    }
  }
}
