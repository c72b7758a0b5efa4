internal import Synchronization

/// A value given by its place on the command line.
///
/// Arguments fill in the order of declaration; an array takes all that remain and comes last.
@propertyWrapper
public struct Argument<Value: ArgumentValue>: Sendable {
  private var slot: Slot<Value>

  /// An argument with a default.
  ///
  /// - Parameters:
  ///   - wrappedValue: The default.
  ///   - help: One sentence for the help page.
  ///   - valueName: The name between angle brackets; the property's name if nil.
  ///   - completion: What the shell offers.
  ///   - isHidden: Whether help leaves it out.
  public init(
    wrappedValue: Value, help: String, valueName: String? = nil,
    completion: ArgumentCompletion = .automatic, isHidden: Bool = false
  ) {
    slot = Slot(
      .positional, value: wrappedValue, names: .init([]), help: help, valueName: valueName,
      completion: completion, isHidden: isHidden)
  }

  /// An argument without a default: required unless its type is optional.
  public init(
    help: String, valueName: String? = nil, completion: ArgumentCompletion = .automatic,
    isHidden: Bool = false
  ) {
    slot = Slot(
      .positional, value: nil, names: .init([]), help: help, valueName: valueName,
      completion: completion, isHidden: isHidden)
  }

  /// The value from the command line, or the default. Reading a required argument before parsing traps.
  public var wrappedValue: Value {
    get { slot.value }
    set { slot = slot.replaced(by: newValue) }
  }
}

/// A value given after a name: `--subject 'incident.>'`.
///
/// An array collects every occurrence; for other types the last one wins.
@propertyWrapper
public struct Option<Value: ArgumentValue>: Sendable {
  private var slot: Slot<Value>

  /// An option with a default.
  ///
  /// - Parameters:
  ///   - wrappedValue: The default.
  ///   - name: Its names; by default the property's in kebab-case, `mapSize` as `--map-size`.
  ///   - help: One sentence for the help page.
  ///   - valueName: The name between angle brackets; the long name if nil.
  ///   - completion: What the shell offers as the value.
  ///   - isHidden: Whether help leaves it out.
  public init(
    wrappedValue: Value, name: ArgumentName = .long, help: String, valueName: String? = nil,
    completion: ArgumentCompletion = .automatic, isHidden: Bool = false
  ) {
    slot = Slot(
      .option, value: wrappedValue, names: name, help: help, valueName: valueName,
      completion: completion, isHidden: isHidden)
  }

  /// An option without a default: required unless its type is optional.
  public init(
    name: ArgumentName = .long, help: String, valueName: String? = nil,
    completion: ArgumentCompletion = .automatic, isHidden: Bool = false
  ) {
    slot = Slot(
      .option, value: nil, names: name, help: help, valueName: valueName,
      completion: completion, isHidden: isHidden)
  }

  /// The value from the command line, or the default. Reading a required option before parsing traps.
  public var wrappedValue: Value {
    get { slot.value }
    set { slot = slot.replaced(by: newValue) }
  }
}

/// A switch: `--json`.
@propertyWrapper
public struct Flag: Sendable {
  private var slot: Slot<Bool>

  /// A flag, off unless it has another default.
  ///
  /// - Parameters:
  ///   - name: Its names; by default the property's in kebab-case.
  ///   - inverted: Whether `--no-<name>` turns it off; needed when the default is `true`.
  ///   - help: One sentence for the help page.
  ///   - isHidden: Whether help leaves it out.
  public init(
    wrappedValue: Bool = false, name: ArgumentName = .long, inverted: Bool = false, help: String,
    isHidden: Bool = false
  ) {
    slot = Slot(
      inverted ? .invertedFlag : .flag, value: wrappedValue, names: name, help: help, valueName: nil,
      completion: .none, isHidden: isHidden)
  }

  /// Whether the flag is on.
  public var wrappedValue: Bool {
    get { slot.value }
    set { slot = slot.replaced(by: newValue) }
  }
}

/// The arguments of an ``ArgumentGroup``, as if declared in the command itself.
@propertyWrapper
public struct OptionGroup<Group: ArgumentGroup>: Sendable {
  /// The group with its arguments.
  public var wrappedValue: Group

  /// A group with its defaults.
  public init() { wrappedValue = Group() }
}

/// The value of one property, shared by all copies of a command until one of them is assigned to, so that
/// the parser can fill what `Mirror` shows it.
private final class Slot<Value: ArgumentValue>: Sendable {
  let role: ArgumentRole
  let names: ArgumentName
  let help: String
  let valueName: String?
  let completion: ArgumentCompletion
  let isHidden: Bool
  private let initial: Value?
  private let given: Mutex<Value?>

  init(
    _ role: ArgumentRole, value: Value?, names: ArgumentName, help: String, valueName: String?,
    completion: ArgumentCompletion, isHidden: Bool, given: Value? = nil
  ) {
    self.role = role
    self.names = names
    self.help = help
    self.valueName = valueName
    self.completion = completion
    self.isHidden = isHidden
    self.initial = value
    self.given = Mutex(given)
  }

  var value: Value {
    guard let value = given.withLock({ $0 }) ?? initial ?? Value.valueWhenAbsent else {
      preconditionFailure("a required argument was read before the command line was parsed: \(help)")
    }
    return value
  }

  /// A slot of the same definition that holds `value`.
  func replaced(by value: Value) -> Slot {
    Slot(
      role, value: initial, names: names, help: help, valueName: valueName, completion: completion,
      isHidden: isHidden, given: value)
  }

  func definition(property: String) -> ArgumentDefinition {
    let kebab = kebabCase(property)
    let spellings = names.spellings(property: kebab)
    let texts = initial?.argumentTexts ?? []
    let longName = spellings.first { $0.hasPrefix("--") }?.dropFirst(2)
    return ArgumentDefinition(
      role: role, names: spellings, help: help,
      valueName: valueName ?? longName.map(String.init) ?? kebab,
      defaultText: texts.isEmpty || texts == [""] ? nil : texts.joined(separator: " "),
      allowedArguments: Value.ArgumentElement.allowedArguments,
      valueDescription: Value.ArgumentElement.argumentDescription,
      arity: Value.argumentArity, isRequired: initial == nil && Value.valueWhenAbsent == nil,
      completion: completion, isHidden: isHidden)
  }

  func take(_ text: String) throws {
    let element = try Value.ArgumentElement.parse(argument: text)
    given.withLock { $0 = Value.joining(element, to: $0) }
  }
}

/// A property of a command that the parser can fill.
protocol DeclaredArgument: Sendable {
  func definition(property: String) -> ArgumentDefinition
  func take(_ text: String) throws
}

/// A property of a command that holds further ones.
protocol DeclaredGroup: Sendable {
  var content: any ArgumentGroup { get }
}

extension Argument: DeclaredArgument {
  func definition(property: String) -> ArgumentDefinition { slot.definition(property: property) }
  func take(_ text: String) throws { try slot.take(text) }
}

extension Option: DeclaredArgument {
  func definition(property: String) -> ArgumentDefinition { slot.definition(property: property) }
  func take(_ text: String) throws { try slot.take(text) }
}

extension Flag: DeclaredArgument {
  func definition(property: String) -> ArgumentDefinition { slot.definition(property: property) }
  func take(_ text: String) throws { try slot.take(text) }
}

extension OptionGroup: DeclaredGroup {
  var content: any ArgumentGroup { wrappedValue }
}
