@preconcurrency import Glibc
import HyphaCore

/// What agents' handlers print, in a process whose standard output is for programs.
enum HandlerOutput {
  /// Runs `body` with ``Output/standard`` as it is, while all that others write to standard output, `print` above all, goes to
  /// standard error, each line as soon as it is whole.
  ///
  /// For the rest of the process: a handler may print while that ends.
  ///
  /// - Parameter isApart: false runs `body` alone.
  /// - Throws: what `body` throws; a ``HyphaError`` where the process has no file descriptor left.
  static func keep(apart isApart: Bool, _ body: () async throws -> Void) async throws {
    guard isApart, Output.standard.isProcessOutput else { return try await body() }
    try Output.standard.flush()
    fflush(stdout)
    // Not for programs of 'exec' agents: who reads it waits for its end.
    let descriptor = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
    guard descriptor >= 0, dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 else {
      throw HyphaError(
        .failed, "standard output cannot be kept apart from what agents print",
        remedy: "raise the limit of open files",
        cause: String(cString: strerror(errno)))
    }
    setvbuf(stdout, nil, _IOLBF, 0)
    let output = Output(
      descriptor: descriptor, flushesLines: isatty(descriptor) == 1, name: "standard output")
    try await Output.$standard.withValue(output) {
      var failure: (any Error)?
      do { try await body() } catch { failure = error }
      // What was said before it failed is said.
      try output.flush()
      if let failure { throw failure }
    }
  }
}
