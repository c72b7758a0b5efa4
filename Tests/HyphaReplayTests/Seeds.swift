import Foundation
import HyphaCore
import Testing

extension SeededGenerator {
  /// `HYPHA_SEED` where it is set, else a new one.
  static var seed: UInt64 {
    ProcessInfo.processInfo.environment["HYPHA_SEED"].flatMap { UInt64($0) } ?? .random(in: 1...999_999)
  }
}

/// Expects an error of `code` whose line has all of `words`.
func expectError(
  _ code: HyphaError.Code, _ words: String..., at location: SourceLocation = #_sourceLocation,
  _ body: () throws -> Void
) {
  do {
    try body()
    Issue.record("nothing was thrown", sourceLocation: location)
  } catch let error as HyphaError {
    #expect(error.code == code, "\(error)", sourceLocation: location)
    for word in words { #expect(error.description.contains(word), "\(error)", sourceLocation: location) }
  } catch {
    Issue.record("not an error of Hypha's: \(error)", sourceLocation: location)
  }
}
