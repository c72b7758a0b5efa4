import HyphaCore
import HyphaFormats

/// The JSON objects of a file, one after the other: one a line, or the elements of one array. The file is never loaded whole.
final class JSONObjects {
  /// The number of the object that was read last, from 1.
  private(set) var ordinal = 0

  private let source: GzipInputStream
  private let byteCountMax: Int
  private var chunk = [UInt8](repeating: 0, count: GzipInputStream.chunkByteCount)
  private var start = 0
  private var end = 0
  private var isInArray = false
  private var hasEnded = false

  init(_ source: GzipInputStream, limits: InputLimits) {
    self.source = source
    byteCountMax = limits.maximumLineByteCount
  }

  /// The next object as its bytes; nil behind the last one.
  ///
  /// - Throws: ``HyphaError/Code/invalidInput`` where there is something else, or the file ends within an object;
  ///   ``HyphaError/Code/tooLarge`` where an object is; what reading the file does.
  func next() throws -> [UInt8]? {
    guard try skipToObject() else { return nil }
    ordinal += 1
    var object: [UInt8] = []
    var depth = 0
    var (isInString, isEscaped) = (false, false)
    while try refill() {
      for place in start..<end {
        let byte = chunk[place]
        if isInString {
          if isEscaped {
            isEscaped = false
          } else if byte == UInt8(ascii: "\\") {
            isEscaped = true
          } else if byte == UInt8(ascii: "\"") {
            isInString = false
          }
          continue
        }
        switch byte {
        case UInt8(ascii: "\""): isInString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
          depth -= 1
          if depth == 0 {
            object += chunk[start...place]
            start = place + 1
            return object
          }
        default: break
        }
      }
      object += chunk[start..<end]
      start = end
      guard object.count <= byteCountMax else {
        throw HyphaError(
          .tooLarge, "\(source.path) event \(ordinal) is longer than \(byteCountMax) bytes",
          remedy: "give a file of CloudEvents, one a line or as one array")
      }
    }
    throw HyphaError(
      .invalidInput, "\(source.path) ends within event \(ordinal)",
      remedy: "fetch the file again; it was cut short")
  }

  private func skipToObject() throws -> Bool {
    while try refill() {
      let byte = chunk[start]
      if byte == UInt8(ascii: "{"), !hasEnded { return true }
      switch byte {
      case 0x20, 0x09, 0x0A, 0x0D: break
      case 0xEF, 0xBB,
        0xBF where ordinal == 0:
        break
      case UInt8(ascii: "[") where ordinal == 0 && !isInArray: isInArray = true
      case UInt8(ascii: ",") where isInArray && ordinal > 0: break
      case UInt8(ascii: "]") where isInArray && !hasEnded: hasEnded = true
      default:
        throw HyphaError(
          .invalidInput, "\(source.path) has something that is no JSON object behind event \(ordinal)",
          remedy: "give CloudEvents in JSON, one a line or as one array")
      }
      start += 1
    }
    guard !isInArray || hasEnded else {
      throw HyphaError(
        .invalidInput, "\(source.path) ends before its array does, behind event \(ordinal)",
        remedy: "fetch the file again; it was cut short")
    }
    return false
  }

  private func refill() throws -> Bool {
    if start < end { return true }
    start = 0
    end = try chunk.withUnsafeMutableBufferPointer { try source.read(into: $0) }
    return end > 0
  }
}

/// The members of a JSON object as their bytes, without making values of them.
struct JSONMembers {
  private var members: [String: ArraySlice<UInt8>] = [:]

  /// The members of `object`, compacted; nil where it is no JSON object.
  init?(_ object: [UInt8]) {
    var compact: [UInt8] = []
    let isJSON = object.withUnsafeBytes { bytes in
      var scanner = JSONScanner(bytes)
      return scanner.scan(into: &compact)
    }
    guard isJSON, compact.first == UInt8(ascii: "{") else { return nil }
    bytes = compact
    var place = 1
    while place < compact.count - 1 {
      let nameEnd = Self.endOfValue(compact, from: place)
      guard let name = try? JSON.decode(String.self, from: compact[place..<nameEnd]) else { return nil }
      let end = Self.endOfValue(compact, from: nameEnd + 1)
      members[name] = compact[(nameEnd + 1)..<end]
      place = end + 1
    }
  }

  /// The whole object without white space.
  let bytes: [UInt8]

  /// A member's bytes.
  subscript(_ name: String) -> ArraySlice<UInt8>? { members[name] }

  /// A member that is a string.
  func text(_ name: String) -> String? {
    members[name].flatMap { try? JSON.decode(String.self, from: $0) }
  }

  /// A member that is a whole number, or a string that spells one.
  func number(_ name: String) -> UInt64? {
    guard let bytes = members[name] else { return nil }
    return UInt64(text(name) ?? String(decoding: bytes, as: UTF8.self))
  }

  /// Where the value that begins at `start` ends. The bytes are known to be JSON.
  static func endOfValue(_ bytes: [UInt8], from start: Int) -> Int {
    var place = start
    var depth = 0
    var isInString = false
    while place < bytes.count {
      switch bytes[place] {
      case UInt8(ascii: "\\") where isInString: place += 1
      case UInt8(ascii: "\""):
        isInString.toggle()
        if !isInString, depth == 0 { return place + 1 }
      case _ where isInString: break
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        if depth == 0 { return place }
        depth -= 1
        if depth == 0 { return place + 1 }
      case UInt8(ascii: ",") where depth == 0: return place
      default: break
      }
      place += 1
    }
    return place
  }
}
