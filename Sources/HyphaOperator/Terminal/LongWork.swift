import HyphaCore

/// Work that may take long: on a terminal a line says how far it is, once it takes longer than a blink, and a signal ends it
/// with what was done until then.
///
/// ```swift
/// try await LongWork.run { work in
///   try work.pass("\(name): \(count) of \(total) entries", done: "\(count) entries")
/// }
/// ```
final class LongWork {
  private let region: LiveRegion
  private let stop: StopSignal
  private let clock = ContinuousClock()
  /// When the line is drawn next at the earliest.
  private var drawAt: ContinuousClock.Instant
  private var isDrawn = false

  /// What takes no longer needs no line; and how often it is drawn anew.
  private static let (firstDelay, interval) = (Duration.milliseconds(300), Duration.milliseconds(80))

  private init(_ region: LiveRegion, _ stop: StopSignal) {
    self.region = region
    self.stop = stop
    drawAt = clock.now + Self.firstDelay
  }

  /// Calls `body`; when it returns, the line is gone, and signals end the process by themselves.
  static func run<Value>(
    _ stop: StopSignal = StopSignal(), isolation: isolated (any Actor)? = #isolation,
    _ body: (LongWork) async throws -> Value
  ) async throws -> Value {
    try await LiveRegion.run { region in
      let work = LongWork(region, stop)
      defer { stop.end() }
      let value = try await body(work)
      if work.isDrawn { try region.draw([]) }
      return value
    }
  }

  /// Shows how far it is.
  ///
  /// - Parameter done: what was done so far, which is said where a signal ends it.
  /// - Throws: ``ExitStatus`` after a signal.
  func pass(_ line: @autoclosure () -> String, done: @autoclosure () -> String) throws {
    if let signal = stop.signalNumber {
      if isDrawn { try region.draw([]) }
      try Output.standardError.writeLine("stopped after \(done())")
      throw ExitStatus.stopped(by: signal)
    }
    guard region.isActive, case let now = clock.now, now >= drawAt else { return }
    drawAt = now + Self.interval
    isDrawn = true
    try region.draw([line()])
  }
}
