import HyphaCore
import HyphaFormats
import HyphaTopology
import Testing

/// Addresses, keys and how links are protected, as a topology file and the environment have them.
@Suite struct SecurityFileTests {
  private static let keys = ["a", "b"].map { String(repeating: $0, count: 40) }

  /// A file with these nodes, which begin on line 3.
  private func file(_ nodes: String, security: String = "") throws -> TopologyFile {
    let security = security.isEmpty ? "" : ", security: \(security)"
    return try TopologyFile.read(
      yaml: "hypha: 1\nname: n\nnodes:\n\(nodes)\nagents: {a: {kind: k, node: hq}}\n"
        + (security.isEmpty ? "" : String(security.dropFirst(2)) + "\n"), file: "f")
  }

  private func linkProblems(_ nodes: String, security: String = "") throws -> [String] {
    try file(nodes, security: security).linkProblems().map(\.description)
  }

  @Test func `a node listens elsewhere than others reach it, and has a key`() throws {
    let file = try file(
      """
        hq: {address: "tcp://hq.example:7410", listen: "tcp://0.0.0.0:17410", key: "\(Self.keys[0])"}
        ops: {address: "tcp://[fe80::1]:7410", key: "\(Self.keys[1])"}
      """, security: "{keys: ../keys}")
    #expect(
      file.topology.nodes == [
        NodeSpec(
          id: "hq", address: .tcp(host: "hq.example", port: 7410), listen: .tcp(host: "0.0.0.0", port: 17410),
          key: try LinkKey(Self.keys[0])),
        NodeSpec(id: "ops", address: .tcp(host: "[fe80::1]", port: 7410), key: try LinkKey(Self.keys[1])),
      ])
    #expect(file.topology.security == SecuritySettings(keysDirectory: "../keys"))
    #expect(file.topology.isKeyed && file.linkProblems().isEmpty)
  }

  @Test(
    arguments: [
      ("nodes: {a: {address: 'tcp://:80'}}", "is neither 'local' nor of the form tcp://HOST:PORT"),
      ("nodes: {a: {address: 'tcp://a/b:80'}}", "is neither 'local' nor of the form tcp://HOST:PORT"),
      ("nodes: {a: {address: 'tcp://[::1:80'}}", "is neither 'local' nor of the form tcp://HOST:PORT"),
      ("nodes: {a: {address: 'tcp://[1]:80'}}", "is neither 'local' nor of the form tcp://HOST:PORT"),
      ("nodes: {a: {address: 'tcp://a;b:80'}}", "is neither 'local' nor of the form tcp://HOST:PORT"),
      (
        "nodes: {a: {listen: 'tcp://0.0.0.0:80'}}",
        "f:1:21: node 'a' says where it listens and not at which port others reach it; write 'address: tcp://HOST:PORT' "
          + "beside it, or remove 'listen'"
      ),
      (
        "nodes: {a: {address: 'tcp://x:80', listen: 'tcp://x:80'}}",
        "f:1:44: a node cannot listen at the name of 'tcp://x:80'; write a numeric address of its machine, or "
          + "tcp://0.0.0.0:80 for all of them"
      ),
      (
        "nodes: {a: {address: 'tcp://x:80', listen: local}}",
        "f:1:44: the address 'local' is not of the form tcp://HOST:PORT; write tcp://0.0.0.0:7410"
      ),
      (
        "nodes: {a: {key: abc}}",
        "f:1:18: the public key 'abc' is not 40 characters of Z85; copy the whole line that 'hypha keys show' prints"
      ),
      (
        "security: {plain: yes}",
        "f:1:19: plain of security must be 'allowed' or 'refused', not 'yes'; write 'plain: allowed' where links "
          + "without keys may leave their machine"
      ),
      (
        "security: {keys: k, plain: allowed}",
        "f:1:28: security has keys, so no TCP link is plain; remove 'plain', or 'keys'"
      ),
      ("security: {key: k}", "f:1:12: security has an unknown key, 'key'; did you mean 'keys'?"),
    ] as [(String, String)])
  func `says what is wrong with an address, a key or the security`(line: String, problem: String) {
    let all = problems("\(line)\nhypha: 1\nname: n\nagents: {r: {kind: k, node: a}}\n")
    #expect(all.contains { $0.contains(problem) }, "\(all)")
  }

  // MARK: Together

  @Test func `links that other machines reach need keys, or a word`() throws {
    let remedy =
      "make keys with 'hypha keys generate --output keys hq ops' and add 'security: {keys: keys}', or say "
      + "'security: {plain: allowed}'"
    let exposed = """
        hq: {address: "tcp://127.0.0.1:7410", listen: "tcp://0.0.0.0:7410"}
        ops: {address: "tcp://10.0.0.7:7410"}
      """
    #expect(
      try linkProblems(exposed) == [
        "f:4:3: node 'hq' is at tcp://0.0.0.0:7410, which other machines reach, and its links are not encrypted; "
          + remedy,
        "f:5:3: node 'ops' is at tcp://10.0.0.7:7410, which other machines reach, and its links are not encrypted; "
          + remedy,
      ])
    #expect(try linkProblems(exposed, security: "{plain: allowed}") == [])
    #expect(try linkProblems(exposed, security: "{plain: refused}").count == 2)
    #expect(try linkProblems("  hq: {address: 'tcp://127.0.0.1:7410'}\n  ops: {}") == [])
  }

  @Test func `all nodes have keys or none, and each its own`() throws {
    #expect(
      try linkProblems("  hq: {key: '\(Self.keys[0])'}\n  ops: {}\n  lab: {key: '\(Self.keys[0])'}") == [
        "f:5:3: node 'ops' has no key, and other nodes have one; make one with 'hypha keys generate ops', and give it "
          + "as 'key:' or in the directory 'security: keys:'",
        "f:6:3: node 'lab' has the same key as node 'hq'; make each a pair of its own: hypha keys generate --force lab",
      ])
  }

  @Test func `a node that others reach by a name says where it listens`() throws {
    #expect(
      try linkProblems("  hq: {address: 'tcp://hq.example:7410'}", security: "{plain: allowed}") == [
        "f:4:3: node 'hq' is at tcp://hq.example:7410, and a node cannot listen at a name; say where it listens, such "
          + "as 'listen: tcp://0.0.0.0:7410'"
      ])
  }

  @Test func `addresses and keys do not make another topology of it`() throws {
    let one = try file("  hq: {}").topology
    let other = try file(
      "  hq: {address: 'tcp://10.0.0.1:7410', key: '\(Self.keys[0])'}", security: "{keys: k}"
    ).topology
    #expect(one.hash == other.hash)
  }

  // MARK: The environment

  private func overridden(_ environment: [String: String]) throws -> [NodeSpec] {
    let topology = try file("  hq: {address: 'tcp://10.0.0.1:7410'}\n  a.b: {}\n  a-b: {}").topology
    return try AddressOverrides(environment: environment).applied(to: topology).nodes
  }

  @Test func `variables replace addresses of the file`() throws {
    let nodes = try overridden([
      "HYPHA_ADDRESS_HQ": "tcp://hq:9000", "HYPHA_LISTEN_HQ": "tcp://*:9000", "HYPHA_ADDRESS_NONE": "",
      "OTHER": "x", "HYPHA_KEY": "y",
    ])
    #expect(
      nodes.first
        == NodeSpec(id: "hq", address: .tcp(host: "hq", port: 9000), listen: .tcp(host: "*", port: 9000)))
    #expect(try overridden(["HYPHA_ADDRESS_HQ": "local"]).first == NodeSpec(id: "hq"))
    let topology = try Topology(
      name: "n", nodes: [NodeSpec(id: "hq", listen: .tcp(host: "127.0.0.1", port: 1))],
      agents: [AgentSpec(id: "a", kind: "k", node: "hq")])
    #expect(topology.linkProblems().map(\.node) == ["hq"])
    #expect(nodes.dropFirst().allSatisfy { $0.address == .local && $0.listen == nil })
  }

  @Test(
    arguments: [
      (
        "HYPHA_ADDRESS_QH", "tcp://x:1",
        "HYPHA_ADDRESS_QH names no node of 'n'; did you mean HYPHA_ADDRESS_HQ?"
      ),
      (
        "HYPHA_LISTEN_hq", "tcp://x:1",
        "HYPHA_LISTEN_hq names no node of 'n'; did you mean HYPHA_LISTEN_HQ?"
      ),
      (
        "HYPHA_ADDRESS_A_B", "tcp://x:1",
        "HYPHA_ADDRESS_A_B could mean node 'a.b' or 'a-b'; write that address into the topology file, or rename one of the "
          + "nodes"
      ),
      (
        "HYPHA_ADDRESS_HQ", "x:1",
        "HYPHA_ADDRESS_HQ: the address 'x:1' is neither 'local' nor of the form tcp://HOST:PORT; write "
          + "tcp://127.0.0.1:7410, or leave the address out"
      ),
    ] as [(String, String, String)])
  func `a variable that fits no node, two nodes or no address is refused`(
    variable: String, value: String, problem: String
  ) {
    #expect {
      try overridden([variable: value])
    } throws: {
      "\($0)" == "invalidTopology: \(problem)"
    }
  }
}
