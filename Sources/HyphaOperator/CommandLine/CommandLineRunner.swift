internal import Glibc
internal import HyphaCore

/// Runs a command line: parses it, runs the command, and turns the outcome into an exit status.
///
/// ```swift
/// @main struct Program {
///   static func main() async {
///     exit(await CommandLineRunner.main(Root.self, version: "1.0.0"))
///   }
/// }
/// ```
///
/// | status | meaning |
/// |---|---|
/// | 0 | done, or help was asked for |
/// | 1 | the command failed; one line on standard error says why |
/// | 2 | the command line is wrong; one line on standard error says what to write |
/// | 129, 130, 143 | SIGHUP, SIGINT (Ctrl-C) or SIGTERM stopped the command before its end, in order |
/// | 141 | the reader of standard output went away; nothing is printed, as with `cat big \| head -1` |
/// | other | the command threw that ``ExitStatus`` |
public enum CommandLineRunner {
  /// Runs the command that `arguments` name below `root` and returns the status to exit with.
  ///
  /// SIGPIPE is ignored for the whole process, and for programs that it starts unless they reset it.
  /// ``Output/standard`` is flushed before this returns. A root with subcommands also gets `help` and `completion`.
  ///
  /// - Parameters:
  ///   - root: The program's own command; its configured name is the program's name in all texts.
  ///   - name: The program's own name, where it is another than the root's.
  ///   - arguments: The words after the program's name.
  ///   - version: What `--version` prints after the name.
  public static func main(
    _ root: any Command.Type, name: String? = nil,
    arguments: [String] = Array(CommandLine.arguments.dropFirst()), version: String
  ) async -> Int32 {
    signal(SIGPIPE, SIG_IGN)
    let session = Session(tree: CommandTree(root, name: name), version: version)
    var status: Int32
    do {
      try await session.run(arguments)
      status = 0
    } catch {
      status = session.report(error)
    }
    do {
      try Output.standard.flush()
    } catch {
      let flushStatus = session.report(error)
      if status == 0 { status = flushStatus }
    }
    try? Output.standardError.flush()
    return status
  }

  /// The script that completes `root` in `shell`, as `completion` prints it; for packagers.
  public static func completionScript(for root: any Command.Type, shell: CompletionShell) -> String {
    shell.script(for: CommandTree(root))
  }

  /// The help page of the command at `path` below `root`, without styles; for manuals. nil if there is none.
  public static func helpPage(of root: any Command.Type, path: [String] = [], width: Int = 80) -> String? {
    let parser = CommandParser(tree: CommandTree(root))
    return (try? parser.node(named: path)).map { HelpPage($0, width: width).text }
  }
}

/// One run of the program.
private struct Session {
  let tree: CommandTree
  let version: String

  func run(_ words: [String]) async throws {
    let parser = CommandParser(tree: tree)
    switch try parser.parse(words) {
    case .version:
      try Output.standard.writeLine("\(tree.root.name) \(version)")
    case .help(let node):
      try Output.standard.write(page(node, .standardOutput))
    case .incomplete(let node):
      try Output.standardError.write(page(node, .standardError))
      throw ExitStatus.usage
    case .run(let help as HelpCommand, _):
      try Output.standard.write(page(parser.node(named: help.words), .standardOutput))
    case .run(let completion as CompletionCommand, _):
      try Output.standard.write(completion.shell.script(for: tree))
    case .run(var command, let node):
      do {
        try command.validate()
      } catch let error as HyphaError where error.code == .usage && error.remedy == nil {
        throw ParseFailure(error.problem, node)
      }
      try await command.run()
    }
  }

  private func page(_ node: CommandNode, _ stream: Terminal.Stream) -> String {
    HelpPage(node, width: Terminal.current.width, style: Terminal.current.style(for: stream)).text
  }

  /// Prints `error` in one line, unless it asks for silence, and returns its status.
  func report(_ error: any Error) -> Int32 {
    switch error {
    case let status as ExitStatus:
      return status.code
    case let failure as ParseFailure:
      return complain("\(failure.problem); \(failure.remedy)", status: 2)
    case let error as HyphaError:
      let remedy = error.remedy.map { "; \($0)" } ?? ""
      let cause = error.cause.map { " (\($0))" } ?? ""
      return complain(error.problem + remedy + cause, status: error.code == .usage ? 2 : 1)
    default:
      return complain("\(error)", status: 1)
    }
  }

  private func complain(_ text: String, status: Int32) -> Int32 {
    try? Output.standard.flush()
    let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
    let label = Terminal.current.style(for: .standardError).red("\(tree.root.name):")
    try? Output.standardError.writeLine("\(label) \(line)")
    return status
  }
}
