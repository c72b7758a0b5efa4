import Foundation
import HyphaCore
import Synchronization
import Testing

@testable import HyphaOperator

/// The socket of a node, with operations of the tests' own.
@Suite struct OperatorSocketTests {
  /// A server in a directory of its own.
  private final class Bench {
    let directory: String
    let server: OperatorServer
    let requests = Requests()

    init(depth: Int = 0) throws {
      let name = "hypha-operator-\(String(UInt64.random(in: .min ... .max), radix: 36))"
      var path = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
      for _ in 0..<depth { path += "/a-directory-of-a-long-name" }
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      directory = path
      server = try OperatorServer(
        in: path,
        operations: [
          "echo": { [requests] request, progress in
            requests.add(request)
            progress("half")
            return request.parameters
          },
          "fail": { _, _ in throw HyphaError(.logFull, "no room", remedy: "make some", cause: "ENOSPC") },
          "large": { _, _ in .string(String(repeating: "x", count: 3_000_000)) },
        ])
    }

    deinit {
      server.stop()
      try? FileManager.default.removeItem(atPath: directory)
    }

    /// Sends bytes as they are, and returns what comes back until the end.
    func exchange(_ bytes: [UInt8]) async throws -> String {
      try await OperatorClient.onThread { [directory] in try Self.exchange(bytes, in: directory) }
    }

    private static func exchange(_ bytes: [UInt8], in directory: String) throws -> String {
      let descriptor = try #require(try OperatorSocket.connect(to: directory))
      defer { close(descriptor) }
      _ = OperatorConnection(descriptor).write(bytes, within: .seconds(60))
      shutdown(descriptor, Int32(SHUT_WR))
      var connection = OperatorConnection(descriptor)
      var lines: [String] = []
      while let line = try? connection.readLine(byteCountMax: 4 << 20, within: .seconds(60)) {
        lines.append(String(decoding: line, as: UTF8.self))
      }
      return lines.joined(separator: "\n")
    }
  }

  /// What an operation was asked.
  private final class Requests: Sendable {
    private let all = Mutex<[OperatorRequest]>([])
    func add(_ request: OperatorRequest) { all.withLock { $0.append(request) } }
    var names: [String] { all.withLock { $0.map { "\($0.by)" } } }
  }

  @Test(arguments: [0, 6]) func `a request is answered, whatever the length of the path`(depth: Int)
    async throws
  {
    let bench = try Bench(depth: depth)
    let progress = Mutex<[String]>([])
    let request = try OperatorRequest("echo", by: "ana", parameters: ["text": "a\nb"])
    let answer = try await OperatorClient.ask(bench.directory, request, as: [String: String].self) { text in
      progress.withLock { $0.append(text) }
    }
    #expect(answer == ["text": "a\nb"] && progress.withLock { $0 } == ["half"])
    #expect(bench.requests.names == ["ana"])
  }

  @Test func `an operation's error is the asker's`() async throws {
    let bench = try Bench()
    let request = try OperatorRequest("fail", by: "ana", parameters: [String: Int]())
    do {
      _ = try await OperatorClient.ask(bench.directory, request, as: JSONValue.self)
      Issue.record("it did not fail")
    } catch let error as HyphaError {
      #expect(error.description == "logFull: no room; make some (ENOSPC)")
    }
    let unknown = try OperatorRequest("alerts.forget", by: "ana", parameters: [String: Int]())
    await #expect(throws: HyphaError.self) {
      try await OperatorClient.ask(bench.directory, unknown, as: JSONValue.self)
    }
  }

  @Test func `a large answer comes whole`() async throws {
    let bench = try Bench()
    let request = try OperatorRequest("large", by: "ana", parameters: [String: Int]())
    #expect(try await OperatorClient.ask(bench.directory, request, as: String.self)?.utf8.count == 3_000_000)
  }

  @Test func `the socket is its owner's alone, and goes with the server`() async throws {
    let bench = try Bench()
    let path = "\(bench.directory)/\(OperatorSocket.name)"
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
    bench.server.stop()
    #expect(!FileManager.default.fileExists(atPath: path))
    #expect(try OperatorSocket.connect(to: bench.directory) == nil)
  }

  @Test func `who finds the socket of a killed node takes its place`() async throws {
    let name = FileManager.default.temporaryDirectory.appendingPathComponent(
      "hypha-operator-\(UInt64.random(in: .min ... .max))"
    ).path
    try FileManager.default.createDirectory(atPath: name, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: name) }
    let left = try OperatorSocket.listen(in: name)
    close(left)
    #expect(try OperatorSocket.connect(to: name) == nil, "nobody listens, though the file is there")
    let again = try OperatorSocket.listen(in: name)
    defer { close(again) }
    let connection = try #require(try OperatorSocket.connect(to: name))
    close(connection)
  }

  private static let hostile: [(String, String)] = [
    ("", ""), ("\n", "no line of JSON"), ("hello\n", "no line of JSON"), ("{}\n", "no line of JSON"),
    ("{\"hypha\":2,\"request\":\"echo\",\"by\":\"a\",\"parameters\":{}}\n", "has version 2"),
    ("{\"hypha\":1,\"request\":\"echo\",\"by\":\"a b\",\"parameters\":{}}\n", "has a bad name"),
    ("{\"hypha\":1,\"request\":\"echo\",\"parameters\":{}}\n", "lacks something"),
    ("{\"hypha\":1,\"request\":\"\\u001b[31m\",\"by\":\"a\",\"parameters\":{}}\n", "has no operation"),
    ("{\"hypha\":1,\"request\":\"echo\"", ""),
    (String(repeating: "[", count: 60_000) + "\n", "no line of JSON"),
    (String(repeating: "x", count: 600_000), "more than 524288 bytes"),
  ]

  @Test(arguments: hostile) func `what is no request does no harm`(text: String, expected: String)
    async throws
  {
    let bench = try Bench()
    let answer = try await bench.exchange(Array(text.utf8))
    #expect(expected.isEmpty ? answer.isEmpty : answer.contains(expected), "\(answer)")
    #expect(!answer.contains("\u{1B}"))
    let request = try OperatorRequest("echo", by: "ana", parameters: ["n": 1])
    #expect(try await OperatorClient.ask(bench.directory, request, as: [String: Int].self) == ["n": 1])
  }

  @Test func `random bytes do no harm`() async throws {
    let bench = try Bench()
    for seed in 0..<200 as Range<UInt64> {
      var random = SeededGenerator(seed: seed, name: "operator")
      var bytes = Array("{\"hypha\":1,\"request\":\"echo\",\"by\":\"a\",\"parameters\":{\"n\":[1,2]}}".utf8)
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      let answer = try await bench.exchange(bytes + [10])
      #expect(answer.contains("\"error\"") || answer.contains("\"result\""), "seed \(seed): \(answer)")
    }
  }

  @Test func `who connects and says nothing keeps nobody from asking`() async throws {
    let bench = try Bench()
    var silent: [Int32] = []
    for _ in 0..<OperatorServer.connectionCountMax - 1 {
      silent.append(try #require(try OperatorSocket.connect(to: bench.directory)))
    }
    defer { for descriptor in silent { close(descriptor) } }
    let request = try OperatorRequest("echo", by: "ana", parameters: ["n": 1])
    #expect(try await OperatorClient.ask(bench.directory, request, as: [String: Int].self) == ["n": 1])
    // All places taken: the next one waits until the silent ones are sent away.
    silent.append(try #require(try OperatorSocket.connect(to: bench.directory)))
    #expect(try await OperatorClient.ask(bench.directory, request, as: [String: Int].self) == ["n": 1])
  }
}
