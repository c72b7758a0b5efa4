import CSpawn
import Glibc
import HyphaCore

/// A child process with pipes on its three standard streams, and how to end it. Belongs to the thread that has made it: the
/// child is killed when that ends, as it does with its process.
///
/// The child has a process group of its own: a Ctrl-C at the terminal does not reach it, and what it starts ends with it.
/// None of this process's other files are open in it, and no signal is ignored or blocked.
struct Child: ~Copyable {
  let id: pid_t
  /// Where what the child reads is written; does not block. -1 once it is closed.
  private(set) var input: Int32
  /// Where what the child writes is read; do not block.
  let output: Int32
  let errors: Int32
  private var isReaped = false

  /// Starts a program.
  ///
  /// - Parameters:
  ///   - words: the program, by its path or its name in the `PATH` of its variables, and its arguments.
  ///   - variables: its whole environment.
  ///   - directory: where it is started, and its path is looked up.
  /// - Throws: ``HyphaError/Code/agentFailed`` that names the program.
  init(_ words: [String], variables: [String: String], directory: String?) throws {
    func problem(_ cause: String) -> HyphaError {
      HyphaError(
        .agentFailed, "the program '\((words.first ?? "").shown(120))' cannot be started",
        remedy: "give its path, or a name that is in its PATH, and a directory that exists", cause: cause)
    }
    guard let path = Self.path(of: words.first ?? "", variables["PATH"] ?? "") else {
      throw problem("there is no such program in its PATH")
    }
    let pipes = try Pipes()
    let settings = variables.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    let (child, code) = Self.withCStrings(words) { words in
      Self.withCStrings(settings) { settings in
        let child = hypha_spawn(
          path, words, settings, directory, [pipes.input.read, pipes.output.write, pipes.errors.write])
        return (child, errno)
      }
    }
    guard child > 0 else {
      pipes.closeAll()
      throw problem(String(cString: strerror(code)))
    }
    pipes.closeOthers()
    (id, input, output, errors) = (child, pipes.input.write, pipes.output.read, pipes.errors.read)
  }

  /// A program's path: a name without `/` is looked up.
  private static func path(of program: String, _ places: String) -> String? {
    guard !program.contains("/") else { return program }
    return places.split(separator: ":").lazy.map { "\($0)/\(program)" }.first { path in
      var status = stat()
      return access(path, X_OK) == 0 && stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }
  }

  /// Makes a pipe that nobody reads any more an error of the call that writes, on this thread.
  static func blockPipeSignal() {
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGPIPE)
    pthread_sigmask(SIG_BLOCK, &signals, nil)
  }

  /// Lets the child see the end of its standard input.
  mutating func closeInput() {
    guard input >= 0 else { return }
    close(input)
    input = -1
  }

  /// Sends a signal to the child and to what it has started.
  func signal(_ number: Int32) { if !isReaped { kill(-id, number) } }

  /// Whether the child has ended; what it has started, and runs still, is ended then.
  func hasEnded() -> Bool {
    guard !isReaped else { return true }
    var info = siginfo_t()
    guard waitid(P_PID, id_t(id), &info, WEXITED | WNOHANG | WNOWAIT) == 0, info.si_signo != 0 else {
      return false
    }
    // Its id, and so its group's, is not anybody else's before it is reaped.
    kill(-id, SIGKILL)
    return true
  }

  /// Takes its status, once it has ended, and says how it has.
  mutating func reap() -> String {
    var status: Int32 = 0
    while waitpid(id, &status, 0) < 0, errno == EINTR {}
    isReaped = true
    let signal = status & 0x7F
    return signal == 0 ? "exited with status \(status >> 8 & 0xFF)" : "was ended by signal \(signal)"
  }

  deinit {
    if input >= 0 { close(input) }
    close(output)
    close(errors)
    guard !isReaped else { return }
    kill(-id, SIGKILL)
    var status: Int32 = 0
    while waitpid(id, &status, 0) < 0, errno == EINTR {}
  }

  /// Calls `body` with texts as C has them, and a null behind the last.
  private static func withCStrings<Result>(
    _ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
  ) -> Result {
    let pointers = texts.map { strdup($0) }
    defer { for pointer in pointers { free(pointer) } }
    return body(pointers + [nil])
  }
}

/// The three pipes to a child. No other child is given any of them.
private struct Pipes {
  typealias Ends = (read: Int32, write: Int32)
  let input, output, errors: Ends

  init() throws {
    var made: [Ends] = []
    for _ in 0..<3 {
      do { made.append(try Self.make()) } catch {
        for ends in made { Self.close(ends) }
        throw error
      }
    }
    (input, output, errors) = (made[0], made[1], made[2])
    for end in [input.write, output.read, errors.read] { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
  }

  /// A pipe that no program is given.
  static func make() throws -> Ends {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else {
      throw HyphaError(
        .agentFailed, "a program cannot be started for want of pipes",
        remedy: "raise the limit of open files (ulimit -n)", cause: String(cString: strerror(errno)))
    }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }

  func closeOthers() { for end in [input.read, output.write, errors.write] { Glibc.close(end) } }
  func closeAll() { for ends in [input, output, errors] { Self.close(ends) } }

  static func close(_ ends: Ends) {
    Glibc.close(ends.read)
    Glibc.close(ends.write)
  }
}

/// Wakes a thread that waits for files.
final class Bell: Sendable {
  /// What can be read once it has rung.
  let end: Int32
  private let rope: Int32

  /// - Throws: ``HyphaError/Code/agentFailed`` where there are no more files to be had.
  init() throws {
    (end, rope) = try Pipes.make()
    for end in [end, rope] { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
  }

  /// On any thread. A pipe that is full has rung.
  func ring() {
    var byte: UInt8 = 1
    _ = Glibc.write(rope, &byte, 1)
  }

  func hush() {
    var bytes: (UInt64, UInt64) = (0, 0)
    while withUnsafeMutableBytes(of: &bytes, { Glibc.read(end, $0.baseAddress, $0.count) }) == 16 {}
  }

  deinit { Pipes.close((end, rope)) }
}
