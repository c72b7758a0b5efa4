/// A type that one word of the command line can spell.
///
/// Enums with string raw values need no code of their own: `enum Format: String, CaseIterable,
/// ExpressibleByArgument { case table, json }`. With `CaseIterable`, help, completion and errors list the values.
public protocol ExpressibleByArgument: ArgumentValue where ArgumentElement == Self {
  /// The value that `argument` spells, or nil when it spells none.
  init?(argument: String)

  /// As ``init(argument:)``, for types that can say why they refuse: a thrown `HyphaError` becomes part
  /// of the message. The default calls ``init(argument:)`` and throws ``ArgumentRefusal``.
  static func parse(argument: String) throws -> Self

  /// What fits, as a noun phrase for "give …": `a whole number`.
  static var argumentDescription: String { get }

  /// Every spelling, when they are few; otherwise empty.
  static var allowedArguments: [String] { get }

  /// The spelling of this value, for the default that help shows.
  var argumentText: String { get }
}

/// A word does not spell a value of the type asked for; the parser adds which argument it was meant for.
public struct ArgumentRefusal: Error, Sendable {
  /// A refusal without a reason of its own.
  public init() {}
}

/// What a property of a ``Command`` may hold: one value, an optional value or an array of values.
///
/// Conform to ``ExpressibleByArgument`` instead; `Optional` and `Array` of such a type follow.
public protocol ArgumentValue: Sendable {
  /// The type of one value.
  associatedtype ArgumentElement: ExpressibleByArgument
  /// How many values the property takes.
  static var argumentArity: ArgumentArity { get }
  /// What the property holds when it has no default and the command line gives nothing; nil: it must be given.
  static var valueWhenAbsent: Self? { get }
  /// The property's value after `earlier`, which came from the command line too, and then `element`.
  static func joining(_ element: ArgumentElement, to earlier: Self?) -> Self
  /// The spelling of each value.
  var argumentTexts: [String] { get }
}

/// How many values a property takes.
public enum ArgumentArity: Sendable {
  /// Exactly one, or the default.
  case one
  /// One or none.
  case optional
  /// Any number, in the order of the command line.
  case repeated
}

extension ExpressibleByArgument {
  /// Calls ``init(argument:)``.
  public static func parse(argument: String) throws -> Self {
    guard let value = Self(argument: argument) else { throw ArgumentRefusal() }
    return value
  }

  /// A value of this type.
  public static var argumentDescription: String { "another value" }
  /// No list of spellings.
  public static var allowedArguments: [String] { [] }
  /// The value as string interpolation prints it.
  public var argumentText: String { "\(self)" }

  /// Exactly one.
  public static var argumentArity: ArgumentArity { .one }
  /// Nothing: the value must be given.
  public static var valueWhenAbsent: Self? { nil }
  /// The later value wins.
  public static func joining(_ element: Self, to earlier: Self?) -> Self { element }
  /// The one spelling.
  public var argumentTexts: [String] { [argumentText] }
}

extension ExpressibleByArgument where Self: CaseIterable {
  /// The spelling of every case.
  public static var allowedArguments: [String] { allCases.map(\.argumentText) }
}

extension ExpressibleByArgument where Self: RawRepresentable, RawValue: ExpressibleByArgument {
  /// The case whose raw value `argument` spells.
  public init?(argument: String) {
    guard let rawValue = RawValue(argument: argument), let value = Self(rawValue: rawValue) else {
      return nil
    }
    self = value
  }

  /// The spelling of the raw value.
  public var argumentText: String { rawValue.argumentText }
  /// As for the raw value.
  public static var argumentDescription: String { RawValue.argumentDescription }
}

extension Optional: ArgumentValue where Wrapped: ExpressibleByArgument {
  /// One or none.
  public static var argumentArity: ArgumentArity { .optional }
  /// nil.
  public static var valueWhenAbsent: Self? { .some(nil) }
  /// The later value wins.
  public static func joining(_ element: Wrapped, to earlier: Self?) -> Self { element }
  /// The spelling of the value, if there is one.
  public var argumentTexts: [String] { map { [$0.argumentText] } ?? [] }
}

extension Array: ArgumentValue where Element: ExpressibleByArgument {
  /// Any number.
  public static var argumentArity: ArgumentArity { .repeated }
  /// Nothing: an array without a default wants at least one value.
  public static var valueWhenAbsent: Self? { nil }
  /// Appends.
  public static func joining(_ element: Element, to earlier: Self?) -> Self { (earlier ?? []) + [element] }
  /// The spelling of each element.
  public var argumentTexts: [String] { map(\.argumentText) }
}

extension String: ExpressibleByArgument {
  /// The word itself.
  public init?(argument: String) { self = argument }
  /// Text.
  public static var argumentDescription: String { "text" }
}

extension Bool: ExpressibleByArgument {
  /// `true` or `false`.
  public init?(argument: String) { self.init(argument) }
  /// The two spellings.
  public static var allowedArguments: [String] { ["true", "false"] }
}

extension Double: ExpressibleByArgument {
  /// A finite decimal number, `-0.5` or `1e6`.
  public init?(argument: String) {
    guard let value = Double(argument), value.isFinite else { return nil }
    self = value
  }
  /// A number.
  public static var argumentDescription: String { "a number" }
}

extension ExpressibleByArgument where Self: FixedWidthInteger {
  /// A decimal number; `_` may separate thousands.
  public init?(argument: String) {
    let digits = argument.filter { $0 != "_" }
    guard argument.first?.isNumber == true || "+-".contains(argument.first ?? " ") else { return nil }
    self.init(digits, radix: 10)
  }

  /// The range in words.
  public static var argumentDescription: String {
    if isSigned { return "a whole number" }
    return bitWidth < 64 ? "a whole number from 0 to \(max)" : "a whole number, 0 or more"
  }
}

extension Int: ExpressibleByArgument {}
extension Int64: ExpressibleByArgument {}
extension UInt: ExpressibleByArgument {}
extension UInt16: ExpressibleByArgument {}
extension UInt32: ExpressibleByArgument {}
extension UInt64: ExpressibleByArgument {}
