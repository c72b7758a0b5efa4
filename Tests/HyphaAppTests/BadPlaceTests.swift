import Foundation
import HyphaCore
import HyphaLog
import Testing

@testable import HyphaLogLMDB

extension Commands {
  /// Data directories and addresses that belong to somebody else, or are damaged.
  @Suite struct BadPlaceTests {
    /// Two nodes, one of them behind a port, and a little work that comes to its end.
    static func topology(port: UInt16? = nil) -> String {
      let address = port.map { "{address: \"tcp://127.0.0.1:\($0)\"}" } ?? "{}"
      return """
        hypha: 1
        name: place
        nodes: {a: \(address), b: {}}
        agents:
          root: {kind: supervisor, node: a}
          source: {kind: generator, node: b, reports-to: root, settings: {event: entry, count: 20, every: 1}}
          sink: {kind: recorder, node: a, reports-to: root, subscribes: [load.Entry]}
        """
    }

    /// Runs the deployment to its end.
    private func run(_ scratch: Scratch, _ more: String...) async throws -> Hypha.Result {
      try await Hypha.run(["run", scratch("topology.yaml"), "--data", scratch("data")] + more, in: scratch)
    }

    /// Checks that a run fails for the reason that node `a` gives.
    private func expectFailure(
      _ reason: String, of result: Hypha.Result, _ at: SourceLocation = #_sourceLocation
    ) {
      #expect(result.status == 1, sourceLocation: at)
      let expected = ["[a] hypha: \(reason)", "hypha: node 'a' could not start; see the messages above"]
      #expect(result.complaints == expected, sourceLocation: at)
    }

    @Test func `a port that somebody else has is named, with its role`() async throws {
      let scratch = try Scratch()
      let listener = try Listener.behindTwoFreePorts()
      // The listener's is the third of the node's four ports.
      _ = try scratch.file("topology.yaml", Self.topology(port: listener.port - 2))
      expectFailure(
        "tcp://127.0.0.1:\(listener.port) (alert of node a) is in use; stop the other process or change the "
          + "node's address in the topology file (zmq_bind: Address already in use)",
        of: try await run(scratch))
      scratch.expectNothingLeft()
    }

    @Test func `a data directory is for one process, and the second is told which has it`() async throws {
      let scratch = try Scratch()
      _ = try scratch.file("topology.yaml", Self.topology())
      let node = try scratch.start("run", scratch("topology.yaml"), "--data", scratch("data"), "--node", "a")
      #expect(await becomesTrue { FileManager.default.fileExists(atPath: scratch("data/a/log/data.mdb")) })
      let reason =
        "the log in \(scratch("data/a")) is open for writing by process \(node.id); stop that process, or give "
        + "another data directory"
      let second = try await run(scratch, "--node", "a")
      #expect(second.status == 1 && second.errors == "hypha: \(reason)\n")
      expectFailure(reason, of: try await run(scratch))
      node.signal(SIGTERM)
      #expect(await node.end().status == 0)
      #expect(try await run(scratch).status == 0)
      scratch.expectNothingLeft()
    }

    @Test(arguments: [[], ["--node", "a"]])
    func `--fresh removes no log that a running node writes`(_ node: [String]) async throws {
      let scratch = try Scratch()
      _ = try scratch.file("topology.yaml", Self.topology())
      let running = try scratch.start(
        "run", scratch("topology.yaml"), "--data", scratch("data"), "--node", "a")
      #expect(await becomesTrue { FileManager.default.fileExists(atPath: scratch("data/a/log/data.mdb")) })
      let result = try await Hypha.run(
        ["run", scratch("topology.yaml"), "--data", scratch("data"), "--fresh"] + node, in: scratch)
      #expect(result.status == 1)
      #expect(result.errorLines.count == 1 && result.errors.contains("by process \(running.id); stop that"))
      #expect(try await becomesTrue { try LMDBLogReader(directory: scratch("data/a")).head() > .start })
      running.signal(SIGTERM)
      #expect(await running.end().status == 0)
      _ = try scratch.file("data/a/notes.txt", "mine")
      let identity = try LMDBLogReader(directory: scratch("data/a")).identity
      #expect(try await run(scratch, "--fresh").status == 0)
      #expect(try LMDBLogReader(directory: scratch("data/a")).identity != identity)
      #expect(FileManager.default.fileExists(atPath: scratch("data/a/notes.txt")), "only the log is removed")
    }

    @Test func `another node's log is refused by both names`() async throws {
      let scratch = try Scratch()
      _ = try scratch.file("topology.yaml", Self.topology())
      #expect(try await run(scratch).status == 0)
      try FileManager.default.removeItem(atPath: scratch("data/a"))
      try FileManager.default.copyItem(atPath: scratch("data/b"), toPath: scratch("data/a"))
      expectFailure(
        "the log in \(scratch("data/a")) is that of node b, not of a; give the data directory of a, or another "
          + "--data directory", of: try await run(scratch))
      scratch.expectNothingLeft()
    }

    @Test func `garbage in place of a log is refused by run and by log, and hides no other log`() async throws
    {
      let scratch = try Scratch()
      _ = try scratch.file("topology.yaml", Self.topology())
      #expect(try await run(scratch).status == 0)
      let garbage = (0..<70_000).map { _ in UInt8.random(in: .min ... .max) }
      _ = try scratch.file("data/a/log/data.mdb", garbage)
      let problem = "\(scratch("data/a/log/data.mdb")) is no log: meta page 0 is none"
      let reason = "\(problem); run 'hypha log verify', then restore from a copy or run 'hypha log salvage'"
      let named = reason.replacing("log verify", with: "log verify \(scratch("data/a"))")
        .replacing("log salvage", with: "log salvage \(scratch("data/a"))")
      expectFailure(reason, of: try await run(scratch))
      let cat = try await scratch.hypha("log", "cat", scratch("data/a"))
      #expect(cat.status == 1 && cat.errors == "hypha: \(named)\n" && cat.output == "")
      let info = try await scratch.hypha("log", "info", scratch("data"))
      #expect(info.status == 1 && info.errors == "hypha: \(named)\n")
      #expect(info.lines.count == 2 && info.lines[1].hasPrefix("b "))
      let verify = try await scratch.hypha("log", "verify", scratch("data"))
      #expect(verify.status == 1 && verify.errors == "")
      #expect(
        verify.lines[0].hasPrefix("\(scratch("data/a")): 1 finding;") && verify.lines[1] == "  \(problem)")
      #expect(verify.lines[2].hasPrefix("\(scratch("data/b")): sound;"))
      scratch.expectNothingLeft()
    }

    @Test func `a log of a newer version asks for an upgrade`() async throws {
      let scratch = try Scratch()
      _ = try scratch.file("topology.yaml", Self.topology())
      #expect(try await run(scratch).status == 0)
      do {
        let log = DataDirectory(path: scratch("data/a")).log
        let lease = try EnvironmentRegistry.lease(
          log: log, mode: .writing(mapByteCount: 64 << 20, mapByteCountMax: 64 << 20))
        let environment = lease.environment
        try environment.write { transaction in
          try transaction.putSealed(
            TableLayout.bytes(of: TableLayout.formatVersion + 1) + [1], at: TableLayout.formatKey,
            in: environment.state)
        }
      }
      let result = try await run(scratch)
      #expect(result.status == 1 && result.complaints.count == 2)
      #expect(result.errors.contains("format 3") && result.errors.contains("upgrade"))
      let verify = try await scratch.hypha("log", "verify", scratch("data"), "--json")
      #expect(verify.status == 1 && verify.lines.count == 2 && verify.lines[0].contains("\"isSound\":false"))
    }
  }
}

/// A listening socket of the test's own.
private final class Listener {
  let port: UInt16
  private let descriptor: Int32

  /// Listens on a port, or on any that is free.
  init(port wanted: UInt16 = 0) throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    address.sin_port = wanted.bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && listen(descriptor, 1) == 0
          && getsockname(descriptor, $0, &length) == 0
      }
    }
    self.descriptor = descriptor
    port = UInt16(bigEndian: address.sin_port)
    try #require(isBound)
  }

  deinit { close(descriptor) }

  /// Listens on a port before which two are free, as other programs on this machine may have any.
  static func behindTwoFreePorts() throws -> Listener {
    while true {
      let listener = try Listener()
      let before = [listener.port - 2, listener.port - 1].compactMap { try? Listener(port: $0) }
      if before.count == 2 { return listener }
    }
  }
}
