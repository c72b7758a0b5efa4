internal import Glibc

/// What the program's standard streams are connected to, and whether to use colour on them.
///
/// Colour is used on a terminal unless `NO_COLOR` is set or `TERM` is `dumb`; `CLICOLOR_FORCE` asks for it
/// anywhere. `NO_COLOR` wins over `CLICOLOR_FORCE`. An empty variable counts as unset, as <https://no-color.org>
/// says, and `CLICOLOR_FORCE=0` too.
public struct Terminal: Sendable {
  /// A stream that people read.
  public enum Stream: Sendable { case standardOutput, standardError }

  /// Whether standard output is a terminal.
  public let isOutputTTY: Bool
  /// Whether standard error is a terminal.
  public let isErrorTTY: Bool
  private let environment: [String: String]
  private let measure: @Sendable () -> (width: Int, height: Int)?

  /// The terminal of this process. Tests put another in place with `Terminal.$current.withValue`.
  @TaskLocal public static var current = Terminal(
    isOutputTTY: isatty(STDOUT_FILENO) == 1, isErrorTTY: isatty(STDERR_FILENO) == 1,
    environment: readEnvironment(["NO_COLOR", "CLICOLOR_FORCE", "TERM", "COLUMNS", "LINES"]),
    measure: kernelSize)

  /// A terminal for tests; `measure` answers as the kernel would, nil without a terminal.
  public init(
    isOutputTTY: Bool, isErrorTTY: Bool = false, environment: [String: String] = [:],
    measure: @escaping @Sendable () -> (width: Int, height: Int)? = { nil }
  ) {
    self.isOutputTTY = isOutputTTY
    self.isErrorTTY = isErrorTTY
    self.environment = environment
    self.measure = measure
  }

  /// The columns of the terminal, asked anew each time; without one `COLUMNS`, else 80.
  public var width: Int { size(measure()?.width, "COLUMNS", unknown: 80) }

  /// The rows of the terminal, asked anew each time; without one `LINES`, else 24.
  public var height: Int { size(measure()?.height, "LINES", unknown: 24) }

  /// The styles to use on `stream`: coloured, or ``Style/plain``.
  public func style(for stream: Stream = .standardOutput) -> Style {
    Style(isColored: allowsColor(on: stream))
  }

  /// Whether escape sequences for colour may be written to `stream`.
  public func allowsColor(on stream: Stream) -> Bool {
    if isSet("NO_COLOR") { return false }
    if isSet("CLICOLOR_FORCE"), environment["CLICOLOR_FORCE"] != "0" { return true }
    return isTTY(stream) && environment["TERM"] != "dumb"
  }

  /// Whether `stream` is a terminal.
  public func isTTY(_ stream: Stream) -> Bool { stream == .standardOutput ? isOutputTTY : isErrorTTY }

  /// The kind of terminal, from `TERM`.
  var term: String? { environment["TERM"] }

  private func isSet(_ name: String) -> Bool { environment[name]?.isEmpty == false }

  private func size(_ measured: Int?, _ variable: String, unknown: Int) -> Int {
    if let measured, measured > 0 { return measured }
    if let value = environment[variable].flatMap({ Int($0) }), value > 0 { return value }
    return unknown
  }
}

/// Text in bold or in colour, or as it is where colour is off.
public struct Style: Sendable {
  /// Whether the methods add escape sequences.
  public let isColored: Bool

  /// A style that adds escape sequences if `isColored`.
  public init(isColored: Bool) { self.isColored = isColored }

  /// Text as it is.
  public static let plain = Style(isColored: false)

  /// A way to show text.
  public enum Paint: Int, Sendable {
    case plain = 0, bold = 1, dim = 2, red = 31, green = 32, yellow = 33, cyan = 36
  }

  /// `text` in `paint`.
  public func paint(_ text: String, _ paint: Paint) -> String {
    isColored && paint != .plain && !text.isEmpty ? "\u{1B}[\(paint.rawValue)m\(text)\u{1B}[0m" : text
  }

  /// `text` in bold.
  public func bold(_ text: String) -> String { paint(text, .bold) }
  /// `text` in a fainter colour.
  public func dim(_ text: String) -> String { paint(text, .dim) }
  /// `text` in red.
  public func red(_ text: String) -> String { paint(text, .red) }
  /// `text` in green.
  public func green(_ text: String) -> String { paint(text, .green) }
  /// `text` in yellow.
  public func yellow(_ text: String) -> String { paint(text, .yellow) }
  /// `text` in cyan.
  public func cyan(_ text: String) -> String { paint(text, .cyan) }
}

private func readEnvironment(_ names: [String]) -> [String: String] {
  names.reduce(into: [:]) { values, name in values[name] = getenv(name).map { String(cString: $0) } }
}

/// The window size of the first standard stream that is a terminal.
@Sendable private func kernelSize() -> (width: Int, height: Int)? {
  for descriptor in [STDOUT_FILENO, STDERR_FILENO, STDIN_FILENO] {
    var size = winsize()
    if ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 {
      return (Int(size.ws_col), Int(size.ws_row))
    }
  }
  return nil
}
