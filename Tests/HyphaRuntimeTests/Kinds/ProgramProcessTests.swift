import Foundation
import HyphaCore
import HyphaRuntime
import Synchronization
import Testing

@testable import HyphaKinds

/// Real child processes.
@Suite struct ProgramProcessTests {
  /// What a program has written on standard error.
  private final class Words: Sendable {
    private let bytes = Mutex<[UInt8]>([])
    func add(_ more: [UInt8]) { bytes.withLock { $0 += more } }
    var text: String { bytes.withLock { String(decoding: $0, as: UTF8.self) } }
    var lines: [String] { text.split(separator: "\n").map(String.init) }
  }

  private func start(
    _ script: String, _ words: Words = Words(), limits: ProgramDialogue.Limits = .init(),
    environment: [String: String] = [:], directory: String? = nil
  ) async throws -> ProgramProcess {
    var settings: [String: JSONValue] = [
      "command": .string("sh"), "arguments": .array([.string("-c"), .string(script)]),
    ]
    if let directory { settings["directory"] = .string(directory) }
    let decoded = try JSONValue.object(settings).decoded(as: ExecSettings.self)
    let variables = decoded.variables(
      of: "ana", beside: ["PATH": "/usr/bin:/bin"].merging(environment) { $1 })
    return try await ProgramProcess.start(decoded, variables: variables, limits: limits) { words.add($0) }
  }

  /// Answers each line, taken for an input's id, with one event.
  private static let echo = """
    while read -r id; do
      echo '{"specversion":"1.0","id":"1","source":"p","type":"a.B","causationid":"'$id'","data":"'$id'"}'
      echo '{"specversion":"1.0","id":"2","source":"p","type":"hypha.handled","causationid":"'$id'"}'
    done
    """

  private func handle(_ process: ProgramProcess, _ id: String, within: Duration = .seconds(120)) async throws
    -> [ProgramOutput]
  {
    try await process.handle(id, Array("\(id)\n".utf8), within: within)
  }

  /// Waits for what comes soon, at most 120 s.
  private func comes(_ condition: () -> Bool) async -> Bool {
    let end = ContinuousClock.now + .seconds(120)
    while !condition() {
      guard ContinuousClock.now < end else { return false }
      try? await Task.sleep(for: .milliseconds(5), clock: .suspending)
    }
    return true
  }

  /// Whether a process is gone, or waits for somebody else to take its status.
  private func isOver(_ id: Int32) -> Bool {
    guard let stat = FileManager.default.contents(atPath: "/proc/\(id)/stat") else { return true }
    return String(decoding: stat, as: UTF8.self).split(separator: ")").last?.hasPrefix(" Z") ?? true
  }

  @Test func `a program answers inputs one after the other, and ends when its input does`() async throws {
    let process = try await start(Self.echo)
    for number in 0..<200 {
      let outputs = try await handle(process, "i\(number)")
      #expect(outputs.map(\.event.payload) == [Array("\"i\(number)\"".utf8)])
    }
    process.stop()
    await process.ended()
    await #expect(throws: NodeStops.self) { try await handle(process, "late") }
  }

  @Test func `a program has its variables and its directory, and no file but its streams`() async throws {
    let words = Words()
    let process = try await start(
      "echo $HYPHA_AGENT $COLOR >&2; pwd >&2; ls /proc/self/fd | wc -l >&2; ps -o sid= -p $$ >/dev/null; read x",
      words, environment: ["COLOR": "red"], directory: "/usr")
    #expect(await comes { words.lines.count >= 3 })
    // Three streams, and the directory that ls reads.
    #expect(
      words.lines.prefix(3).map { $0.trimmingCharacters(in: .whitespaces) } == ["ana red", "/usr", "4"])
    process.stop()
    await process.ended()
  }

  @Test func `a program that cannot be started is named`() async throws {
    for (command, cause) in [
      ("no-such-program-here", "no such program in its PATH"), ("/etc/passwd", "Permission denied"),
    ] {
      let settings = try JSONValue.object(["command": .string(command)]).decoded(as: ExecSettings.self)
      let error = await #expect(throws: HyphaError.self) {
        _ = try await ProgramProcess.start(settings, variables: ["PATH": "/usr/bin"]) { _ in }
      }
      #expect(error?.problem == "the program '\(command)' cannot be started")
      #expect(error?.cause?.contains(cause) == true, "\(String(describing: error))")
    }
    let error = await #expect(throws: HyphaError.self) {
      _ = try await start("true", directory: "/no/such/place")
    }
    #expect(error?.cause == "No such file or directory")
  }

  @Test func `a program that does not answer is killed with all that it has started`() async throws {
    let words = Words()
    let process = try await start("sleep 1000 & echo $$ $! >&2; read x; wait", words)
    let error = await #expect(throws: HyphaError.self) {
      try await handle(process, "i", within: .milliseconds(300))
    }
    #expect(error?.problem.contains("did not answer within the handler deadline") == true)
    #expect(!process.takesInput)
    #expect(await comes { words.lines.count >= 1 })
    let ids = words.lines[0].split(separator: " ").compactMap { Int32($0) }
    #expect(ids.count == 2)
    for id in ids { #expect(await comes { isOver(id) }) }
  }

  @Test func `the death of a program fails its input, whatever holds its streams open`() async throws {
    let words = Words()
    let process = try await start("sleep 1000 & echo $! >&2; read id; kill -9 $$", words)
    let error = await #expect(throws: HyphaError.self) { try await handle(process, "i") }
    #expect(
      error?.problem.contains("was ended by signal 9 within an input") == true, "\(String(describing: error))"
    )
    await process.ended()
    let started = try #require(Int32(words.lines.first ?? ""))
    #expect(await comes { isOver(started) }, "what it has started ends with it")
  }

  @Test func `what a program wrote before it ended counts`() async throws {
    let process = try await start(
      """
      read -r id
      echo '{"specversion":"1.0","id":"2","source":"p","type":"hypha.handled","causationid":"'$id'"}'
      """)
    #expect(try await handle(process, "i") == [])
    await process.ended()
    #expect(!process.takesInput)
  }

  @Test func `a program that will not stop is ended`() async throws {
    let words = Words()
    var limits = ProgramDialogue.Limits()
    (limits.endPatience, limits.terminationPatience) = (.milliseconds(50), .milliseconds(50))
    let process = try await start(
      "trap '' TERM; echo $$ >&2; while :; do sleep 1000; done", words, limits: limits)
    #expect(await comes { words.lines.count == 1 })
    let answer = Task { try await handle(process, "i") }
    process.stop()
    await #expect(throws: NodeStops.self) { try await answer.value }
    await process.ended()
    #expect(isOver(try #require(Int32(words.lines[0]))))
  }

  @Test func `neither a program that does not read nor one that floods holds anybody up`() async throws {
    let deaf = try await start("sleep 1000")
    let line = [UInt8](repeating: 0x20, count: 1 << 20)
    await #expect(throws: HyphaError.self) { try await deaf.handle("i", line, within: .milliseconds(100)) }
    await deaf.ended()
    let words = Words()
    let loud = try await start("yes | head -c 3000000 >&2; exec yes", words)
    #expect(await comes { !loud.takesInput }, "it has said what nobody asked for")
    await loud.ended()
    #expect(words.text.hasSuffix("on standard output that is no JSON object: 'y'\n"))
    #expect(words.text.utf8.count > 3_000_000)
  }
}
