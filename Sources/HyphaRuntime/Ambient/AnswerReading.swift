public import HyphaCore
public import HyphaLog
import HyphaTopology

/// The copies of answers to ambient questions that a node has for its agents, as its log has them.
public enum AnswerReading {
  /// One copy.
  public struct Copy: Sendable {
    public var entry: LogEntry
    public var answer: AnswerShared
    /// When the answerer began to answer.
    public var answeredAt: Timestamp { Timestamp(rawValue: answer.answeredAt) }
  }

  private struct Question: Hashable {
    var answerer: AgentID
    var type: EventTypeName
    var question: JSONValue
  }

  /// The newest copy of each answerer and question; by answerer, type and place.
  ///
  /// - Complexity: a read for each copy in the log.
  public static func newest(in log: some LogReader) throws -> [Copy] {
    let author = log.identity.node.author
    var query = LogQuery()
    query.types = [AnswerShared.eventType]
    var newest: [Question: Copy] = [:]
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      for entry in page.entries where entry.record.addressee == author {
        let answer = try AnswerShared.decode(entry.record)
        let question = Question(answerer: answer.answerer, type: answer.type, question: answer.question)
        if let known = newest[question], known.answer.version >= answer.version { continue }
        newest[question] = Copy(entry: entry, answer: answer)
      }
      cursor = page.next
    } while cursor != nil
    return newest.values.sorted {
      ($0.answer.answerer, $0.answer.type, $0.entry.position) < (
        $1.answer.answerer, $1.answer.type, $1.entry.position
      )
    }
  }
}
