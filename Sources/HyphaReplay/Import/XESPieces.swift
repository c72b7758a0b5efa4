import HyphaCore
import HyphaFormats

/// What an XES file has that is too large for the payload of one entry, over several: an attribute may hold a whole table.
enum XESPieces {
  /// The type of such entries, which come one behind the other, and before the event whose attributes they have.
  static let type: EventTypeName = "recorded.Piece"

  /// What the pieces are together.
  enum Whole: String, Codable {
    case declaration, trace
    /// All attributes of the event that names their conversation.
    case attributes
  }

  /// The payload of one of them.
  struct Piece: Codable {
    var of: Whole
    /// Its place among them, from 1.
    var number: Int
    var count: Int
    var text: String
  }

  /// More bytes than this are split: so much an entry holds wherever it is read.
  static let byteCountMax = WireLimits.standard.payloadByteCountMax
  /// The bytes of a piece's text at most, which are twice as many where JSON escapes each of them.
  static let textByteCountMax = 256 << 10

  /// The texts of pieces that are `json` together; none ends within a character.
  static func texts(of json: [UInt8]) -> [String] {
    var (texts, start) = ([String](), 0)
    while start < json.count {
      var end = min(start + textByteCountMax, json.count)
      while end < json.count, end > start + 1, json[end] & 0xC0 == 0x80 { end -= 1 }
      texts.append(String(decoding: json[start..<end], as: UTF8.self))
      start = end
    }
    return texts
  }
}

/// Puts pieces together as they are replayed. Pure; it holds one whole of each log at most.
struct XESPieceJoiner {
  private struct Open {
    var conversation: EventID
    var count: Int
    var json: [UInt8]
  }

  private var open: [UInt64: Open] = [:]
  private var attributes: [UInt64: (conversation: EventID, elements: [XESElement])] = [:]

  /// Takes the next piece of a log; what it completes, if anything. Pieces of which one is missing are left out.
  ///
  /// - Parameter origin: tells logs apart.
  mutating func add(_ record: RecordView, origin: UInt64) -> (whole: XESPieces.Whole, json: [UInt8])? {
    guard let piece = try? JSON.decode(XESPieces.Piece.self, from: record.payload) else { return nil }
    if piece.number == 1 { open[origin] = Open(conversation: record.correlation, count: 0, json: []) }
    guard open[origin]?.conversation == record.correlation, open[origin]?.count == piece.number - 1 else {
      open[origin] = nil
      return nil
    }
    open[origin]?.count = piece.number
    open[origin]?.json.append(contentsOf: piece.text.utf8)
    guard piece.number == piece.count, let json = open.removeValue(forKey: origin)?.json else { return nil }
    guard piece.of == .attributes else { return (piece.of, json) }
    if let elements = try? JSON.decode([XESElement].self, from: json) {
      attributes[origin] = (record.correlation, elements)
    }
    return nil
  }

  /// The attributes that a log has in the pieces of this conversation, which are given once.
  mutating func attributes(of conversation: EventID, origin: UInt64) -> [XESElement]? {
    guard attributes[origin]?.conversation == conversation else { return nil }
    return attributes.removeValue(forKey: origin)?.elements
  }
}
