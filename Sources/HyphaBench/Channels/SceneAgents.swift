import HyphaCore
import HyphaRuntime

/// Publishes readings as its process's orders say: one slice after the other.
actor Source: Agent {
  static let kind = "bench-source"
  static let settingNames: Set<String> = ["index"]
  static let publishes: [any Event.Type] = [
    VectorReading<PersistentSmall>.self, VectorReading<PersistentSmallJSON>.self,
    VectorReading<PersistentLarge>.self, VectorReading<PersistentLargeJSON>.self,
    VectorReading<AlertSmall>.self,
    VectorReading<RealtimeSmall>.self, VectorReading<RealtimeSmallJSON>.self,
    VectorReading<RealtimeLarge>.self, VectorReading<RealtimeLargeJSON>.self,
  ]

  private struct Settings: Decodable { var index: Int }

  /// Events of the persistent channel that one turn states, and that are committed together.
  private static let turnEventCount = 1_024

  private var role = SceneState.Role.source
  private var pace: Pace?

  func start(in context: Context) async throws {
    if try context.settings(Settings.self).index < 0 { role = .pulse }
    context.wake(after: .zero)
  }

  func wake(in context: Context) async throws {
    let state = SceneState.current
    if pace == nil { pace = await state.nextSlice(of: role) }
    guard let pace else { return }
    let scene = state.scene
    let (channel, codec) = role == .pulse ? (scene.pulse ?? .alert, .bytes) : (scene.channel, scene.codec)
    let isSmall = role == .pulse || scene.payloadByteCount == 128
    var wait = Duration.zero
    switch (channel, codec, isSmall) {
    case (.persistent, .bytes, true):
      wait = try await stage(VectorReading<PersistentSmall>.self, pace, context)
    case (.persistent, .json, true):
      wait = try await stage(VectorReading<PersistentSmallJSON>.self, pace, context)
    case (.persistent, .bytes, false):
      wait = try await stage(VectorReading<PersistentLarge>.self, pace, context)
    case (.persistent, .json, false):
      wait = try await stage(VectorReading<PersistentLargeJSON>.self, pace, context)
    case (.alert, _, _): try await send(VectorReading<AlertSmall>.self, pace, context)
    case (.realtime, .bytes, true): try await send(VectorReading<RealtimeSmall>.self, pace, context)
    case (.realtime, .json, true): try await send(VectorReading<RealtimeSmallJSON>.self, pace, context)
    case (.realtime, .bytes, false): try await send(VectorReading<RealtimeLarge>.self, pace, context)
    case (.realtime, .json, false): try await send(VectorReading<RealtimeLargeJSON>.self, pace, context)
    }
    context.wake(after: wait)
  }

  /// Events that leave at once: all of the slice in one turn.
  private func send<Traits: ReadingTraits>(
    _ type: VectorReading<Traits>.Type, _ pace: Pace, _ context: Context
  ) async throws {
    while let share = pace.next(upTo: 64) {
      for number in share.first..<share.first + share.count {
        try await context.publish(type.init(stamp: pace.stamp(number), number: UInt64(number)))
      }
    }
    endSlice(pace)
  }

  /// Events that leave once the turn is committed. Returns how long to wait before the next turn.
  private func stage<Traits: ReadingTraits>(
    _ type: VectorReading<Traits>.Type, _ pace: Pace, _ context: Context
  ) async throws -> Duration {
    switch pace.step(upTo: Self.turnEventCount) {
    case .state(let share):
      for number in share.first..<share.first + share.count {
        try await context.publish(type.init(stamp: pace.stamp(number), number: UInt64(number)))
      }
      return .zero
    case .wait(let nanoseconds): return .nanoseconds(Int64(max(nanoseconds, 100_000)))
    case .end:
      endSlice(pace)
      return .zero
    }
  }

  private func endSlice(_ pace: Pace) {
    self.pace = nil
    SceneState.current.sliceEnded(of: role, pace)
  }
}

/// Takes readings and counts them.
actor Sink: Agent {
  static let kind = "bench-sink"
  static let handles = Handlers(Sink.self)
    .on(VectorReading<PersistentSmall>.self) { sink, event, _ in sink.take(event.values) }
    .on(VectorReading<PersistentSmallJSON>.self) { sink, event, _ in sink.take(event.values) }
    .on(VectorReading<PersistentLarge>.self) { sink, event, _ in sink.take(event.values) }
    .on(VectorReading<PersistentLargeJSON>.self) { sink, event, _ in sink.take(event.values) }
    .on(VectorReading<AlertSmall>.self) { sink, event, _ in sink.take(event.values) }
    .on(VectorReading<RealtimeSmall>.self) { sink, event, _ in sink.take(event.values) }
    .on(VectorReading<RealtimeSmallJSON>.self) { sink, event, _ in sink.take(event.values) }
    .on(VectorReading<RealtimeLarge>.self) { sink, event, _ in sink.take(event.values) }
    .on(VectorReading<RealtimeLargeJSON>.self) { sink, event, _ in sink.take(event.values) }

  private var tally = SceneState.current.tally

  func start(in context: Context) async throws {
    if context.agent.text.hasPrefix("listener") { tally = SceneState.current.pulseTally }
  }

  private func take(_ values: some Words) { tally.take(stamp: values.stamp) }
}
