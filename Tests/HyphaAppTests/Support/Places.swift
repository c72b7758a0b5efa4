import Foundation
import Testing

/// Tests of nodes that are processes, one after the other: they would compete for the machine's cores.
@Suite(.serialized) enum Processes {}

/// Tests of what a person does with files and logs, where one process is at work, one after the other, beside those of nodes.
@Suite(.serialized) enum Commands {}

/// Where things are that the tests did not make.
enum Places {
  /// The package's directory.
  static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  static let incidentRoom = package.appending(path: "topologies/incident-room.yaml").path

  /// The program under test: it stands in the directory that the test bundle was built to, or above.
  static let hypha: String = {
    let bundle = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    let starts = [bundle] + CommandLine.arguments.filter { $0.hasSuffix(".xctest") }
    for start in starts {
      var directory = URL(fileURLWithPath: start).deletingLastPathComponent()
      while directory.path != "/" {
        let path = directory.appending(path: "hypha").path
        var isDirectory: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), !isDirectory.boolValue,
          FileManager.default.isExecutableFile(atPath: path)
        {
          return path
        }
        directory.deleteLastPathComponent()
      }
    }
    return "/the/program/hypha/was/not/found/beside/" + bundle
  }()

  /// The author's program for the tests, beside it.
  static let testApp = URL(fileURLWithPath: hypha).deletingLastPathComponent().appending(
    path: "hypha-test-app"
  ).path

  /// A public event log, beside the checkout; `SOURCES.md` there says where it comes from.
  static func recording(_ name: String) -> String {
    package.appending(path: "../shared/data/\(name)").standardizedFileURL.path
  }

  static func hasRecording(_ name: String) -> Bool {
    FileManager.default.isReadableFile(atPath: recording(name))
  }
}

/// A directory of its own for one test, removed when the test lets go of it, with everything that runs in it.
final class Scratch {
  let path: String

  init() throws {
    let parent = FileManager.default.temporaryDirectory.resolvingSymlinksInPath().path
    // Short, because the paths of sockets are limited.
    path = "\(parent)/hypha-app-\(String(UInt64.random(in: .min ... .max), radix: 36))"
    try FileManager.default.createDirectory(atPath: runtime, withIntermediateDirectories: true)
  }

  deinit {
    for process in ProcessTable.all where process.command.contains(path) { kill(process.id, SIGKILL) }
    try? FileManager.default.removeItem(atPath: path)
  }

  /// Where the programs of this test put their sockets, in place of `/tmp`.
  var runtime: String { path + "/run" }

  func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

  /// Writes a file and returns its path.
  func file(_ name: String, _ text: String) throws -> String { try file(name, Array(text.utf8)) }

  func file(_ name: String, _ bytes: [UInt8]) throws -> String {
    try Data(bytes).write(to: URL(fileURLWithPath: self(name)))
    return self(name)
  }

  /// Checks that nothing that was started here still runs, and that no socket is left.
  func expectNothingLeft(_ location: SourceLocation = #_sourceLocation) {
    let running = ProcessTable.all.filter { $0.command.contains(path) }
    #expect(running.isEmpty, sourceLocation: location)
    let sockets = (try? FileManager.default.subpathsOfDirectory(atPath: runtime)) ?? []
    #expect(sockets.isEmpty, sourceLocation: location)
  }
}
