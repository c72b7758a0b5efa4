internal import Synchronization

/// A block of lines at the bottom of the terminal that is redrawn in place.
///
/// ```swift
/// try await LiveRegion.run { region in
///   for await snapshot in snapshots { try region.draw(snapshot.lines) }
/// }
/// ```
///
/// A region may also be all of the terminal, on the screen that editors and pagers use: what was there before comes back.
///
/// Lines are cut to the width, and the block to the height, of the terminal. Where standard output is no terminal
/// nothing is written: print a summary at the end instead. The cursor is hidden while the region lives and comes
/// back when it finishes, also by a thrown error; a signal that kills the process leaves it hidden, so turn
/// signals into cancellation.
public final class LiveRegion: Sendable {
  private let output: Output
  private let terminal: Terminal
  private let isFullScreen: Bool
  private let state = Mutex(State())

  private struct State {
    var drawnLineCount = 0
    var isCursorHidden = false
    var isFinished = false
  }

  /// A region on `output`, which `terminal` describes. ``run(on:terminal:_:)`` finishes it by itself.
  public init(on output: Output = .standard, terminal: Terminal = .current, isFullScreen: Bool = false) {
    self.output = output
    self.terminal = terminal
    self.isFullScreen = isFullScreen
  }

  deinit { try? finish() }

  /// Calls `body` with a region that is finished when `body` returns or throws.
  public static func run<Result>(
    on output: Output = .standard, terminal: Terminal = .current, isFullScreen: Bool = false,
    isolation: isolated (any Actor)? = #isolation, _ body: (LiveRegion) async throws -> Result
  ) async throws -> Result {
    let region = LiveRegion(on: output, terminal: terminal, isFullScreen: isFullScreen)
    let result: Result
    do {
      result = try await body(region)
    } catch {
      try? region.finish()
      throw error
    }
    try region.finish()
    return result
  }

  /// Whether drawing has an effect: standard output is a terminal that knows cursor movement.
  public var isActive: Bool { terminal.isOutputTTY && terminal.term != "dumb" }

  /// Shows `lines` in place of those drawn before.
  ///
  /// - Throws: As ``Output/write(_:)``.
  public func draw(_ lines: [String]) throws {
    guard isActive else { return }
    let width = terminal.width
    let shown = lines.prefix(max(1, terminal.height - 1)).map { truncated($0, to: width) }
    try state.withLock { state in
      guard !state.isFinished else { return }
      var text = state.isCursorHidden ? "" : (isFullScreen ? "\u{1B}[?1049h" : "") + "\u{1B}[?25l"
      text += isFullScreen ? "\u{1B}[H" : Self.start(above: state.drawnLineCount)
      for line in shown { text += line + "\u{1B}[K\n" }
      // What is left of a longer block goes away.
      text += "\u{1B}[J"
      state.isCursorHidden = true
      state.drawnLineCount = shown.count
      try output.write(text)
      try output.flush()
    }
  }

  /// Forgets what was drawn: the terminal was somebody else's meanwhile. The next ``draw(_:)`` begins anew.
  public func forgetDrawn() {
    state.withLock { state in
      state.drawnLineCount = 0
      state.isCursorHidden = false
    }
  }

  /// Writes `text` as lines of its own above the region, which is drawn again by the next ``draw(_:)``.
  ///
  /// - Throws: As ``Output/write(_:)``.
  public func writeAbove(_ text: String) throws {
    try state.withLock { state in
      let erase = isActive ? Self.start(above: state.drawnLineCount) + "\u{1B}[J" : ""
      state.drawnLineCount = 0
      try output.write(erase + text + "\n")
    }
  }

  /// Leaves the last drawn lines in place, unless it was all of the terminal, and shows the cursor again. Later drawing does
  /// nothing.
  ///
  /// - Throws: As ``Output/write(_:)``.
  public func finish() throws {
    try state.withLock { state in
      guard !state.isFinished else { return }
      state.isFinished = true
      guard state.isCursorHidden else { return }
      try output.write((isFullScreen ? "\u{1B}[?1049l" : "") + "\u{1B}[?25h")
      try output.flush()
    }
  }

  /// Moves the cursor to the start of a block of `count` lines that ends above it.
  private static func start(above count: Int) -> String { count > 0 ? "\r\u{1B}[\(count)A" : "\r" }
}
