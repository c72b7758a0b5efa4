import Foundation
import HyphaCore

/// The order of sets and dictionaries, which nodes have fixed.
enum NodeHashing {
  /// Begins this process anew under fixed hashing, where that is not so: agents that are run again see sets and dictionaries in the
  /// order in which they saw them in their nodes.
  static func enter() throws {
    let name = "SWIFT_DETERMINISTIC_HASHING"
    guard ProcessInfo.processInfo.environment[name] == nil else { return }
    setenv(name, "1", 1)
    var arguments = CommandLine.arguments.map { strdup($0) } + [nil]
    execv("/proc/self/exe", &arguments)
    // Only where that has failed does the process come here.
    let reason = String(cString: strerror(errno))
    for argument in arguments { free(argument) }
    throw HyphaError(
      .failed, "the program cannot begin anew with \(name)=1", remedy: "set that in the environment",
      cause: "execv: \(reason)")
  }
}
