import Foundation
import Glibc
import HyphaCore

/// Asks a running node to do something, over the socket in its data directory.
enum OperatorClient {
  /// How long a node may be silent before the caller gives up.
  static let patience = Duration.seconds(120)

  /// What the node of a data directory answers to a request; nil where none runs there.
  ///
  /// - Parameters:
  ///   - patience: how long the node may be silent.
  ///   - progress: is told how far the operation has come, on a thread of the request's own.
  /// - Throws: the node's error; ``HyphaError/Code/failed`` where it ends, or is silent for too long.
  static func ask<Result: Decodable & Sendable>(
    _ directory: String, _ request: OperatorRequest, as type: Result.Type,
    within patience: Duration = patience,
    progress: @escaping @Sendable (String) -> Void = { _ in }
  ) async throws -> Result? {
    try await onThread { try exchange(directory, request, as: type, patience, progress: progress) }
  }

  /// Whether the node of a data directory runs and answers at once, as one that is stopped or stuck does not.
  static func isAnswering(_ directory: String) async throws -> Bool {
    let request = try OperatorRequest("status", by: authority(nil), parameters: [String: Int]())
    return try await ask(directory, request, as: JSONValue.self, within: .seconds(2)) != nil
  }

  /// What `body` returns, which may block: it runs on a thread of its own.
  static func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws
    -> Result
  {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { continuation.resume(with: Swift.Result { try body() }) }
    }
  }

  private static func exchange<Result: Decodable>(
    _ directory: String, _ request: OperatorRequest, as type: Result.Type, _ patience: Duration,
    progress: (String) -> Void
  ) throws -> Result? {
    guard let descriptor = try OperatorSocket.connect(to: directory) else { return nil }
    defer { close(descriptor) }
    var connection = OperatorConnection(descriptor)
    guard connection.write(try OperatorMessage.line(request), within: patience) else {
      throw lost(directory, "it takes no request")
    }
    while true {
      let answer: OperatorAnswer
      do {
        let line = try connection.readLine(
          byteCountMax: OperatorMessage.answerByteCountMax, within: patience)
        answer = try JSON.decode(OperatorAnswer.self, from: line)
      } catch OperatorConnection.Ending.late {
        throw lost(directory, "it has not answered within \(patience)")
      } catch {
        throw lost(directory, "it has ended without an answer")
      }
      if let failure = answer.error { throw HyphaError(failure) }
      if let result = answer.result { return try JSON.decode(type, from: JSON.encode(result)) }
      if let text = answer.progress { progress(text) }
    }
  }

  private static func lost(_ directory: String, _ what: String) -> HyphaError {
    HyphaError(
      .failed, "the node of \(directory) was asked, and \(what)",
      remedy: "look at the node, and at what its log says before you ask again")
  }

  /// The name under which an operator acts: as given, or the user's.
  static func authority(_ given: AgentID?) -> AgentID {
    let user = ProcessInfo.processInfo.environment["USER"] ?? ""
    return given ?? AgentID(slug: user.isEmpty ? "operator" : user)
  }
}
