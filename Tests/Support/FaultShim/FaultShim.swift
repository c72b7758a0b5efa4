import Foundation

/// The preloaded library that lets the disk of a child process fail: see `Tests/Support/fault-shim`.
public enum FaultShim {
  /// The library, compiled once a run; nil where there is no C compiler.
  public static let library: String? = {
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("fault-shim/fault-shim.c")
    let bundle = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let library = URL(fileURLWithPath: bundle ?? "").deletingLastPathComponent()
      .appendingPathComponent("hypha-fault-shim.so").path
    let fresh = "\(library).\(getpid())"
    for compiler in ["clang", "cc"] {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = [compiler, "-O1", "-shared", "-fPIC", "-o", fresh, source.path, "-ldl"]
      guard (try? process.run()) != nil else { continue }
      process.waitUntilExit()
      if process.terminationStatus == 0, rename(fresh, library) == 0 { return library }
    }
    return nil
  }()

  /// The environment of a process whose disk fails as `faults` say: settings of the shim, without `HYPHA_FAULT_`.
  public static func environment(_ faults: [String: String]) -> [String: String] {
    var environment = ["LD_PRELOAD": library ?? ""]
    for (name, value) in faults { environment["HYPHA_FAULT_\(name)"] = value }
    return environment
  }
}
