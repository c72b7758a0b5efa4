import Glibc

/// The keys of the terminal that standard input is, one by one and without an echo, for as long as the object lives.
///
/// Ctrl-C stays what it is. For one thread.
final class Keyboard {
  /// A key that is pressed.
  enum Key: Hashable, Sendable {
    case character(Character)
    case left, right, up, down, home, pageUp, pageDown
    /// No key: the process was stopped (Ctrl-Z) and goes on, so what it has drawn may be gone.
    case resumed
  }

  private var saved: termios
  private var own: termios

  /// The keyboard of standard input; nil where that is no terminal.
  init?() {
    var settings = termios()
    guard isatty(STDIN_FILENO) == 1, tcgetattr(STDIN_FILENO, &settings) == 0 else { return nil }
    saved = settings
    settings.c_lflag &= ~tcflag_t(ICANON | ECHO)
    // Reads do not wait: VMIN and VTIME, which are elements of a tuple in Swift.
    withUnsafeMutableBytes(of: &settings.c_cc) { control in
      control[Int(VMIN)] = 0
      control[Int(VTIME)] = 0
    }
    own = settings
    tcsetattr(STDIN_FILENO, TCSANOW, &settings)
  }

  deinit { tcsetattr(STDIN_FILENO, TCSANOW, &saved) }

  /// The keys that were pressed since the last call. Does not wait.
  func pressed() -> [Key] {
    // A process in the background that reads its terminal would be stopped.
    guard tcgetpgrp(STDIN_FILENO) == getpgrp() else { return [] }
    if isTakenBack {
      tcsetattr(STDIN_FILENO, TCSANOW, &own)
      return [.resumed]
    }
    var chunk = [UInt8](repeating: 0, count: 64)
    let count = read(STDIN_FILENO, &chunk, chunk.count)
    guard count > 0 else { return [] }
    return Self.keys(in: chunk[..<count])
  }

  /// Whether the shell has set the terminal to its own ways, as it does while a process is stopped.
  private var isTakenBack: Bool {
    var settings = termios()
    return tcgetattr(STDIN_FILENO, &settings) == 0 && settings.c_lflag & tcflag_t(ICANON | ECHO) != 0
  }

  /// The keys that these bytes of a terminal stand for; sequences that are not known are left out.
  static func keys(in bytes: ArraySlice<UInt8>) -> [Key] {
    var keys: [Key] = []
    var rest = bytes
    while let first = rest.popFirst() {
      guard first == 0x1B else {
        if first >= 0x20 && first < 0x7F || first == 0x09 {
          keys.append(.character(Character(Unicode.Scalar(first))))
        }
        continue
      }
      // ESC [ or ESC O, numbers, a letter or a tilde.
      guard let bracket = rest.first, bracket == UInt8(ascii: "[") || bracket == UInt8(ascii: "O") else {
        continue
      }
      rest.removeFirst()
      let numbers = rest.prefix { $0 < 0x40 }
      rest = rest.dropFirst(numbers.count)
      switch rest.popFirst() {
      case UInt8(ascii: "A"): keys.append(.up)
      case UInt8(ascii: "B"): keys.append(.down)
      case UInt8(ascii: "C"): keys.append(.right)
      case UInt8(ascii: "D"): keys.append(.left)
      case UInt8(ascii: "H"): keys.append(.home)
      case UInt8(ascii: "~") where numbers.elementsEqual("1".utf8): keys.append(.home)
      case UInt8(ascii: "~") where numbers.elementsEqual("5".utf8): keys.append(.pageUp)
      case UInt8(ascii: "~") where numbers.elementsEqual("6".utf8): keys.append(.pageDown)
      default: break
      }
    }
    return keys
  }
}
