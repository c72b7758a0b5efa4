import HyphaCore

/// What an operator's program and a node say to each other over the node's socket (``OperatorSocket``).
///
/// Each message is one line of JSON, ended by a line feed. The program sends one ``OperatorRequest``; the node
/// answers with any number of ``OperatorAnswer/Body/progress(_:)`` and then with a result or an error, and closes.
enum OperatorMessage {
  /// The version of the messages. A node answers no other.
  static let version = 1
  /// The longest request in bytes, its line feed included.
  static let requestByteCountMax = 512 << 10
  /// The longest answer in bytes, its line feed included.
  static let answerByteCountMax = 16 << 20

  /// A message as it is sent.
  static func line(_ message: some Encodable) throws -> [UInt8] {
    Array(try JSON.encode(message)) + [UInt8(ascii: "\n")]
  }
}

/// What an operator asks of a node.
struct OperatorRequest: Codable, Sendable {
  /// ``OperatorMessage/version``.
  var hypha = OperatorMessage.version
  /// What is asked: the name of one of the node's operations.
  var request: String
  /// On whose authority.
  var by: AgentID
  /// What the operation needs to know; an object.
  var parameters: JSONValue

  /// A request by its parts.
  init(_ request: String, by: AgentID, parameters: some Encodable) throws {
    self.request = request
    self.by = by
    self.parameters = try JSON.decode(JSONValue.self, from: JSON.encode(parameters))
  }

  /// The request that a line spells.
  ///
  /// - Throws: ``HyphaError/Code/usage`` for any other line, and for one of another version.
  init(line: [UInt8]) throws {
    struct Version: Decodable { var hypha: Int }
    guard let version = try? JSON.decode(Version.self, from: line).hypha else {
      throw HyphaError(
        .usage, "a request is no line of JSON with its version",
        remedy: "send {\"hypha\":\(OperatorMessage.version),\"request\":…,\"by\":…,\"parameters\":{}}")
    }
    guard version == OperatorMessage.version else {
      throw HyphaError(
        .usage, "a request has version \(version), this node knows \(OperatorMessage.version)",
        remedy: "use the program of the node's version")
    }
    do {
      self = try JSON.decode(OperatorRequest.self, from: line)
    } catch {
      throw HyphaError(
        .usage, "a request lacks something, or has a bad name", remedy: "send request, by and parameters",
        cause: String("\(error)".prefix(200)))
    }
  }
}

/// What a node answers.
struct OperatorAnswer: Codable, Sendable {
  /// An error as it travels.
  struct Failure: Codable, Sendable {
    var code: String
    var problem: String
    var remedy: String?
    var cause: String?
  }

  /// ``OperatorMessage/version``.
  var hypha = OperatorMessage.version
  /// How far the operation has come, for the operator to see.
  var progress: String?
  /// What the operation has come to.
  var result: JSONValue?
  /// Why it has not.
  var error: Failure?

  static func progress(_ text: String) -> OperatorAnswer { OperatorAnswer(progress: text) }
  static func result(_ value: JSONValue) -> OperatorAnswer { OperatorAnswer(result: value) }

  static func failure(_ error: any Error) -> OperatorAnswer {
    guard let error = error as? HyphaError else {
      return OperatorAnswer(error: Failure(code: "failed", problem: "\(error)"))
    }
    return OperatorAnswer(
      error: Failure(
        code: error.code.description, problem: error.problem, remedy: error.remedy, cause: error.cause))
  }
}

extension HyphaError {
  /// The error that a node has answered with.
  init(_ failure: OperatorAnswer.Failure) {
    let known: [Code] = [.usage, .logFull, .logLocked, .logInvalid, .logFailed, .fileUnavailable]
    let code = known.first { $0.description == failure.code } ?? .failed
    self.init(code, failure.problem, remedy: failure.remedy, cause: failure.cause)
  }
}
