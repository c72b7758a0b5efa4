import Foundation
import HyphaCore
import HyphaFormats
import HyphaTopology
import Testing

extension Processes {
  /// `tools/hypha_peer.py`, a client of the wire's documentation, against real nodes.
  @Suite(
    .enabled(
      if: Python.has("zmq"),
      "no Python with the package pyzmq; tools/setup-python installs it, HYPHA_PYTHON may name one"))
  struct PythonPeerTests {
    private static let tools = Places.package.appending(path: "tools").path

    private struct Seen: Decodable {
      var agent, type, payload: String
      var channel, epoch, sequence: Int

      /// The place in the generator's load.
      var index: Int? {
        struct Load: Decodable { var index: Int }
        let bytes = Self.bytes(payload)
        return type == "load.Entry" || type == "load.Signal"
          ? try? JSON.decode(Load.self, from: bytes).index : nil
      }

      private static func bytes(_ hex: String) -> [UInt8] {
        let digits = Array(hex.utf8)
        return stride(from: 0, to: digits.count, by: 2).compactMap {
          UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
        }
      }
    }

    @Test func `a peer in Python gets each event once and in order, whatever is lost and restarted`()
      async throws
    {
      let scratch = try Scratch()
      let (hq, ops, py) = (FreePorts.four(), FreePorts.four(), FreePorts.four())
      let file = try scratch.file(
        "lab.yaml",
        """
        hypha: 1
        name: lab
        nodes:
          hq: {address: "tcp://127.0.0.1:\(hq)"}
          ops: {address: "tcp://127.0.0.1:\(ops)"}
          py: {address: "tcp://127.0.0.1:\(py)"}
        agents:
          root: {kind: supervisor, node: hq}
          near: {kind: generator, node: hq, reports-to: root, settings: {event: entry, count: 400, every: 2}}
          far: {kind: generator, node: ops, reports-to: root, settings: {event: entry, count: 400, every: 2}}
          pulse: {kind: generator, node: hq, reports-to: root, settings: {event: signal, count: 5000, every: 5}}
          eye: {kind: recorder, node: py, reports-to: root, subscribes: [load.Entry, load.Signal]}
        """)
      let greeting = try await scratch.hypha("validate", file, "--greeting")
      #expect(greeting.status == 0)
      func node(_ name: String) throws -> Hypha {
        try scratch.start("run", file, "--node", name, "--data", scratch("data"), "--json")
      }
      let far = try node("ops")
      var near = try node("hq")
      // The client, which loses each fifth frame of the logged channels as a link might.
      let program = try scratch.file(
        "lossy.py",
        """
        import sys
        import hypha_peer

        class Lossy(hypha_peer.Peer):
            count = 0

            def take(self, data):
                Lossy.count += 1
                return super().take(data) if Lossy.count % 5 else iter(())

        version, digits = sys.argv[1].split()
        peers = dict(peer.split("=") for peer in sys.argv[2:])
        for event in Lossy((int(version), int(digits, 16)), "py", ["eye"], peers).events():
            print(hypha_peer.wire.as_json(event), flush=True)
        """)
      let client = try Hypha(
        [
          Python.path, program, greeting.output.trimmingCharacters(in: .whitespacesAndNewlines),
          "hq=tcp://127.0.0.1:\(hq)", "ops=tcp://127.0.0.1:\(ops)",
        ], in: scratch, program: "/usr/bin/env",
        environment: ["PYTHONPATH": Self.tools, "PYTHONDONTWRITEBYTECODE": "1"])
      func seen() throws -> [Seen] {
        // The last line may be half written.
        try client.output.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map {
          try JSON.decode(Seen.self, from: $0.utf8)
        }
      }
      func entries(_ seen: [Seen], of agent: String) -> [Int] {
        seen.filter { $0.agent == agent && $0.type == "load.Entry" }.compactMap(\.index)
      }
      #expect(
        try await becomesTrue { try entries(seen(), of: "near").count > 50 },
        "\(client.errors) \(near.errors)")
      near.signal(SIGKILL)
      _ = await near.end()
      near = try node("hq")
      let isWhole = try await becomesTrue {
        let seen = try seen()
        return entries(seen, of: "near").count >= 400 && entries(seen, of: "far").count >= 400
      }
      let all = try seen()
      #expect(isWhole && client.isRunning, "\(client.errors) \(near.errors) \(far.errors)")
      #expect(entries(all, of: "near") == Array(0..<400), "in order, each once")
      #expect(entries(all, of: "far") == Array(0..<400), "by way of the supervisor's node")
      let signals = all.filter { $0.type == "load.Signal" }
      #expect(!signals.isEmpty && signals.allSatisfy { $0.channel == 2 })
      client.signal(SIGKILL)
      for node in [near, far] { node.signal(SIGINT) }
      for node in [near, far] { _ = await node.end() }
      _ = await client.end()
    }

    @Test func `a peer that follows another topology is told so`() async throws {
      let scratch = try Scratch()
      let (hq, py) = (FreePorts.four(), FreePorts.four())
      let file = try scratch.file(
        "lab.yaml",
        """
        hypha: 1
        name: lab
        nodes: {hq: {address: "tcp://127.0.0.1:\(hq)"}, py: {address: "tcp://127.0.0.1:\(py)"}}
        agents:
          root: {kind: supervisor, node: hq}
          eye: {kind: recorder, node: py, reports-to: root, subscribes: [load.Entry]}
        """)
      let node = try scratch.start("run", file, "--node", "hq", "--data", scratch("data"), "--json")
      let client = try await Hypha(
        [Python.path, "\(Self.tools)/hypha_peer.py", "1 abc", "py", "eye", "hq=tcp://127.0.0.1:\(hq)"],
        in: scratch, program: "/usr/bin/env", environment: ["PYTHONDONTWRITEBYTECODE": "1"]
      ).end()
      #expect(client.status == 1 && client.errors.hasPrefix("hypha_peer.py: node hq refuses: "), "\(client)")
      #expect(client.errors.contains("start both from one topology file"))
      node.signal(SIGINT)
      _ = await node.end()
    }
  }
}
