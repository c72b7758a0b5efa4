import Foundation
import HyphaOperator
import Testing

/// Runs the scripts in the shells themselves; a test of a shell that is not installed is skipped.
@Suite struct CompletionScriptTests {
  @Test(arguments: CompletionShell.allCases.filter { Shell.path(of: $0.rawValue) != nil })
  func `the script is free of syntax errors`(shell: CompletionShell) throws {
    let result = try Shell.run(shell.rawValue, ["-n", "SCRIPT"], script: shell)
    #expect(result.errors == "")
    #expect(result.status == 0)
  }

  @Test(arguments: [
    (["hypha", ""], ["completion", "help", "log"]),
    (["hypha", "lo"], ["log"]),
    (["hypha", "log", ""], ["cat", "info"]),
    (["hypha", "--v"], ["--version"]),
    (["hypha", "help", ""], ["completion", "help", "log"]),
    (["hypha", "help", "log", ""], ["cat", "info"]),
    (["hypha", "help", "log", "cat", ""], []),
    (["hypha", "secret", ""], []),
    (["hypha", "completion", ""], ["bash", "fish", "zsh"]),
    (["hypha", "log", "cat", "--f"], ["--follow", "--format"]),
    (["hypha", "log", "cat", "--no"], ["--no-verify"]),
    (["hypha", "log", "cat", "--se"], []),
    (["hypha", "log", "cat", "--format", ""], ["json", "json-lines", "table"]),
    (["hypha", "log", "cat", "--format", "j"], ["json", "json-lines"]),
    (["hypha", "log", "cat", "--format", "=", "ta"], ["table"]),
    (["hypha", "log", "cat", "--format", "="], ["json", "json-lines", "table"]),
    (["hypha", "log", "cat", "--subject", "a", ""], ["a folder"]),
    (["hypha", "log", "cat", "a folder", "x", ""], ["a folder"]),
    (["hypha", "log", "cat", "--output-file", "a"], ["a file.txt", "a folder"]),
    (["hypha", "log", "cat", "--limit", ""], []),
    (["hypha", "log", "info", "--data", "a"], ["a folder"]),
    (["hypha", "log", "info", ""], []),
  ])
  func `bash offers what may stand at the cursor`(words: [String], offered: [String]) throws {
    let quoted = words.map { "'\($0)'" }.joined(separator: " ")
    let result = try Shell.run(
      "bash",
      [
        "--norc", "-c",
        """
        source SCRIPT
        COMP_WORDS=(\(quoted)); COMP_CWORD=\(words.count - 1)
        _hypha
        printf '%s\\n' "${COMPREPLY[@]}"
        """,
      ], script: .bash)
    #expect(result.errors == "")
    #expect(result.lines.sorted() == offered)
  }

  @Test(
    .enabled(if: Shell.path(of: "fish") != nil, "fish is not installed"),
    arguments: [
      ("hypha ", ["completion", "help", "log"]),
      ("hypha log ", ["cat", "info"]),
      ("hypha log cat --form", ["--format"]),
      ("hypha log cat --format ", ["json", "json-lines", "table"]),
      ("hypha log cat --output-file a", ["a file.txt", "a folder/"]),
      ("hypha log cat a", ["a folder/"]),
      ("hypha help log ", ["cat", "info"]),
      ("hypha completion ", ["bash", "fish", "zsh"]),
    ])
  func `fish offers what may stand at the cursor`(line: String, offered: [String]) throws {
    let result = try Shell.run(
      "fish", ["--no-config", "-c", "source SCRIPT; complete -C '\(line)' | string split -f1 \\t"],
      script: .fish)
    #expect(result.lines.sorted() == offered)
  }

  @Test(.enabled(if: Shell.path(of: "zsh") != nil, "zsh is not installed"))
  func `zsh loads the script and registers it`() throws {
    let result = try Shell.run(
      "zsh",
      ["-f", "-c", "autoload -Uz compinit; compinit -u -D; source SCRIPT; print -r -- $_comps[hypha]"],
      script: .zsh)
    #expect(result.errors == "")
    #expect(result.lines == ["_hypha"])
  }

  @Test func `the completion command prints the script`() async {
    let outcome = await run("completion", "bash")
    #expect(outcome.status == 0)
    #expect(outcome.output == CommandLineRunner.completionScript(for: Sample.self, shell: .bash))
    #expect(outcome.output.hasSuffix("complete -F _hypha hypha\n"))
    #expect(!outcome.output.contains("secret"))
  }

  @Test(arguments: CompletionShell.allCases.filter { Shell.path(of: $0.rawValue) != nil })
  func `a program of one command has a valid script too`(shell: CompletionShell) throws {
    let script = CommandLineRunner.completionScript(for: LogCat.self, shell: shell)
    #expect(try Shell.run(shell.rawValue, ["-n", "SCRIPT"], text: script).errors == "")
  }
}

/// Runs a shell in a directory with `a file.txt` and `a folder`; `SCRIPT` in the arguments names the script.
private struct Shell {
  var status: Int32
  var output: String
  var errors: String
  var lines: [String] { output.split(separator: "\n").map(String.init) }

  static func path(of name: String) -> String? {
    ["/usr/bin/", "/bin/", "/usr/local/bin/"].map { $0 + name }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  static func run(_ name: String, _ arguments: [String], script: CompletionShell) throws -> Shell {
    try run(
      name, arguments, text: CommandLineRunner.completionScript(for: Sample.self, shell: script))
  }

  static func run(_ name: String, _ arguments: [String], text: String) throws -> Shell {
    let directory = FileManager.default.temporaryDirectory.appending(path: "hypha-cli-\(UUID().uuidString)")
    let work = directory.appending(path: "work")
    try FileManager.default.createDirectory(
      at: work.appending(path: "a folder"), withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    try Data().write(to: work.appending(path: "a file.txt"))
    let script = directory.appending(path: "script")
    try Data(text.utf8).write(to: script)
    let process = Process()
    process.executableURL = URL(filePath: try #require(path(of: name)))
    process.arguments = arguments.map { $0.replacingOccurrences(of: "SCRIPT", with: script.path) }
    process.currentDirectoryURL = work
    process.environment = ["HOME": directory.path, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"]
    let output = Pipe()
    let errors = Pipe()
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    let printed = output.fileHandleForReading.readDataToEndOfFile()
    let complained = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Shell(
      status: process.terminationStatus, output: String(decoding: printed, as: UTF8.self),
      errors: String(decoding: complained, as: UTF8.self))
  }
}
