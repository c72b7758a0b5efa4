import Foundation
import HyphaCore
import HyphaTransportZMQ
import Testing

@testable import HyphaOperator

extension Commands {
  /// `hypha keys`, and how a node finds its private key.
  @Suite struct KeysTests {
    private func mode(_ path: String) throws -> Int? {
      try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    private func text(_ path: String) throws -> String {
      try String(contentsOfFile: path, encoding: .utf8).trimmingCharacters(in: .newlines)
    }

    @Test func `pairs are made for their nodes alone, and private keys are never printed`() async throws {
      let scratch = try Scratch()
      let made = try await scratch.hypha("keys", "generate", "--output", "deep/keys", "hq", "ops", "hq")
      #expect(made.status == 0 && made.errors == "")
      let names = try FileManager.default.contentsOfDirectory(atPath: scratch("deep/keys")).sorted()
      #expect(names == ["hq.private", "hq.public", "ops.private", "ops.public"])
      #expect(try mode(scratch("deep/keys")) == 0o700)
      let shown = try await scratch.hypha("keys", "show", "deep/keys")
      let json = try await scratch.hypha("keys", "show", "deep/keys", "--json")
      #expect(shown.status == 0 && json.status == 0)
      for node in ["hq", "ops"] {
        #expect(try mode(scratch("deep/keys/\(node).private")) == 0o600)
        let (key, secret) = (
          try text(scratch("deep/keys/\(node).public")), try text(scratch("deep/keys/\(node).private"))
        )
        #expect(try LinkKeys().key(of: LinkSecret(secret)).text == key)
        let curve = try #require(Z85.encode(LinkKeys().curveKey(of: LinkKey(key))))
        #expect(json.output.contains(try JSON.text(curve)))
        for result in [made, shown] {
          #expect(result.lines.contains { $0.hasPrefix(node) && $0.contains(key) }, "\(result.output)")
          #expect(!result.output.contains(secret))
        }
        #expect(!json.output.contains(secret))
      }
    }

    @Test func `a pair is replaced only by force, and no half of a refused command is done`() async throws {
      let scratch = try Scratch()
      #expect(try await scratch.hypha("keys", "generate", "ops").status == 0)
      let before = try text(scratch("keys/ops.private"))
      let refused = try await scratch.hypha("keys", "generate", "hq", "ops")
      #expect(refused.status == 1)
      #expect(
        refused.errors
          == "hypha: keys/ops.private is there already; give another --output, or --force to replace the pair; its old "
          + "public key is worth nothing then\n")
      #expect(!FileManager.default.fileExists(atPath: scratch("keys/hq.private")))
      #expect(try text(scratch("keys/ops.private")) == before)
      #expect(try await scratch.hypha("keys", "generate", "--force", "hq", "ops").status == 0)
      #expect(try text(scratch("keys/ops.private")) != before)
      #expect(try mode(scratch("keys/ops.private")) == 0o600)
      chmod(scratch("keys"), 0o755)
      let open = try await scratch.hypha("keys", "generate", "lab")
      #expect(
        open.errors
          == "hypha: the directory of keys keys is open to others (mode 755); run chmod 700 keys, or give another "
          + "--output\n")
      #expect(try await scratch.hypha("keys", "generate").status == 2)
    }

    @Test func `show says which files cannot be used`() async throws {
      let scratch = try Scratch()
      #expect(try await scratch.hypha("keys", "generate", "a", "b", "c", "d").status == 0)
      try FileManager.default.removeItem(atPath: scratch("keys/a.private"))
      #expect(try await scratch.hypha("keys", "show").status == 0, "it is on its node")
      chmod(scratch("keys/b.private"), 0o640)
      let c = try text(scratch("keys/c.private"))
      _ = try scratch.file("keys/d.private", "\(c)\n")
      chmod(scratch("keys/d.private"), 0o600)
      _ = try scratch.file("keys/e.private", "not a key: \(c)")
      chmod(scratch("keys/e.private"), 0o600)
      let shown = try await scratch.hypha("keys", "show")
      #expect(shown.status == 1)
      let columns = shown.lines.dropFirst().map { $0.split(separator: " ") }
      #expect(columns.map { $0.first } == ["a", "b", "c", "d", "e"])
      #expect(columns.map { $0.last } == ["elsewhere", "unusable", "here", "another's", "unusable"])
      #expect(shown.errorLines.count == 3 && shown.errors.contains("open to others (mode 640)"))
      #expect(!(shown.output + shown.errors).contains(c))
      let none = try await scratch.hypha("keys", "show", "nowhere")
      #expect(none.status == 1 && none.errors.contains("hypha keys generate --output nowhere"))
    }

    @Test func `a node takes its key from the option, the environment, or the directory, in that order`()
      async throws
    {
      let scratch = try Scratch()
      #expect(try await scratch.hypha("keys", "generate", "a", "b").status == 0)
      _ = try scratch.file(
        "topology.yaml",
        """
        hypha: 1
        name: place
        security: {keys: keys}
        nodes: {a: {}, b: {}}
        agents: {root: {kind: supervisor, node: a}, below: {kind: supervisor, node: b, reports-to: root}}
        """)
      let base = ["run", "topology.yaml", "--node", "a"]
      let other = try text(scratch("keys/b.public"))
      let wrong = "is not that of node 'a': it belongs to \(other)"
      let tries: [(options: [String], environment: [String: String], problem: String)] = [
        (
          ["--key", "keys/b.private"], ["HYPHA_KEY": "keys/a.private"],
          "the private key keys/b.private \(wrong)"
        ),
        ([], ["HYPHA_KEY": "keys/b.private"], "the private key keys/b.private \(wrong)"),
        (["--key", "nowhere"], [:], "the private key nowhere cannot be read"),
      ]
      for (options, environment, problem) in tries {
        let result = try await Hypha.run(base + options, in: scratch, environment: environment)
        #expect(result.status == 1 && result.errors.contains(problem), "\(result.errors)")
      }
      try FileManager.default.moveItem(atPath: scratch("keys/a.private"), toPath: scratch("elsewhere"))
      let missing = try await Hypha.run(base, in: scratch)
      #expect(missing.status == 1 && missing.errors.contains("/keys/a.private cannot be read"))
      let node = try Hypha(base, in: scratch, environment: ["HYPHA_KEY": scratch("elsewhere")])
      #expect(await becomesTrue { node.output.contains("a: delivered") })
      node.signal(SIGTERM)
      #expect(await node.end().status == 0)
      let all = try await scratch.hypha("run", "topology.yaml", "--key", "elsewhere")
      #expect(all.status == 2 && all.errors.contains("add --node"))
      let unkeyed = try scratch.file("plain.yaml", BadPlaceTests.topology())
      let useless = try await scratch.hypha("run", unkeyed, "--node", "a", "--key", "elsewhere")
      #expect(useless.status == 2 && useless.errors.contains("has no keys"))
    }
  }
}
