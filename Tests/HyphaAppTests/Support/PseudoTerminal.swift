import Foundation
import Testing

/// A terminal without a screen, on which a program runs that has it as its controlling terminal.
final class PseudoTerminal {
  private let master: Int32
  private let process = Process()
  private var bytes: [UInt8] = []

  /// Starts `hypha` on a terminal of 100 columns and 40 rows.
  init(_ arguments: [String], in scratch: Scratch, environment: [String: String] = [:]) throws {
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
    // What unlockpt(3) and ptsname(3) do, which the Glibc module leaves out: TIOCSPTLCK and TIOCGPTN.
    var (lock, number): (Int32, Int32) = (0, 0)
    guard master >= 0, ioctl(master, 0x4004_5431, &lock) == 0, ioctl(master, 0x8004_5430, &number) == 0 else {
      throw POSIXError(.ENOTTY)
    }
    let name = "/dev/pts/\(number)"
    var size = winsize(ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0)
    _ = ioctl(master, UInt(TIOCSWINSZ), &size)
    _ = fcntl(master, F_SETFL, O_NONBLOCK)
    let descriptor = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)
    let terminal = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    process.executableURL = URL(fileURLWithPath: "/usr/bin/setsid")
    process.arguments = ["--ctty", "--wait", Places.hypha] + arguments
    process.standardInput = terminal
    process.standardOutput = terminal
    process.standardError = terminal
    var all = ProcessInfo.processInfo.environment
    for variable in ["NO_COLOR", "CLICOLOR_FORCE"] { all[variable] = nil }
    all["TERM"] = "xterm-256color"
    all["XDG_RUNTIME_DIR"] = scratch.runtime
    process.environment = all.merging(environment) { $1 }
    process.currentDirectoryURL = URL(fileURLWithPath: scratch.path)
    try process.run()
  }

  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    close(master)
  }

  static let isAvailable = FileManager.default.isExecutableFile(atPath: "/usr/bin/setsid")

  /// Everything that was written so far.
  func text() -> String {
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while case let count = read(master, &chunk, chunk.count), count > 0 { bytes += chunk[..<count] }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Sets the terminal to lines and an echo, as a shell does when the program is stopped (Ctrl-Z).
  func takeBack() {
    var settings = termios()
    tcgetattr(master, &settings)
    settings.c_lflag |= tcflag_t(ICANON | ECHO)
    tcsetattr(master, TCSANOW, &settings)
  }

  /// Whether keys come one by one and without an echo.
  var isRaw: Bool {
    var settings = termios()
    return tcgetattr(master, &settings) == 0 && settings.c_lflag & tcflag_t(ICANON | ECHO) == 0
  }

  func type(_ text: String) { _ = write(master, text, text.utf8.count) }

  /// The exit status, once the program has ended.
  func end(within limit: Duration = patience) async -> Int32 {
    // What is written must be read all the time, or the program waits for room.
    let isOver = await becomesTrue(within: limit) {
      _ = text()
      return !process.isRunning
    }
    #expect(isOver)
    if !isOver { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    return process.terminationStatus
  }
}
