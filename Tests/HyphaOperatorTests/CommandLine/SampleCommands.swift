import HyphaCore
import HyphaOperator

/// A small tree that uses every feature of the command line.
struct Sample: Command {
  static let configuration = CommandConfiguration(
    name: "hypha", abstract: "Operate a message bus.",
    examples: ["hypha log cat data/hq | head -3"], subcommands: [Log.self, Secret.self])
}

struct Log: Command {
  static let configuration = CommandConfiguration(
    name: "log", abstract: "Look into a log.", subcommands: [LogInfo.self, LogCat.self])
}

struct LogInfo: Command {
  static let configuration = CommandConfiguration(
    name: "info", abstract: "Summarise a log.", examples: ["hypha log info --data data/hq --map-size 64MiB"])

  @OptionGroup var common: DataOptions
  @Option(help: "The size of the map.", valueName: "size") var mapSize: ByteSize = .gibibytes(1)

  func run() async throws { try Output.standard.writeLine("data \(common.data), map \(mapSize.byteCount)") }
}

struct DataOptions: ArgumentGroup {
  @Option(help: "The data directory.", valueName: "directory", completion: .directory) var data: String
}

enum Format: String, CaseIterable, ExpressibleByArgument { case table, json, jsonLines = "json-lines" }

/// A name without spaces, whose parser says why it refuses.
struct Subject: ExpressibleByArgument {
  let text: String

  init?(argument: String) {
    guard let subject = try? Self.parse(argument: argument) else { return nil }
    self = subject
  }

  static func parse(argument: String) throws -> Subject {
    guard !argument.contains(" ") else {
      throw HyphaError(.invalidName, "a subject holds no spaces", remedy: "separate words with dots")
    }
    return Subject(text: argument)
  }

  private init(text: String) { self.text = text }

  var argumentText: String { text }
}

struct LogCat: Command {
  static let configuration = CommandConfiguration(
    name: "cat", abstract: "Print the events of a log.",
    discussion: """
      Events come in the order of the log, and nothing is written to it; a running node's log can be read.

      Colours are off when the output is no terminal.
      """,
    examples: [
      "hypha log cat data/hq --subject 'incident.>'", "hypha log cat data/hq --format json | jq .subject",
    ])

  @Argument(help: "The data directory.", completion: .directory) var path: String
  @Option(name: .shortAndLong, help: "Only events whose subject matches.", valueName: "pattern")
  var subject: Subject?
  @Option(help: "How to print.") var format: Format = .table
  @Option(help: "Only events of this type.", valueName: "type") var types: [String] = []
  @Option(
    name: [.customShort("n"), .customLong("limit")], help: "The most events to print.", valueName: "count")
  var maximumCount: Int = -1
  @Option(help: "How long to wait for more.") var wait: Duration = .milliseconds(250)
  @Option(help: "Leave out what is older.") var since: UInt64?
  @Option(help: "Write to a file.", completion: .file) var outputFile: String?
  @Flag(name: .shortAndLong, help: "Print JSON.") var json = false
  @Flag(name: .shortAndLong, help: "Keep following.") var follow = false
  @Flag(inverted: true, help: "Check what is read.") var verify = true
  @Option(help: "For tests.", isHidden: true) var seed: Int = 0
  @Argument(help: "Further directories.", completion: .directory) var others: [String] = []

  func validate() throws {
    if json, follow { throw HyphaError(.usage, "--json and --follow exclude each other") }
  }

  func run() async throws {
    try Output.standard.writeLine(
      "\(path) \(subject?.text ?? "-") \(format) \(types) \(maximumCount) \(wait) \(since ?? 0) "
        + "\(outputFile ?? "-") \(json) \(follow) \(verify) \(others)")
  }
}

/// A hidden command that ends in the way it is told.
struct Secret: Command {
  static let configuration = CommandConfiguration(name: "secret", abstract: "End as told.", isHidden: true)

  @Argument(help: "How to end.") var ending: Ending

  enum Ending: String, CaseIterable, ExpressibleByArgument { case error, usage, silent, other, flood }

  func run() async throws {
    switch ending {
    case .error:
      throw HyphaError(
        .logLocked, "the log at data/hq is open", remedy: "stop process 4711", cause: "flock: busy")
    case .usage: throw HyphaError(.usage, "--count is 0", remedy: "give 1 or more")
    case .silent: throw ExitStatus(7)
    case .other: throw Strange()
    case .flood: for _ in 0..<100_000 { try Output.standard.writeLine("a line of text") }
    }
  }

  private struct Strange: Error, CustomStringConvertible { let description = "something\nstrange" }
}

/// What a run of the sample printed and returned.
struct Outcome: Equatable {
  var status: Int32
  var output = ""
  var errors = ""
}

/// Runs the sample with `words`, as `hypha` in a terminal-less process would.
func run(_ words: String..., root: any Command.Type = Sample.self, terminal: Terminal = plainTerminal) async
  -> Outcome
{
  let output = Output.captured()
  let errors = Output.captured()
  let status = await Terminal.$current.withValue(terminal) {
    await Output.$standard.withValue(output) {
      await Output.$standardError.withValue(errors) {
        await CommandLineRunner.main(root, arguments: words, version: "1.2.3")
      }
    }
  }
  return Outcome(status: status, output: output.text, errors: errors.text)
}

/// No terminal: 80 columns, no colour.
let plainTerminal = Terminal(isOutputTTY: false)
