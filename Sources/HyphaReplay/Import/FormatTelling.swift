import HyphaCore
public import HyphaFormats

extension LogImporter.Format {
  /// What a file is, by its first 64 KiB, which stay to be read.
  ///
  /// - Throws: ``HyphaError/Code/invalidInput`` for an empty file, and what reading it does.
  public init(of source: GzipInputStream) throws {
    guard let format = Self(telling: try source.peek()) else {
      throw HyphaError(
        .invalidInput, "\(source.path) is empty", remedy: "give a file with recorded events")
    }
    self = format
  }

  /// What begins with `bytes`; nil where there is nothing but white space.
  init?(telling bytes: [UInt8]) {
    let visible = bytes.drop { [0x20, 0x09, 0x0A, 0x0D, 0xEF, 0xBB, 0xBF].contains($0) }
    if bytes.starts(with: "SQLite format 3\0".utf8) {
      self = .ocelSQLite
      return
    }
    switch visible.first {
    case UInt8(ascii: "{"): self = Self.isObjectCentric(visible) ? .ocelJSON : .cloudEvents
    case UInt8(ascii: "["): self = .cloudEvents
    case UInt8(ascii: "<"): self = .xes
    case nil: return nil
    default: self = .csv
    }
  }

  /// The members that an object-centric log has. An attribute of a CloudEvent may be called so too, but is no array.
  private static let objectCentric = ["events", "objects", "eventTypes", "objectTypes"]

  /// Whether the object that `bytes` begin with has, as far as they go, a member of object-centric logs before the one that all
  /// CloudEvents have. What members hold is passed over.
  private static func isObjectCentric(_ bytes: ArraySlice<UInt8>) -> Bool {
    var depth = 0
    // The text that is read, and the last one of the object itself: the name where a colon follows.
    var (text, name) = ([UInt8](), [UInt8]())
    var (isInString, isEscaped, isNamed) = (false, false, false)
    for byte in bytes {
      if isInString {
        if !isEscaped, byte == UInt8(ascii: "\"") {
          isInString = false
          if depth == 1, !isNamed { name = text }
        } else if depth == 1 {
          text.append(byte)
        }
        isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
        continue
      }
      switch byte {
      case UInt8(ascii: "\""): (isInString, text) = (true, [])
      case UInt8(ascii: ":") where depth == 1:
        isNamed = true
        if name.elementsEqual("specversion".utf8) { return false }
      case UInt8(ascii: ",") where depth == 1: isNamed = false
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        if depth == 1, byte == UInt8(ascii: "["),
          objectCentric.contains(where: { name.elementsEqual($0.utf8) })
        {
          return true
        }
        depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        if depth == 0 { return false }
      default: break
      }
    }
    return false
  }
}
