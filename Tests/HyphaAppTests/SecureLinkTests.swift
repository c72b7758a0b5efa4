import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import HyphaTransportZMQ
import Testing

extension Processes {
  /// Nodes as processes over real TCP: with keys, and with others who have no business there.
  @Suite struct SecureLinkTests {
    /// Three nodes on TCP: events of `source` on b are for `sink` on a and `board` on c.
    private struct Place {
      let scratch: Scratch
      let ports = (a: FreePorts.four(), b: FreePorts.four(), c: FreePorts.four())

      init() async throws {
        scratch = try Scratch()
        let made = try await scratch.hypha("keys", "generate", "a", "b", "c")
        try #require(made.status == 0, "\(made.errors)")
      }

      /// A topology file; its keys are those of the directory, or there are none.
      func topology(_ name: String, keys: String?) throws -> String {
        let security = keys.map { "security: {keys: \($0)}\n" } ?? ""
        return try scratch.file(
          name,
          """
          hypha: 1
          name: place
          \(security)nodes:
            a: {address: "tcp://127.0.0.1:\(ports.a)"}
            b: {address: "tcp://localhost:\(ports.b)", listen: "tcp://127.0.0.1:\(ports.b)"}
            c: {address: "tcp://127.0.0.1:\(ports.c)"}
          agents:
            root: {kind: supervisor, node: a}
            source: {kind: generator, node: b, reports-to: root, settings: {event: entry, count: 40, every: 1}}
            sink: {kind: recorder, node: a, reports-to: root, subscribes: [load.Entry]}
            board: {kind: recorder, node: c, reports-to: root, subscribes: [load.Entry]}
          """)
      }

      func start(_ node: String, _ file: String) throws -> Hypha {
        try scratch.start("run", file, "--node", node, "--data", scratch("data"), "--json")
      }

      func key(_ path: String) throws -> String {
        try String(contentsOfFile: scratch(path), encoding: .utf8).trimmingCharacters(in: .newlines)
      }
    }

    private func status(of node: Hypha) -> NodeStatus? {
      node.output.split(separator: "\n").last { $0.hasSuffix("}") }.flatMap {
        try? JSON.decode(NodeStatus.self, from: $0.utf8)
      }
    }

    /// Waits until a node has noted a text.
    private func expectNote(_ text: String, by node: Hypha, _ at: SourceLocation = #_sourceLocation) async {
      let isNoted = await becomesTrue { status(of: node)?.notes.contains { $0.contains(text) } ?? false }
      #expect(isNoted, "\(text): \(status(of: node)?.notes ?? []) \(node.errors)", sourceLocation: at)
    }

    @Test func `a deployment over TCP with keys runs to its end, and its data is closed to others`()
      async throws
    {
      let place = try await Place()
      let file = try place.topology("topology.yaml", keys: "keys")
      let result = try await place.scratch.hypha("run", file, "--data", place.scratch("data"), "--json")
      #expect(result.status == 0, "\(result.errors)")
      let summary = try RunSummary(result)
      #expect(summary.isComplete && summary.channel("persistent")?.delivered == 80)
      for node in ["a", "b", "c"] {
        let data = place.scratch("data/\(node)")
        let paths = try #require(FileManager.default.subpaths(atPath: data))
        for path in [data] + paths.map({ "\(data)/\($0)" }) {
          let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
          #expect((mode ?? 0o777) & 0o077 == 0, "\(path)")
        }
      }
      place.scratch.expectNothingLeft()
    }

    /// A third process that is not what it says, or takes others for what they are not.
    enum Intruder: String, CaseIterable, Sendable {
      case unknownKey, wrongServerKey, noKeys
    }

    @Test(arguments: Intruder.allCases)
    func `two nodes exchange, and a third that does not fit is refused and recorded on both sides`(
      _ intruder: Intruder
    ) async throws {
      let place = try await Place()
      let file = try place.topology("topology.yaml", keys: "keys")
      let (a, b) = (try place.start("a", file), try place.start("b", file))
      let other = place.scratch("other")
      try FileManager.default.copyItem(atPath: place.scratch("keys"), toPath: other)
      var told = (here: "", there: "")
      switch intruder {
      case .unknownKey:
        #expect(
          try await place.scratch.hypha("keys", "generate", "--output", "other", "--force", "c").status == 0)
        let key = try LinkKeys().curveKey(of: LinkKey(place.key("other/c.public")))
        told.here = "its CURVE key \(try #require(Z85.encode(key))) is no node's of the topology"
        told.there = "no link to node 'a': it refuses this node's key"
      case .wrongServerKey:
        try FileManager.default.removeItem(atPath: "\(other)/a.public")
        #expect(try await place.scratch.hypha("keys", "generate", "--output", "third", "a").status == 0)
        try FileManager.default.copyItem(atPath: place.scratch("third/a.public"), toPath: "\(other)/a.public")
        told.here = "it takes this node for another"
        told.there = "no link to node 'a': it ends every handshake"
      case .noKeys:
        told.here = "it has no keys, or is no node"
        told.there = "no link to node 'a': it asks for keys, and this node has none"
      }
      let c = try place.start(
        "c", try place.topology("other.yaml", keys: intruder == .noKeys ? nil : "other"))
      await expectNote(told.here, by: a)
      await expectNote(told.there, by: c)
      #expect(await becomesTrue { status(of: a)?.channels["persistent"]?.handledPairCount == 40 })
      #expect(status(of: a)?.refusedPeerCount ?? 0 > 0)
      // What is for c waits for the c that the topology means, and the one that came has nothing of it. A node of the
      // topology that only takes a for another fetches from b what did not come by way of a.
      let comes = intruder == .wrongServerKey ? 40 : 0
      #expect(
        await becomesTrue { status(of: c)?.channels["persistent"]?.handledPairCount == UInt64(comes) })
      for node in [a, b, c] { node.signal(SIGTERM) }
      for node in [a, b, c] { #expect(await node.end().status == 0) }
      var foreign = 0
      try LMDBLogReader(directory: place.scratch("data/c")).scan { entry in
        // What c says itself is no other's, and what b signs of its log is for every node's.
        if entry.source != .stated && entry.record.type != LogHeadSigned.eventType { foreign += 1 }
        return true
      }
      #expect(foreign == comes)
      let result = try await place.scratch.hypha("run", file, "--data", place.scratch("data"), "--json")
      #expect(result.status == 0, "\(result.errors)")
      place.scratch.expectNothingLeft()
    }

    @Test func `nodes under two topologies refuse each other and say which`() async throws {
      let place = try await Place()
      let file = try place.topology("topology.yaml", keys: "keys")
      let text = try String(contentsOfFile: file, encoding: .utf8)
      let changed = try place.scratch.file(
        "changed.yaml",
        text.replacing(
          "board: {kind: recorder, node: c, reports-to: root",
          with: "board: {kind: recorder, node: c, reports-to: sink"))
      let (a, c) = (try place.start("a", file), try place.start("c", changed))
      await expectNote("node 'c' was refused: node 'a' follows topology version 1 (", by: a)
      await expectNote("node 'a' was refused: node 'c' follows topology version 1 (", by: c)
      await expectNote("node 'c' refuses: node 'c' follows topology version 1 (", by: a)
      for node in [a, c] { node.signal(SIGTERM) }
      for node in [a, c] { #expect(await node.end().status == 0) }
      place.scratch.expectNothingLeft()
    }

    @Test func `links that leave the machine without keys are refused, unless the file says so`() async throws
    {
      let place = try await Place()
      let plain = try place.topology("plain.yaml", keys: nil)
      let text = try String(contentsOfFile: plain, encoding: .utf8)
      let listen = ["HYPHA_LISTEN_A": "tcp://0.0.0.0:\(place.ports.a)"]
      let refused = try await place.scratch.hypha(
        "run", plain, "--data", place.scratch("data"), environment: listen)
      #expect(refused.status == 1)
      #expect(
        refused.errors
          == "hypha: \(plain):4:3: node 'a' is at tcp://0.0.0.0:\(place.ports.a), which other machines reach, and its "
          + "links are not encrypted; make keys with 'hypha keys generate --output keys a b c' and add "
          + "'security: {keys: keys}', or say 'security: {plain: allowed}'\n")
      let allowed = try place.scratch.file(
        "allowed.yaml", text.replacing("name: place\n", with: "name: place\nsecurity: {plain: allowed}\n"))
      let result = try await place.scratch.hypha(
        "run", allowed, "--data", place.scratch("data"), "--json", environment: listen)
      #expect(result.status == 0, "\(result.errors)")
      place.scratch.expectNothingLeft()
    }

    @Test func `addresses come from the environment where it has them`() async throws {
      let place = try await Place()
      let file = try place.topology("topology.yaml", keys: "keys")
      // The ports that a and b have in the file are not used: they are not free.
      let taken = [place.ports.a, place.ports.b].map(PortHolder.init)
      let moved = FreePorts.four()
      let result = try await place.scratch.hypha(
        "run", file, "--data", place.scratch("data"), "--json",
        environment: [
          "HYPHA_ADDRESS_A": "tcp://localhost:\(moved)", "HYPHA_LISTEN_A": "tcp://0.0.0.0:\(moved)",
          "HYPHA_ADDRESS_B": "local",
        ])
      withExtendedLifetime(taken) {}
      #expect(result.status == 0, "\(result.errors)")
      let unmoved = try await place.scratch.hypha(
        "run", file, "--data", place.scratch("data"),
        environment: ["HYPHA_LISTEN_B": "", "HYPHA_LISTEN_D": "tcp://*:1"])
      #expect(unmoved.status == 1 && unmoved.errors.contains("HYPHA_LISTEN_D names no node of 'place'"))
      place.scratch.expectNothingLeft()
    }
  }
}
