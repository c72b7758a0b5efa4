public import HyphaCore

/// One thing that is wrong in a file: where, what, and what to do about it.
public struct Diagnostic: Error, Sendable, Hashable, CustomStringConvertible {
  /// The file, as the reader named it.
  public let file: String
  /// The place in the file.
  public let mark: SourceMark
  /// What is wrong, on one line.
  public let problem: String
  /// What to do about it, as an imperative.
  public let remedy: String

  /// A diagnostic; line breaks and control characters in its texts are shown as escapes.
  public init(file: String, mark: SourceMark, problem: String, remedy: String) {
    self.file = file
    self.mark = mark
    self.problem = printable(problem)
    self.remedy = printable(remedy)
  }

  /// The line, from 1.
  public var line: Int { mark.line }
  /// The column, from 1.
  public var column: Int { mark.column }

  /// `FILE:LINE:COLUMN: problem; remedy`.
  public var description: String { "\(file):\(mark): \(problem); \(remedy)" }
}

/// All that is wrong in one topology file, in the order of its lines.
public struct TopologyDiagnostics: Error, Sendable, Hashable, CustomStringConvertible {
  /// The diagnostics; never empty where this is thrown.
  public let diagnostics: [Diagnostic]

  /// Wraps diagnostics.
  public init(_ diagnostics: [Diagnostic]) { self.diagnostics = diagnostics }

  /// One diagnostic a line.
  public var description: String { diagnostics.map(\.description).joined(separator: "\n") }

  /// The first diagnostic as an error of one line, with the number of the others.
  public var error: HyphaError {
    guard let first = diagnostics.first else {
      return HyphaError(.invalidTopology, "the topology file is not valid")
    }
    let others = diagnostics.count - 1
    return HyphaError(
      .invalidTopology, "\(first.file):\(first.mark): \(first.problem)", remedy: first.remedy,
      cause: others == 0 ? nil : others == 1 ? "and 1 more problem" : "and \(others) more problems")
  }
}

/// Gathers diagnostics up to a bound, past which it only remembers that there were more.
struct DiagnosticCollector {
  /// A file with more problems than this is reported as "and there are more".
  static let countMax = 1000
  /// Only the first problems come with a suggestion, which takes time in a large file.
  static let suggestionCountMax = 100

  let file: String
  private var diagnostics: [Diagnostic] = []
  private var overflow = 0

  init(file: String) { self.file = file }

  var isEmpty: Bool { diagnostics.isEmpty }
  mutating func report(_ mark: SourceMark, _ problem: String, remedy: String) {
    guard diagnostics.count < Self.countMax else { return overflow += 1 }
    diagnostics.append(Diagnostic(file: file, mark: mark, problem: problem, remedy: remedy))
  }

  /// Reports what a check of a name, a pattern or the like has thrown.
  mutating func report(_ mark: SourceMark, _ error: HyphaError) {
    report(mark, error.problem, remedy: error.remedy ?? "change it")
  }

  /// `did you mean 'X'?` where one of `candidates` is near to `text`; otherwise `fallback`.
  func remedy(nearestTo text: String, among candidates: some Sequence<String>, otherwise fallback: String)
    -> String
  {
    guard diagnostics.count < Self.suggestionCountMax, let nearest = nearest(to: text, among: candidates)
    else {
      return fallback
    }
    return "did you mean '\(nearest)'?"
  }

  /// The diagnostics by line, and a last one where the bound was passed.
  func sorted() -> [Diagnostic] {
    var result = diagnostics.enumerated().sorted {
      ($0.element.mark, $0.offset) < ($1.element.mark, $1.offset)
    }.map(\.element)
    if overflow > 0, let last = result.last {
      result.append(
        Diagnostic(
          file: file, mark: last.mark, problem: "there are \(overflow) more problems in this file",
          remedy: "mend these \(Self.countMax) first"))
    }
    return result
  }
}

/// `text` in single quotes, shortened to 80 characters.
func quoted(_ text: String) -> String {
  let short = text.prefix(80)
  return short.endIndex == text.endIndex ? "'\(short)'" : "'\(short)…'"
}

/// `a, b, c`, shortened to 20 members.
func listed(_ members: some Collection<String>, separator: String = ", ") -> String {
  let shown = members.prefix(20).joined(separator: separator)
  return members.count > 20 ? "\(shown)\(separator)… (\(members.count - 20) more)" : shown
}

/// `text` on one line: control characters and line breaks as `\u{…}`, so that no file can drive a terminal.
private func printable(_ text: String) -> String {
  let isPlain = { (scalar: Unicode.Scalar) in
    switch scalar.properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: false
    default: true
    }
  }
  guard !text.unicodeScalars.allSatisfy(isPlain) else { return text }
  var result = ""
  for scalar in text.unicodeScalars {
    if isPlain(scalar) {
      result.unicodeScalars.append(scalar)
    } else {
      result += "\\u{\(String(scalar.value, radix: 16))}"
    }
  }
  return result
}
