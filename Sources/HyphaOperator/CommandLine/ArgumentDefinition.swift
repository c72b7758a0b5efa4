/// What the parser, help and completion know about one argument.
struct ArgumentDefinition: Sendable {
  let role: ArgumentRole
  /// With dashes, in the order of declaration: `-s`, `--subject`. Empty for positional arguments.
  let names: [String]
  let help: String
  let valueName: String
  let defaultText: String?
  let allowedArguments: [String]
  let valueDescription: String
  let arity: ArgumentArity
  let isRequired: Bool
  let completion: ArgumentCompletion
  let isHidden: Bool

  /// How errors call the argument: `--subject` or `<path>`.
  var displayName: String { names.first { $0.hasPrefix("--") } ?? names.first ?? "<\(valueName)>" }

  /// Every name on the command line, `--no-` forms included.
  var spellings: [String] {
    guard role == .invertedFlag else { return names }
    return names + names.filter { $0.hasPrefix("--") }.map { "--no-" + $0.dropFirst(2) }
  }

  /// What completion offers, `.automatic` resolved.
  var resolvedCompletion: ArgumentCompletion {
    guard case .automatic = completion else { return completion }
    return allowedArguments.isEmpty ? .none : .values(allowedArguments)
  }
}

/// How an argument stands on the command line.
enum ArgumentRole: Sendable { case positional, option, flag, invertedFlag }

/// The names of an option or flag: `.long`, `.shortAndLong`, or a list such as `[.customLong("data"), .short]`.
public struct ArgumentName: ExpressibleByArrayLiteral, Hashable, Sendable {
  private enum Form: Hashable, Sendable { case long, short, custom(String) }
  private let forms: [Form]

  private init(_ form: Form) { forms = [form] }

  /// All the names in `names`.
  public init(_ names: [ArgumentName]) { forms = names.flatMap(\.forms) }

  /// All the names in `names`.
  public init(arrayLiteral names: ArgumentName...) { self.init(names) }

  /// `--` and the property's name in kebab-case.
  public static let long = ArgumentName(.long)
  /// `-` and the first letter of the property's name.
  public static let short = ArgumentName(.short)
  /// Both forms.
  public static let shortAndLong: ArgumentName = [.short, .long]
  /// `--name`.
  public static func customLong(_ name: String) -> ArgumentName { ArgumentName(.custom("--" + name)) }
  /// `-c`.
  public static func customShort(_ letter: Character) -> ArgumentName { ArgumentName(.custom("-\(letter)")) }

  /// The names with their dashes, for a property whose kebab-case name is `property`.
  func spellings(property: String) -> [String] {
    forms.map { form in
      switch form {
      case .long: "--" + property
      case .short: "-" + property.prefix(1)
      case .custom(let spelling): spelling
      }
    }
  }
}

/// What the shell offers where a value stands.
public enum ArgumentCompletion: Hashable, Sendable {
  /// The allowed values of the type, if it lists them; otherwise nothing.
  case automatic
  /// Names of files and directories.
  case file
  /// Names of directories.
  case directory
  /// These words.
  case values([String])
  /// Nothing.
  case none
}

/// An argument together with the property that takes its value.
struct BoundArgument: Sendable {
  let definition: ArgumentDefinition
  let property: any DeclaredArgument

  /// The arguments of `value` in the order of declaration, those of its groups in their place.
  static func all(of value: Any) -> [BoundArgument] {
    Mirror(reflecting: value).children.flatMap { child -> [BoundArgument] in
      if let group = child.value as? any DeclaredGroup { return all(of: group.content) }
      guard let property = child.value as? any DeclaredArgument, let label = child.label else { return [] }
      let name = label.hasPrefix("_") ? String(label.dropFirst()) : label
      return [BoundArgument(definition: property.definition(property: name), property: property)]
    }
  }
}

/// `mapSize` as `map-size`, `useHTTP2` as `use-http2`.
func kebabCase(_ name: String) -> String {
  var result = ""
  var previous: Character = "-"
  for character in name {
    if character.isUppercase, !previous.isUppercase, previous != "-" { result += "-" }
    result += character == "_" ? "-" : character.lowercased()
    previous = character
  }
  return result
}
