import Foundation
import HyphaCore
public import HyphaLog

/// Heads of logs that somebody kept, and what the logs say to them.
///
/// An auditor keeps the lines of `log head` in a file; a node's log keeps what the other nodes have signed.
struct Witnesses {
  /// A head with the file, or the log and the position, that it was kept in.
  struct Kept {
    let file: String
    let head: SignedHead
    /// What is wrong with its signature; nil where it matches.
    let problem: String?
    /// The log that has taken it; nil where it is in a file of its own.
    var log: String?
    /// The directory that somebody named as a witness and that has the log; nil for a file, and for logs beside each other.
    var directory: String?
  }

  let kept: [Kept]
  /// The directories that somebody named as witnesses.
  private let directories: [String]

  /// Reads the heads in `files`, a line each, and those that logs in directories have taken, and checks their signatures.
  ///
  /// - Parameter logs: logs beside each other, which have taken heads of each other as well; one that cannot be read has
  ///   kept none.
  init(
    files: [String], logs: [String] = [], _ inspection: any LogInspection, _ stop: StopSignal
  ) throws {
    let directories = files.filter(Self.isDirectory)
    self.directories = directories
    let stated = try files.flatMap { file throws -> [Kept] in
      if directories.contains(file) {
        let taken = try DataPlaces.logs(in: file).flatMap { try Self.kept(by: $0, inspection, stop) }
        return taken.map { taken -> Kept in
          var kept = taken
          kept.directory = file
          return kept
        }
      }
      guard let data = FileManager.default.contents(atPath: file) else {
        throw HyphaError(
          .fileUnavailable, "\(file) cannot be read", remedy: "give a file that 'log head' was written to")
      }
      let lines = String(decoding: data, as: UTF8.self).split(separator: "\n")
      guard !lines.isEmpty else {
        throw HyphaError(
          .invalidInput, "\(file) has no signed head", remedy: "give a file that 'log head' was written to")
      }
      return try lines.map { line in
        do { return Self.checked(try SignedHead(String(line)), in: file, inspection) } catch let error
          as HyphaError
        {
          throw HyphaError(error.code, "\(file): \(error.problem)", remedy: error.remedy, cause: error.cause)
        }
      }
    }
    let seen = Set(stated.compactMap(\.log))
    kept =
      stated + logs.filter { !seen.contains($0) }.flatMap { (try? Self.kept(by: $0, inspection, stop)) ?? [] }
  }

  private static func isDirectory(_ path: String) -> Bool {
    var isDirectory: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue
  }

  private static func checked(_ head: SignedHead, in file: String, _ inspection: any LogInspection) -> Kept {
    do {
      try inspection.verifySignature(of: head)
      return Kept(file: file, head: head, problem: nil)
    } catch {
      return Kept(file: file, head: head, problem: (error as? HyphaError)?.problem ?? "\(error)")
    }
  }

  /// What is no head at all is nobody's witness.
  private static func kept(by log: String, _ inspection: any LogInspection, _ stop: StopSignal) throws
    -> [Kept]
  {
    try LogExamination(data: log, stop: stop).keptHeads().compactMap { position, line in
      guard let head = try? SignedHead(line) else { return nil }
      var kept = checked(head, in: "\(log) at \(position)", inspection)
      kept.log = log
      return kept
    }
  }

  /// The positions whose links decide.
  var positions: [Position] { Set(kept.map(\.head.head.position)).sorted() }

  /// What one log says to one head.
  struct Result: Encodable {
    let file: String
    let position: Position
    let agrees: Bool
    /// `agrees`, `behind`, `altered`, `other-log`, `other-key`, `pruned`, `quarantined`, `bad-signature`, `no-key`,
    /// `replaced`, `accepted` or `no-head`.
    let verdict: String
    let text: String
    /// Whether it speaks against the log: what a log has kept of another one may be older than what was pruned.
    let isAgainst: Bool
    /// The log that has kept it; nil for one from a file of its own.
    let keptBy: String?
    /// How many heads it speaks for.
    var headCount = 1
  }

  /// Compares the heads with a log. Of those that one log has kept and that agree, the newest speaks for all.
  ///
  /// - Parameters:
  ///   - key: the key that is trusted; nil where none is known.
  ///   - isOnly: whether heads of other logs are findings too, since there is no log beside this one.
  ///   - gone: what the log no longer has, which no head says anything of; nil where it has all.
  func compare(
    _ chain: ChainLookup, key: NodePublicKey?, isOnly: Bool, gone: String? = nil
  ) -> [Result] {
    let identity = LogIdentity(id: chain.id, node: chain.node)
    // A file that has this log's head may have those of its neighbours too.
    let files = Set(kept.filter { $0.head.head.log == identity }.map(\.file))
    var agreeing: [String: (place: Int, count: Int)] = [:]
    var results: [Result] = []
    for kept in kept
    where kept.head.head.log == identity || (isOnly && kept.log == nil && !files.contains(kept.file)) {
      let (verdict, text): (String, String)
      if let problem = kept.problem {
        (verdict, text) = ("bad-signature", problem)
      } else if let key {
        let finding = chain.compare(with: kept.head, key: key)
        let but = finding.agrees ? gone.map { "; of its entries \($0)" } ?? "" : ""
        (verdict, text) = (finding.word, finding.description + but)
      } else {
        (verdict, text) = (
          "no-key", "no key is known to trust; give --key with the one that the node's operator gave"
        )
      }
      let agrees = verdict == "agrees"
      if agrees, let log = kept.log {
        agreeing[log, default: (results.count, 0)].count += 1
        if agreeing[log]?.count != 1 { continue }
      }
      results.append(
        Result(
          file: kept.file, position: kept.head.head.position, agrees: agrees, verdict: verdict, text: text,
          isAgainst: !agrees && (kept.log == nil || !["pruned", "quarantined"].contains(verdict)),
          keptBy: kept.log))
    }
    for (place, count) in agreeing.values { results[place].headCount = count }
    return results
  }

  /// The directories named as witnesses in which no log has taken a head of any of these.
  func silent(on logs: [LogIdentity]) -> [String] {
    directories.filter { directory in
      !kept.contains { $0.directory == directory && logs.contains($0.head.head.log) }
    }
  }

  /// What a directory that has no head of a log says of it.
  static func noHead(in directory: String) -> Result {
    Result(
      file: directory, position: .start, agrees: false, verdict: "no-head",
      text: "no log there has taken a head of this one; give a node that it was connected to",
      isAgainst: true,
      keptBy: nil)
  }

  /// What is said of the other logs that the node of `log` has had, by the newest head that a log has taken of each: that
  /// this one stands in the place of another, which counts against it unless somebody accepts that.
  func replacements(of log: LogIdentity, others: [LogIdentity], isAccepted: Bool) -> [Result] {
    predecessors(of: [log]).filter { !others.contains($0.head.head.log) }.map { kept in
      let (node, before) = (kept.head.head.log.node, kept.head.head)
      let remedy =
        isAccepted
        ? "accepted by --accept-new \(node)"
        : "keep this directory as evidence; where the node began anew on purpose, such as after its disk was lost, give "
          + "--accept-new \(node)"
      return Result(
        file: kept.file, position: before.position, agrees: false,
        verdict: isAccepted ? "accepted" : "replaced",
        text:
          "node \(node) had another log then, \(before.log.id), up to position \(before.position) at least; \(remedy)",
        isAgainst: !isAccepted, keptBy: kept.log)
    }
  }

  /// The heads of none of these logs that are in files of their own.
  func strangers(to logs: [LogIdentity]) -> [Kept] {
    kept.filter { $0.log == nil && !logs.contains($0.head.head.log) }
  }

  /// The newest head, of those that logs have taken, of each node that none of these logs is of.
  func absent(from logs: [LogIdentity]) -> [Kept] {
    let newest = kept.filter { kept in
      kept.log != nil && kept.problem == nil && !logs.contains { $0.node == kept.head.head.log.node }
    }.sorted { $0.head.head.position > $1.head.head.position }
    var seen: Set<NodeID> = []
    return newest.filter { seen.insert($0.head.head.log.node).inserted }
      .sorted { $0.head.head.log.node.text < $1.head.head.log.node.text }
  }

  /// The newest head, of those that logs have taken, of each other log that a node of these has had.
  private func predecessors(of logs: [LogIdentity]) -> [Kept] {
    var seen: Set<LogIdentity> = []
    return kept.filter { kept in
      let log = kept.head.head.log
      return kept.log != nil && kept.problem == nil && !logs.contains(log)
        && logs.contains { $0.node == log.node } && seen.insert(log).inserted
    }
  }
}

extension LogVerification {
  /// What the log no longer has; nil where it has all.
  var goneInWords: String? {
    let parts = [(prunedCount, "pruned"), (quarantinedCount, "quarantined")].filter { $0.0 > 0 }
    guard !parts.isEmpty else { return nil }
    return parts.map { "\(Human.count($0.0)) are \($0.1)" }.joined(separator: " and ")
  }
}

extension WitnessCheck.Finding {
  /// The finding in one word.
  fileprivate var word: String {
    switch self {
    case .agrees: "agrees"
    case .behind: "behind"
    case .altered: "altered"
    case .otherLog: "other-log"
    case .otherKey: "other-key"
    case .pruned: "pruned"
    case .quarantined: "quarantined"
    }
  }
}

extension NodePublicKey: ExpressibleByArgument {
  /// The key that 64 hexadecimal digits spell.
  public init?(argument: String) { try? self.init(argument) }

  /// What to give.
  public static var argumentDescription: String { "64 hexadecimal digits" }
}
