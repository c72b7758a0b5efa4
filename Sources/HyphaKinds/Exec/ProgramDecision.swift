import HyphaCore
import HyphaReplay
import HyphaRuntime

/// What a program says about decisions: that it asks for one (`hypha.decide`), or how it answers one that was put before it
/// (`hypha.grant`, `hypha.reject`).
enum ProgramDecision: Sendable, Hashable {
  case ask(Request)
  case answer(decision: EventID, isGranted: Bool, reason: String?)

  /// A decision that is asked for, by its parts.
  struct Request: Sendable, Hashable, Decodable {
    var kind: String
    var request: JSONValue?
    var by: AgentID?
    var role: String?
    var amount: Int64?
  }

  private struct Answer: Decodable {
    var decision: EventID
    var reason: String?
  }

  private static let (decide, grant, reject) = ("hypha.decide", "hypha.grant", "hypha.reject")

  /// A line that asks for a decision, and so for a line in return.
  struct Line: Sendable, Hashable {
    /// What the program calls it.
    var id: String?

    /// Nil where the line asks for none.
    init?(_ line: CloudEventLine, type: String) {
      guard type == ProgramDecision.decide else { return nil }
      id = line.text("id")
    }
  }

  /// What a line says; nil where it is of another type.
  ///
  /// - Throws: ``HyphaError/Code/invalidPayload`` for data that does not fit.
  init?(_ line: CloudEventLine, type: String) throws {
    guard [Self.decide, Self.grant, Self.reject].contains(type) else { return nil }
    do {
      let bytes = try line.data().bytes
      if type == Self.decide {
        self = .ask(try JSON.decode(Request.self, from: bytes))
      } else {
        let answer = try JSON.decode(Answer.self, from: bytes)
        self = .answer(decision: answer.decision, isGranted: type == Self.grant, reason: answer.reason)
      }
    } catch {
      throw HyphaError(
        .invalidPayload, "the program said '\(type)' with data that does not fit", remedy: "see docs/exec.md",
        cause: "\(error)")
    }
  }

  /// Does what it says. Returns the decision's id where one is asked for.
  func carryOut(in context: Context) throws -> EventID? {
    switch self {
    case .ask(let asked):
      return try context.decide(
        raw: asked.request ?? .null, kind: asked.kind, by: asked.by, role: asked.role,
        amount: asked.amount ?? 0
      )
    case .answer(let decision, let isGranted, let reason):
      try context.answer(decision, isGranted: isGranted, because: reason)
      return nil
    }
  }

  /// The line that tells the program what became of what it asked for: at once, within the input.
  static func reply(to line: Line, in input: String, _ result: Result<EventID?, any Error>) -> [UInt8] {
    struct Reply: Encodable {
      struct Data: Encodable {
        var decision: EventID?
        var error: String?
      }
      var specversion = "1.0"
      var id: String
      var source = "/hypha"
      var type: String
      var causationid: String
      var replyto: String?
      var data: Data
    }
    let reply: Reply
    switch result {
    case .success(let id):
      reply = Reply(
        id: "\(id ?? .none)", type: "hypha.deciding", causationid: input, replyto: line.id,
        data: .init(decision: id))
    case .failure(let error):
      let text = (error as? HyphaError)?.description ?? "\(error)"
      reply = Reply(
        id: "0", type: "hypha.refused", causationid: input, replyto: line.id,
        data: .init(error: text.oneLine(2000)))
    }
    return ((try? Array(JSON.encode(reply))) ?? Array("{}".utf8)) + [0x0A]
  }
}
