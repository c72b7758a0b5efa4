public import HyphaCore

/// One question as the observer knows it: who answers it, its type, and a number that follows from what it asks.
///
/// Its text, `shop/Price#0f3a…`, is how operators name it. Two questions may share a number: the observer takes them for one
/// then, and nobody is ever given the answer of another, since whoever looks an answer up compares the questions themselves.
public struct QuestionKey: Sendable, Hashable, Codable, Comparable, CustomStringConvertible {
  public let answerer: AgentID
  public let type: EventTypeName
  /// FNV-1a over the question's JSON.
  public let hash: UInt64

  public init(_ answerer: AgentID, _ type: EventTypeName, hash: UInt64) {
    (self.answerer, self.type, self.hash) = (answerer, type, hash)
  }

  /// The key of a question's JSON.
  public init(_ answerer: AgentID, _ type: EventTypeName, of question: some Sequence<UInt8>) {
    self.init(answerer, type, hash: Self.hash(question))
  }

  /// The key that a text names; nil for another text.
  public init?(_ text: String) {
    guard let mark = text.lastIndex(of: "#"), let slash = text[..<mark].lastIndex(of: "/"),
      let hash = UInt64(text[text.index(after: mark)...], radix: 16),
      let answerer = try? AgentID(String(text[..<slash])),
      let type = try? EventTypeName(String(text[text.index(after: slash)..<mark]))
    else { return nil }
    self.init(answerer, type, hash: hash)
  }

  public var description: String {
    let digits = String(hash, radix: 16)
    return "\(answerer)/\(type)#\(String(repeating: "0", count: 16 - digits.count))\(digits)"
  }

  public static func < (left: Self, right: Self) -> Bool {
    if left.answerer != right.answerer { return left.answerer < right.answerer }
    return left.type == right.type ? left.hash < right.hash : left.type < right.type
  }

  /// The number of some bytes, on every machine and in every run.
  public static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
    bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }
}
