import Foundation
import HyphaCore
public import HyphaLog

/// Heads of logs that somebody kept, and what the logs say to them.
struct Witnesses {
  /// A head with the file that it was kept in.
  struct Kept {
    let file: String
    let head: SignedHead
    /// What is wrong with its signature; nil where it matches.
    let problem: String?
  }

  let kept: [Kept]

  /// Reads the heads in `files`, a line each, and checks their signatures.
  init(files: [String], _ inspection: any LogInspection) throws {
    kept = try files.flatMap { file in
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
        let head: SignedHead
        do { head = try SignedHead(String(line)) } catch let error as HyphaError {
          throw HyphaError(error.code, "\(file): \(error.problem)", remedy: error.remedy, cause: error.cause)
        }
        do {
          try inspection.verifySignature(of: head)
          return Kept(file: file, head: head, problem: nil)
        } catch let error as HyphaError {
          return Kept(file: file, head: head, problem: error.problem)
        }
      }
    }
  }

  /// The positions whose links decide.
  var positions: [Position] { Set(kept.map(\.head.head.position)).sorted() }

  /// What one log says to one head.
  struct Result: Encodable {
    let file: String
    let position: Position
    let agrees: Bool
    /// `agrees`, `behind`, `altered`, `other-log`, `other-key`, `pruned`, `quarantined`, `bad-signature` or `no-key`.
    let verdict: String
    let text: String
  }

  /// Compares the heads with a log.
  ///
  /// - Parameters:
  ///   - key: the key that is trusted; nil where none is known.
  ///   - isOnly: whether heads of other logs are findings too, since there is no log beside this one.
  func compare(_ chain: ChainLookup, key: NodePublicKey?, isOnly: Bool) -> [Result] {
    let identity = LogIdentity(id: chain.id, node: chain.node)
    // A file that has this log's head may have those of its neighbours too.
    let files = Set(kept.filter { $0.head.head.log == identity }.map(\.file))
    return kept.filter { kept in
      kept.head.head.log == identity || (isOnly && !files.contains(kept.file))
    }.map { kept in
      let (verdict, text): (String, String)
      if let problem = kept.problem {
        (verdict, text) = ("bad-signature", problem)
      } else if let key {
        let finding = chain.compare(with: kept.head, key: key)
        (verdict, text) = (finding.word, finding.description)
      } else {
        (verdict, text) = (
          "no-key", "no key is known to trust; give --key with the one that the node's operator gave"
        )
      }
      return Result(
        file: kept.file, position: kept.head.head.position, agrees: verdict == "agrees", verdict: verdict,
        text: text)
    }
  }

  /// The heads of none of these logs.
  func strangers(to logs: [LogIdentity]) -> [Kept] { kept.filter { !logs.contains($0.head.head.log) } }
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
