import HyphaCore

/// The settings of an `exec` agent.
struct ExecSettings: Decodable {
  /// The program: a path with `/`, or a name that is looked up in the node's `PATH`.
  var command: String
  /// Its arguments.
  var arguments: [Word]?
  /// Variables beside those of the node, which they replace.
  var environment: [String: Word]?
  /// Where it is started. Default: the topology file's directory.
  var directory: String?
  /// Which of the event types that it publishes are alerts.
  var alerts: [String]?

  /// A text, or a number or truth value as YAML may take it.
  struct Word: Decodable {
    let text: String

    init(from decoder: any Decoder) throws {
      switch try JSONValue(from: decoder) {
      case .string(let text): self.text = text
      case .integer(let value): text = "\(value)"
      case .unsigned(let value): text = "\(value)"
      case .number(let value): text = "\(value)"
      case .bool(let value): text = "\(value)"
      default:
        throw DecodingError.dataCorrupted(
          .init(codingPath: decoder.codingPath, debugDescription: "it is no text; put it in quotes"))
      }
    }
  }

  /// Throws what cannot be given to a program.
  func check() throws {
    let names = (environment ?? [:]).keys
    let texts = [command, directory ?? ""] + (arguments ?? []).map(\.text) + names
    guard !command.isEmpty, !texts.contains(where: { $0.utf8.contains(0) }),
      !(environment ?? [:]).values.contains(where: { $0.text.utf8.contains(0) })
    else {
      throw HyphaError(
        .invalidTopology, "the command is empty, or has a zero byte in it",
        remedy: "name a program, such as 'command: python3'")
    }
    for name in alerts ?? [] { _ = try EventTypeName(name) }
    if let name = names.sorted().first(where: { $0.isEmpty || $0.contains("=") }) {
      throw HyphaError(
        .invalidTopology, "'\(name.shown(80))' cannot name a variable of the environment", remedy: "rename it"
      )
    }
  }

  /// The program as error texts name it.
  var name: String { ([command] + (arguments ?? []).map(\.text)).joined(separator: " ").shown(120) }

  /// Program and arguments, as the program gets them.
  var words: [String] { [command] + (arguments ?? []).map(\.text) }

  /// The variables, on top of those of the node.
  func variables(of agent: AgentID, beside inherited: [String: String]) -> [String: String] {
    let own = (environment ?? [:]).mapValues(\.text)
    return inherited.merging(["HYPHA_AGENT": agent.text]) { $1 }.merging(own) { $1 }
  }
}
