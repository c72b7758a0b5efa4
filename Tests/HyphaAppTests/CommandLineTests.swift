import Foundation
import HyphaCore
import Testing

@testable import HyphaApp
@testable import HyphaOperator

extension Commands {
  /// The habits of a good command line, on the program itself.
  @Suite struct CommandLineTests {
    /// The words of every command that does something.
    static let commands = [
      "run", "validate", "init", "keys generate", "keys show", "log info", "log cat", "log verify",
      "topology simulate",
      "log head", "log salvage", "bench log", "bench observer",
      "completion",
    ]

    @Test func `the tree of commands obeys all rules`() {
      #expect(CommandTree.lint(ProgramCommand.self) == [])
    }

    @Test(arguments: commands)
    func `each command's help has its usage and examples that call it`(_ command: String) async throws {
      let scratch = try Scratch()
      let words = command.split(separator: " ").map(String.init)
      let help = try await Hypha.run(words + ["--help"], in: scratch)
      #expect(help.status == 0 && help.errors == "")
      #expect(help.output.hasPrefix("Usage: hypha \(command) "))
      #expect(help.output.contains("\nExamples:\n  hypha \(command) "))
      #expect(help.lines.allSatisfy { $0.count <= 80 || $0.hasPrefix("  hypha ") }, "\(help.output)")
      #expect(try await Hypha.run(["help"] + words, in: scratch) == help)
    }

    @Test func `without a command the help goes to standard error with status 2`() async throws {
      let scratch = try Scratch()
      let bare = try await scratch.hypha()
      let help = try await scratch.hypha("--help")
      #expect(bare.status == 2 && bare.output == "")
      #expect(help.status == 0 && help.output == bare.errors)
      for command in Self.commands { #expect(help.output.contains("\n  \(command.prefix { $0 != " " }) ")) }
    }

    @Test func `--version says the name and the version`() async throws {
      let scratch = try Scratch()
      let result = try await scratch.hypha("--version")
      #expect(result == Hypha.Result(status: 0, output: "hypha \(HyphaVersion.text)\n", errors: ""))
    }

    @Test func `the help of run says what its exit status means`() async throws {
      let scratch = try Scratch()
      let help = try await scratch.hypha("run", "--help")
      for status in ["130", "143", "129"] { #expect(help.output.contains(status)) }
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func `the completion script passes its own shell's check`(_ shell: String) async throws {
      let scratch = try Scratch()
      let script = try await scratch.hypha("completion", shell)
      #expect(script.status == 0)
      for command in ["run", "validate", "init", "verify"] { #expect(script.output.contains(command)) }
      let program = ["/usr/bin/", "/bin/"].map { $0 + shell }.first(
        where: FileManager.default.isExecutableFile)
      guard let program else { return }
      let file = try scratch.file("completion", script.output)
      let check = try Hypha(["-n", file], in: scratch, program: program)
      #expect(await check.end() == Hypha.Result(status: 0, output: "", errors: ""))
    }

    @Test func `bash completes commands, options and values`() async throws {
      let scratch = try Scratch()
      let script = try await scratch.hypha("completion", "bash")
      let file = try scratch.file("completion", script.output)
      // What bash does when the tab key is pressed.
      let probe = """
        source \(file)
        complete_line() {
          COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMPREPLY=()
          local handler=$(complete -p hypha | sed 's/.*-F \\([^ ]*\\).*/\\1/')
          $handler hypha "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
          echo "${COMPREPLY[*]}"
        }
        complete_line hypha va
        complete_line hypha log ve
        complete_line hypha run --sim
        complete_line hypha log cat x --format cl
        """
      let result = try await Hypha(["-c", probe], in: scratch, program: "/bin/bash").end()
      let completions = result.lines.map { $0.trimmingCharacters(in: .whitespaces) }
      #expect(completions == ["validate", "verify", "--simulate", "cloudevents"], "\(result.errors)")
    }

    @Test(arguments: [[:], ["NO_COLOR": "1"], ["TERM": "dumb"]])
    func `no escape codes leave the program where no terminal is`(_ environment: [String: String])
      async throws
    {
      let scratch = try Scratch()
      _ = try scratch.file("small.yaml", BadPlaceTests.topology())
      let lines = [
        ["--help"], ["run", "--help"], ["rn"], ["validate", Places.incidentRoom], ["run", "missing.yaml"],
        ["run", scratch("small.yaml"), "--simulate"],
        ["run", scratch("small.yaml"), "--data", scratch("data")],
      ]
      for words in lines {
        let result = try await Hypha.run(words, in: scratch, environment: environment)
        #expect(!result.output.contains("\u{1B}") && !result.errors.contains("\u{1B}"), "\(words)")
      }
    }
  }
}
