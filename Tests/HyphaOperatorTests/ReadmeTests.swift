import Foundation
import Testing

/// The README quotes files of the package; here they stay the same.
struct ReadmeTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  @Test(arguments: ["Examples/invoices/Sources/invoices/Invoices.swift", "Examples/invoices/topology.yaml"])
  func `the README quotes the example as it is`(path: String) throws {
    let readme = try String(contentsOf: Self.root.appending(path: "README.md"), encoding: .utf8)
    let quoted = try String(contentsOf: Self.root.appending(path: path), encoding: .utf8)
    #expect(readme.contains("\n\(quoted)```\n"))
  }

  @Test func `what the README links to is there`() throws {
    let readme = try String(contentsOf: Self.root.appending(path: "README.md"), encoding: .utf8)
    let links = readme.matches(of: /\]\(([^)#]+)\)/).map { String($0.output.1) }
    #expect(!links.isEmpty)
    for link in links where !link.contains("://") {
      #expect(FileManager.default.fileExists(atPath: Self.root.appending(path: link).path), "\(link)")
    }
  }
}
