import HyphaCore
import HyphaTransport

/// `hypha keys generate NODE…`: a key pair for each node.
struct KeysGenerateCommand: Command {
  static let configuration = CommandConfiguration(
    name: "generate", abstract: "Make a key pair for each node.",
    discussion: """
      Writes NODE.public and NODE.private for each node, for CurveZMQ. Every node needs the public keys of all, from \
      the directory that the topology file names (security: {keys: keys}) or as 'key:' of each node. A private key \
      belongs on its node alone: its file has mode 0600, in a directory with mode 0700, and it is never printed.

      A node finds its private key by 'run --key FILE', by the environment variable HYPHA_KEY, which names the file, \
      or as NODE.private in the directory of keys.
      """,
    examples: ["hypha keys generate --output keys hq ops", "hypha keys generate --output keys --force ops"])

  @Argument(help: "The names of the nodes.", valueName: "node") var nodes: [String]
  @Option(
    name: .shortAndLong, help: "The directory to write to.", valueName: "directory", completion: .directory)
  var output = "keys"
  @Flag(help: "Replace pairs that are there already.") var force = false
  @Flag(help: "Print the public keys as JSON, one a line.") var json = false

  private struct Row: Encodable {
    let node: NodeID
    let key: LinkKey
    let publicFile: String
    let privateFile: String
  }

  func run() async throws {
    let keys = try Program.require().keys
    var names: [NodeID] = []
    for name in try nodes.map({ try NodeID($0) }) where !names.contains(name) { names.append(name) }
    let files = KeyFiles(directory: output)
    try files.prepare()
    // All or none.
    if !force { try names.forEach(files.checkFree) }
    var rows: [Row] = []
    for node in names {
      let pair = try keys.makePair()
      try files.write(pair, of: node, replacing: force)
      rows.append(
        Row(
          node: node, key: pair.key, publicFile: files.publicPath(of: node),
          privateFile: files.privatePath(of: node)))
    }
    if json {
      for row in rows { try Output.standard.writeLine(JSON.text(row)) }
      return
    }
    var table = Table([.init("node"), .init("public key"), .init("private key")])
    for row in rows { table.add([.string(row.node.text), .string(row.key.text), .string(row.privateFile)]) }
    for line in table.lines(style: Terminal.current.style()) { try Output.standard.writeLine(line) }
    try Output.standard.writeLine()
    try Output.standard.writeLine("next: say 'security: {keys: \(output)}' in the topology file;")
    try Output.standard.writeLine(
      "      bring all .public files to every node, each .private file to its own alone")
  }
}
