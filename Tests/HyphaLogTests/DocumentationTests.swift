import Foundation
import Testing

/// The pages say which test proves what; here they stay true.
@Suite struct DocumentationTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  private static let pages = [
    "guarantees", "log", "agents", "exec", "write-an-agent", "retention", "replay", "security",
  ]
  .map { "docs/\($0).md" }

  private func text(_ path: String) throws -> String {
    try String(contentsOf: Self.root.appending(path: path), encoding: .utf8)
  }

  /// All Swift files of the tests, by what they declare.
  private func testSources() throws -> String {
    let tests = Self.root.appending(path: "Tests")
    let paths = try #require(FileManager.default.subpaths(atPath: tests.path))
    return try paths.filter { $0.hasSuffix(".swift") }.map { try text("Tests/\($0)") }.joined()
  }

  /// The cells of the column `proved by`, row after row, of each table on a page that has one.
  private func proofs(on page: String) -> [Substring] {
    var column: Int?
    var cells: [Substring] = []
    for line in page.split(separator: "\n", omittingEmptySubsequences: false) {
      guard line.hasPrefix("|") else {
        column = nil
        continue
      }
      let row = line.split(separator: "|", omittingEmptySubsequences: false)
      if let column, column < row.count {
        cells.append(row[column])
      } else {
        column = row.firstIndex { $0.contains("proved by") }
      }
    }
    return cells
  }

  @Test func `every test that the page on the log quotes is there`() throws {
    let declared = Set(try testSources().matches(of: /func `([^`]+)`/).map { $0.output.1 })
    let proofs = proofs(on: try text("docs/log.md")).dropFirst()
    #expect(proofs.count > 10)
    for proof in proofs {
      let quoted = proof.matches(of: /`([^`]+)`/).map { $0.output.1 }
      #expect(!quoted.isEmpty, "nothing proves a promise: \(proof)")
      for name in quoted { #expect(declared.contains(name), "no test is named \(name)") }
    }
  }

  @Test(arguments: pages)
  func `every suite that a page names is there`(path: String) throws {
    let declared = Set(
      try testSources().matches(of: /(?:struct|class|enum) (\w+Tests)\b/).map { $0.output.1 })
    for name in Set(try text(path).matches(of: /\b[A-Z]\w+Tests\b/).map { $0.output }) {
      let isTarget = FileManager.default.fileExists(atPath: Self.root.appending(path: "Tests/\(name)").path)
      #expect(isTarget || declared.contains(name), "no suite is named \(name)")
    }
  }

  @Test func `every promise that a mutant breaks is on a page`() throws {
    let pages = try text("docs/guarantees.md") + text("docs/log.md") + text("docs/agents.md")
    let rows = pages.matches(of: /(?m)^\| \*\*([^*]+)\*\*/).map { $0.output.1 }
    let promises = Set(rows.flatMap { $0.split(separator: ", ") })
    for promise in try text("tools/mutants.txt").matches(of: /(?m)^promise: (.+)$/).map({ $0.output.1 }) {
      #expect(promises.contains(promise), "no page promises \(promise)")
    }
  }

  @Test func `every mutant fits the sources`() throws {
    let mutants = try text("tools/mutants.txt").components(separatedBy: "\n\n")
      .map {
        Dictionary($0.matches(of: /(?m)^(\w+): (.*)$/).map { (String($0.output.1), String($0.output.2)) }) {
          $1
        }
      }
      .filter { !$0.isEmpty }
    #expect(mutants.count > 200)
    for mutant in mutants {
      let name = mutant["name"] ?? "without a name"
      let file = try #require(mutant["file"], "\(name)")
      let replaced = try #require(mutant["replace"], "\(name)").replacing("\\n", with: "\n")
      #expect(try text(file).ranges(of: replaced).count == 1, "\(name) does not fit \(file)")
      for key in ["with", "test", "promise"] { #expect(mutant[key] != nil, "\(name) has no \(key)") }
    }
  }

  @Test(arguments: pages)
  func `what a page links to is there`(path: String) throws {
    let page = try text(path)
    for link in page.matches(of: /\]\(([^)#]+)\)/).map({ String($0.output.1) }) where !link.contains("://") {
      let place = Self.root.appending(path: path).deletingLastPathComponent().appending(path: link)
      #expect(FileManager.default.fileExists(atPath: place.path), "\(path): \(link)")
    }
  }
}
