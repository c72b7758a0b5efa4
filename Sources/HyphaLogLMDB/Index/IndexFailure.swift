import HyphaCore

/// The errors of the index. They never reach a reader of the log: a read that meets one goes on by scanning.
enum IndexFailure {
  static let remedy = "run 'hypha log reindex'; until then reads scan the log"

  static func damaged(_ what: String, cause: String? = nil) -> HyphaError {
    HyphaError(.logInvalid, "the index is damaged: \(what)", remedy: remedy, cause: cause)
  }

  /// What the index's own thread met in the index, told apart from damage of the log.
  struct Damage: Error { let error: HyphaError }

  static func from(_ error: any Error) -> HyphaError {
    (error as? Damage)?.error ?? error as? HyphaError
      ?? HyphaError(.logFailed, "the index failed", remedy: remedy, cause: "\(error)")
  }
}
