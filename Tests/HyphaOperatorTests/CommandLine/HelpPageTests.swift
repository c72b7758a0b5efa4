import HyphaOperator
import Testing

@Suite struct HelpPageTests {
  @Test func `a command's page shows usage, arguments, options, defaults and examples`() async {
    let expected = """
      Usage: hypha log cat [options] <path> [<others>…]

      Print the events of a log.

      Events come in the order of the log, and nothing is written to it; a running
      node's log can be read.

      Colours are off when the output is no terminal.

      Arguments:
        <path>    The data directory.
        <others>  Further directories.

      Options:
        -s, --subject <pattern>  Only events whose subject matches.
            --format <format>    How to print. (one of: table, json, json-lines;
                                 default: table)
            --types <type>       Only events of this type. (may be repeated)
        -n, --limit <count>      The most events to print. (default: -1)
            --wait <wait>        How long to wait for more. (default: 250ms)
            --since <since>      Leave out what is older.
            --output-file <output-file>
                                 Write to a file.
        -j, --json               Print JSON.
        -f, --follow             Keep following.
            --[no-]verify        Check what is read. (default: on)
        -h, --help               Show this help.

      Examples:
        hypha log cat data/hq --subject 'incident.>'
        hypha log cat data/hq --format json | jq .subject

      """
    let outcome = await run("log", "cat", "--help")
    #expect(outcome == Outcome(status: 0, output: expected))
    #expect(await run("help", "log", "cat") == Outcome(status: 0, output: expected))
  }

  @Test func `the root's page lists the commands that are not hidden`() async {
    let expected = """
      Usage: hypha <command>

      Operate a message bus.

      Commands:
        log         Look into a log.
        help        Show the help of a command.
        completion  Print a script that completes commands in your shell.

      Options:
        -h, --help     Show this help.
            --version  Show the version.

      Examples:
        hypha log cat data/hq | head -3

      'hypha <command> --help' says more about a command.

      """
    #expect(await run("--help") == Outcome(status: 0, output: expected))
    #expect(await run("-h", "log") == Outcome(status: 0, output: expected))
    #expect(await run("help") == Outcome(status: 0, output: expected))
  }

  @Test func `a group without a command prints its page as an error`() async throws {
    let outcome = await run("log")
    #expect(outcome.status == 2)
    #expect(outcome.output == "")
    #expect(outcome.errors.hasPrefix("Usage: hypha log <command>\n"))
    #expect(await run().status == 2)
  }

  @Test func `help wins over mistakes beside it but not after two dashes`() async {
    #expect(await run("log", "cat", "--zzz", "-h").status == 0)
    #expect(await run("log", "cat", "--", "--help").output.hasPrefix("--help"))
  }

  @Test func `a required option stands in the usage line`() {
    let page = CommandLineRunner.helpPage(of: Sample.self, path: ["log", "info"])
    #expect(page?.hasPrefix("Usage: hypha log info --data <directory> [options]\n") == true)
    #expect(page?.contains("  --data <directory>  The data directory. (required)\n") == true)
    #expect(CommandLineRunner.helpPage(of: Sample.self, path: ["nothing"]) == nil)
  }

  @Test(arguments: [40, 60, 80, 120]) func `no prose exceeds the width`(width: Int) throws {
    let page = try #require(CommandLineRunner.helpPage(of: Sample.self, path: ["log", "cat"], width: width))
    let prose = page.components(upTo: "Examples:")
    #expect(prose.allSatisfy { $0.count <= width })
  }

  @Test func `headings are bold where colour is allowed`() async {
    let terminal = Terminal(isOutputTTY: true, environment: ["TERM": "xterm"])
    let coloured = await run("log", "--help", terminal: terminal)
    #expect(coloured.output.hasPrefix("\u{1B}[1mUsage:\u{1B}[0m hypha log"))
  }

  @Test func `the version is the root's`() async {
    #expect(await run("--version") == Outcome(status: 0, output: "hypha 1.2.3\n"))
    #expect(await run("log", "--version").status == 2)
  }
}

@Suite struct CommandTreeLintTests {
  @Test func `the sample obeys the rules`() {
    #expect(CommandTree.lint(Sample.self) == [])
  }

  @Test func `each broken rule is named`() {
    #expect(
      CommandTree.lint(Sloppy.self) == [
        "Sloppy_Root: the name is not kebab-case",
        "Sloppy_Root bare: the abstract is not a sentence",
        "Sloppy_Root bare: has two options --json",
        "Sloppy_Root bare: --json has no help",
        "Sloppy_Root bare: --loud is on by default and needs inverted: true",
        "Sloppy_Root bare: --help is reserved for help",
        "Sloppy_Root bare: <last> can never be filled",
        "Sloppy_Root bare: <last> is required but follows one that is not",
        "Sloppy_Root bare: has no example",
        "Sloppy_Root wrong: the example fails with \"unknown option --colour\": Sloppy_Root wrong --colour",
        "Sloppy_Root wrong: the example calls Sloppy_Root completion: Sloppy_Root completion bash",
        "Sloppy_Root wrong: the example does not call Sloppy_Root: hypha wrong",
      ])
  }

  private struct Sloppy: Command {
    static let configuration = CommandConfiguration(
      name: "Sloppy_Root", abstract: "Break the rules.", subcommands: [Bare.self, Wrong.self])
  }

  private struct Bare: Command {
    static let configuration = CommandConfiguration(name: "bare", abstract: "no sentence")
    @Flag(help: "") var json = false
    @Flag(name: .customLong("json"), help: "Twice.") var second = false
    @Flag(help: "Be loud.") var loud = true
    @Flag(help: "Help.") var help = false
    @Argument(help: "Many.") var many: [String] = []
    @Argument(help: "One.") var last: String
    func run() async throws {}
  }

  private struct Wrong: Command {
    static let configuration = CommandConfiguration(
      name: "wrong", abstract: "Have wrong examples.",
      examples: ["Sloppy_Root wrong --colour", "Sloppy_Root completion bash", "hypha wrong"])
    func run() async throws {}
  }
}

extension String {
  /// The lines before the one that begins with `marker`.
  fileprivate func components(upTo marker: String) -> [Substring] {
    split(separator: "\n", omittingEmptySubsequences: false).prefix { !$0.hasPrefix(marker) }.map { $0 }
  }
}
