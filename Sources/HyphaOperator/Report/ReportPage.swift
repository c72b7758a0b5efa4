import Foundation
import HyphaCore

/// A report as one HTML file.
///
/// Data is embedded as JSON in which every `<` is written as an escape, so that nothing that a log says can end the element that
/// it stands in; the script puts it into the page as text alone. The page's own policy forbids it to load anything.
enum ReportPage {
  /// The file's bytes.
  static func html(_ data: ReportData) throws -> [UInt8] {
    var page: [UInt8] = []
    for (index, piece) in ReportMarkup.text.components(separatedBy: "{{").enumerated() {
      guard index > 0, let end = piece.range(of: "}}") else {
        page += piece.utf8
        continue
      }
      switch piece[..<end.lowerBound] {
      case "title": page += XMLText.escaped(data.name).utf8
      case "style": page += ReportStyle.text.utf8
      case "data": page += escaped(try JSON.encode(data))
      default: page += (ReportGraphScript.text + "\n" + ReportChartsScript.text).utf8
      }
      page += piece[end.upperBound...].utf8
    }
    page.append(UInt8(ascii: "\n"))
    return page
  }

  private static func escaped(_ json: Data) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(json.count + json.count / 16)
    for byte in json {
      if byte == UInt8(ascii: "<") { result += "\\u003c".utf8 } else { result.append(byte) }
    }
    return result
  }
}
