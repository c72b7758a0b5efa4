import Synchronization

/// A short name made of ASCII letters, digits, `.`, `_` and `-`.
///
/// Agents, nodes and event types are named so. The grammar keeps a name usable as it stands in a wire
/// topic, a file name and a shell command.
public protocol Name: CheckedText, Comparable {
  /// What such a name names, for error texts: `agent id`.
  static var noun: String { get }
  /// The longest allowed name in bytes.
  static var byteCountMax: Int { get }
  /// Wraps text that is known to follow the grammar.
  init(unchecked text: String)
}

extension Name {
  /// A name from text of any origin.
  ///
  /// - Throws: ``HyphaError/Code/invalidName`` with the rule that was broken.
  public init(_ text: String) throws {
    guard text.withBytes(Self.admits) else { throw Self.refusal(of: text) }
    self.init(unchecked: text)
  }

  /// Names sort by their bytes, so the order is the same on every machine.
  public static func < (left: Self, right: Self) -> Bool {
    left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
  }

  /// Whether `byte` may stand in a name.
  static func allows(_ byte: UInt8) -> Bool { mayStandInName(byte) }

  /// Whether `bytes` are such a name. Text that is not must be told why, by ``init(_:)``.
  static func admits(_ bytes: UnsafeRawBufferPointer) -> Bool {
    isName(bytes, byteCountMax: byteCountMax)
  }

  private static func refusal(of text: String) -> HyphaError {
    let count = text.utf8.count
    guard count > 0, count <= byteCountMax else {
      return HyphaError(
        .invalidName, "the \(noun) '\(text.shown(80))' has \(count) bytes",
        remedy: "use 1 to \(byteCountMax)")
    }
    guard text != ".", text != ".." else {
      return HyphaError(
        .invalidName, "the \(noun) '\(text)' stands for a directory", remedy: "use a name of its own")
    }
    return HyphaError(
      .invalidName, "the \(noun) '\(text.shown())' has a character that is not allowed",
      remedy: "use letters, digits, '.', '_' and '-'")
  }
}

/// The grammar of names. It is not a member of the protocol, so that it is compiled once and for bytes.
private func isName(_ bytes: UnsafeRawBufferPointer, byteCountMax: Int) -> Bool {
  guard bytes.count > 0, bytes.count <= byteCountMax else { return false }
  for byte in bytes where !mayStandInName(byte) { return false }
  // A dot or two alone stand for a directory.
  return bytes.count > 2 || bytes[0] != UInt8(ascii: ".") || bytes[bytes.count - 1] != UInt8(ascii: ".")
}

private func mayStandInName(_ byte: UInt8) -> Bool {
  switch byte {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
    true
  default: false
  }
}

/// The id of an agent, unique in a deployment.
public struct AgentID: Name {
  public static var noun: String { "agent id" }
  public static var byteCountMax: Int { 63 }
  public let text: String
  public init(unchecked text: String) { self.text = text }

  /// The nearest valid id for free text such as a person's name: `Ana Müller` becomes `Ana-M-ller`.
  public init(slug text: String) {
    var bytes = text.utf8.prefix(Self.byteCountMax).map { Self.allows($0) ? $0 : UInt8(ascii: "-") }
    if bytes.allSatisfy({ $0 == UInt8(ascii: ".") }) { bytes = [UInt8(ascii: "-")] }
    self.init(unchecked: String(decoding: bytes, as: UTF8.self))
  }
}

/// The name of a node, unique in a deployment.
public struct NodeID: Name {
  public static var noun: String { "node name" }
  public static var byteCountMax: Int { 63 }
  public let text: String
  public init(unchecked text: String) { self.text = text }
}

/// The stable name of an event type, the same in every version of a program: `invoice.Approved`.
public struct EventTypeName: Name {
  public static var noun: String { "event type" }
  public static var byteCountMax: Int { 127 }
  public let text: String
  public init(unchecked text: String) { self.text = text }
}

extension EventTypeName {
  /// What a handler has taken that no log has, as its agent states it (docs/replay.md).
  public static let observed: EventTypeName = "hypha.Observed"
  /// What an agent's state was, as its node states it now and then (docs/replay.md).
  public static let stateCheckpointed: EventTypeName = "hypha.StateCheckpointed"
  /// What an agent with replicas has handled without another word, and its state (docs/guarantees.md).
  public static let inputsHandled: EventTypeName = "hypha.InputsHandled"
  /// What the replicas of a node are to know of an agent that leaves it, or has come to it (docs/guarantees.md).
  public static let moveKept: EventTypeName = "hypha.MoveKept"
  /// That the next alert has a deadline of its own.
  public static let alertDeadlineSet: EventTypeName = "hypha.AlertDeadlineSet"
  /// That an agent that was moved works on its new node (docs/topology.md).
  public static let agentArrived: EventTypeName = "hypha.AgentArrived"
  /// What agents state to nobody: it is in their own node's log alone, and travels nowhere.
  public static let toNobody: Set<EventTypeName> = [
    .observed, .stateCheckpointed, .inputsHandled, .moveKept, .alertDeadlineSet,
  ]
}

/// The names of Swift types, which to spell takes longer than to publish an event.
private let namesOfTypes = Mutex<[ObjectIdentifier: EventTypeName]>([:])

extension EventTypeName {
  /// The name that a Swift type has, with what a name may not have replaced.
  public init(of type: Any.Type) {
    let key = ObjectIdentifier(type)
    if let known = namesOfTypes.withLock({ $0[key] }) {
      self = known
    } else {
      let name = EventTypeName(slug: String(describing: type))
      namesOfTypes.withLock { $0[key] = name }
      self = name
    }
  }
}
