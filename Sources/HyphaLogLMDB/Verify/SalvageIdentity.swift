import HyphaCore
import HyphaLog

/// Whose log a damaged file is.
///
/// The log says so itself in a row of its own. Where that is lost, the index beside it has the log's id, and the
/// directory has the node's name where the deployment laid it out. The chain of hashes begins with both, so the first block
/// proves them, and what an operator states as well. Without that block the operator is believed. Records do not tell:
/// their agents may have moved between nodes, and no record names the log.
struct SalvageIdentity {
  let identity: LogIdentity
  /// Where it is from, where the log does not say so itself.
  private(set) var notes: [String] = []

  /// - Throws: ``HyphaError/Code/logInvalid`` where nothing says whose log it is, ``HyphaError/Code/invalidInput`` where
  ///   the log is another than `stated`.
  init(
    _ directory: String, _ rows: RowsByTable, _ scan: BlockScan, _ file: RawFile, stated: StatedOwner
  ) throws {
    if let known = Self.known(rows, scan) {
      guard stated.node ?? known.node == known.node, stated.id ?? known.id == known.id else {
        throw Self.isAnother(known)
      }
      identity = known
      return
    }
    let ids = stated.id.map { [$0] } ?? Self.idsInIndex(of: directory)
    let nodes = stated.node.map { [$0] } ?? [Self.name(of: directory)].compactMap { $0 }
    let first = scan.blocks.filter { $0.first == 1 && $0.isWhole }.compactMap { $0.bytes(in: file) }
    for id in ids {
      for node in nodes {
        let candidate = LogIdentity(id: id, node: node)
        let begin = HashChain(of: candidate).head
        let isProven = first.contains { $0.withUnsafeBytes { BlockProof.isLinked($0, after: begin) } }
        guard isProven || first.isEmpty && stated.node != nil else { continue }
        identity = candidate
        notes.append(
          "the log does not say itself any more that it is \(id) of node \(node); "
            + (isProven ? "its first block proves it" : "nothing proves it"))
        return
      }
    }
    if let id = stated.id, let node = stated.node { throw Self.isNot(LogIdentity(id: id, node: node)) }
    guard let node = stated.node, stated.id == nil else {
      throw HyphaError(
        .logInvalid, "nothing in the file says whose log it is: \(file.byteCount) bytes were searched",
        remedy:
          "give --node NAME and --log-id ID, as a signed head or a backup has them; with --node alone the new "
          + "log gets a new id; or restore it from a copy")
    }
    let newest = Timestamp(rawValue: scan.blocks.map(\.time).max() ?? 0)
    identity = LogIdentity(id: EventID(time: newest, random: .random(in: .min ... .max)), node: node)
    notes.append(
      "the log's id is lost, so this is a new log with the entries of the old one: heads that were signed before are "
        + "those of another log, and the link of its first block is a finding")
  }

  /// What the log says itself; nil where that is lost.
  static func known(_ rows: RowsByTable, _ scan: BlockScan) -> LogIdentity? {
    // What was read along LMDB's trees comes first; else what most pages say.
    let pages = scan.identities.sorted { $0.value > $1.value }.map(\.key)
    return (rows.state(TableLayout.identityKey) ?? pages.first).flatMap(open)
  }

  private static func isAnother(_ known: LogIdentity) -> HyphaError {
    HyphaError(
      .invalidInput, "the file says that it is the log \(known.id) of node \(known.node)",
      remedy: "leave out --node and --log-id, or give these")
  }

  private static func isNot(_ stated: LogIdentity) -> HyphaError {
    HyphaError(
      .invalidInput,
      "the file is not the log \(stated.id) of node \(stated.node): its first block does not follow "
        + "from these", remedy: "look for the id and the name in a signed head or a backup")
  }

  private static func open(_ sealed: [UInt8]) -> LogIdentity? {
    TableLayout.identityKey.withUnsafeBytes { key in
      sealed.withUnsafeBytes { sealed in
        guard var reader = try? TableLayout.unseal(sealed, key: key, table: "state") else { return nil }
        return try? TableLayout.identity(&reader)
      }
    }
  }

  /// The node that a directory is named for: a deployment keeps each one's data under its name.
  private static func name(of directory: String) -> NodeID? {
    FileTree.trimmed(directory).split(separator: "/").last.flatMap { try? NodeID(String($0)) }
  }

  /// The logs that the index beside a log was made of, as its pages say, the newest commit's first.
  private static func idsInIndex(of directory: String) -> [EventID] {
    let index = DataDirectory(path: directory).index
    guard let file = try? RawFile(DataDirectory.dataFile(in: index)) else { return [] }
    var found: [EventID: UInt64] = [:]
    let size = BlockScan.pageByteCount
    for number in 2..<UInt64(max(2, file.byteCount / size)) {
      file.bytes(at: Int(number) * size, count: size).withUnsafeBytes { bytes in
        guard let page = TreePage(bytes, number: number, isLeaf: true) else { return }
        for place in 0..<page.count {
          guard let node = page.node(place), node.key.elementsEqual(IndexMeta.key),
            case .value(let value) = node.content,
            var reader = try? TableLayout.unseal(value, key: node.key, table: "meta"),
            let meta = try? IndexMeta(&reader)
          else { continue }
          found[meta.log] = max(found[meta.log] ?? 0, meta.commitNumber)
        }
      }
    }
    return found.sorted { $0.value > $1.value }.map(\.key)
  }
}
