import Foundation

/// `docs/wire-format.md` and the examples in it.
enum WireFormatPage {
  /// The checkout: the first directory above this file that has the page.
  static let root: URL = {
    var directory = URL(filePath: #filePath)
    repeat {
      directory.deleteLastPathComponent()
    } while directory.path != "/"
      && !FileManager.default.fileExists(atPath: directory.appending(path: "docs/wire-format.md").path)
    return directory
  }()

  /// The bytes of each block that begins with "```hex NAME". `#` begins a comment, `@NAME` stands for the
  /// bytes of a block above.
  static func examples() throws -> [String: [UInt8]] {
    let page = try String(contentsOf: root.appending(path: "docs/wire-format.md"), encoding: .utf8)
    var examples: [String: [UInt8]] = [:]
    for block in page.components(separatedBy: "```hex ").dropFirst() {
      var lines = block.components(separatedBy: "```")[0].split(separator: "\n")
      let name = String(lines.removeFirst())
      examples[name] = lines.flatMap { line -> [UInt8] in
        line.prefix { $0 != "#" }.split(separator: " ").flatMap { word in
          word.hasPrefix("@") ? examples[String(word.dropFirst())] ?? [] : [UInt8(word, radix: 16) ?? 0]
        }
      }
    }
    return examples
  }
}

extension [UInt8] {
  /// The bytes in hexadecimal, as a failed comparison shows them.
  var hex: String {
    map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
  }
}
