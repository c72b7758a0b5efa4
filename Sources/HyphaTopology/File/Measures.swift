import HyphaCore

/// Sizes in bytes as people write them: `64GiB`, `1.5 TB`, `4096`.
enum ByteCountText {
  /// What a log may be sized to: from 1 MiB to 64 TiB, half of what a process can address.
  static let mapRange: ClosedRange<UInt64> = (1 << 20)...(64 << 40)

  private static let units: [(name: String, byteCount: UInt64)] = [
    ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000), ("B", 1), ("", 1),
  ]

  /// The size that `text` spells: a whole number, or one with up to three decimals, and a unit; nil for
  /// anything else, for a fraction of a byte, and beyond 64 bits.
  static func parse(_ text: String) -> UInt64? {
    let number = text.prefix { ("0"..."9").contains($0) || $0 == "." }
    let unit = text.dropFirst(number.count).drop { $0 == " " }
    guard
      let factor = units.first(where: { $0.name.lowercased() == unit.lowercased() })?.byteCount
    else { return nil }
    let parts = number.split(separator: ".", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), let whole = UInt64(parts[0]) else { return nil }
    let (bytes, overflow) = whole.multipliedReportingOverflow(by: factor)
    guard !overflow else { return nil }
    guard parts.count == 2 else { return bytes }
    guard (1...3).contains(parts[1].utf8.count), let fraction = UInt64(parts[1]) else { return nil }
    let denominator: UInt64 = [10, 100, 1000][parts[1].utf8.count - 1]
    // At most 999 × 2⁴⁰: no overflow.
    guard (fraction * factor).isMultiple(of: denominator) else { return nil }
    let (sum, tooMuch) = bytes.addingReportingOverflow(fraction * factor / denominator)
    return tooMuch ? nil : sum
  }

  /// The size in the largest binary unit that divides it.
  static func text(_ byteCount: UInt64) -> String {
    let unit = units.prefix(4).first { byteCount != 0 && byteCount.isMultiple(of: $0.byteCount) }
    return "\(byteCount / (unit?.byteCount ?? 1))\(unit?.name ?? "B")"
  }
}

extension NodeAddress {
  /// The highest first port of four in a row.
  static let portMax: UInt16 = 65532

  /// The address as a topology file has it: `local` or `tcp://HOST:PORT`.
  var fileText: String {
    switch self {
    case .local: "local"
    case .tcp(let host, let port): "tcp://\(host):\(port)"
    }
  }

  /// The address that `text` spells.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` for any other form, for a port that leaves no room for
  ///   four, and for a host that is not this machine: links are not encrypted yet.
  init(fileText text: String) throws {
    if text == "local" {
      self = .local
      return
    }
    guard text.hasPrefix("tcp://"), let colon = text.lastIndex(of: ":"),
      case let host = text[..<colon].dropFirst(6), !host.isEmpty, !host.contains("/")
    else {
      throw HyphaError(
        .invalidTopology, "the address \(quoted(text)) is neither 'local' nor of the form tcp://HOST:PORT",
        remedy: "write tcp://127.0.0.1:7410, or leave the address out")
    }
    let digits = text[text.index(after: colon)...]
    guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
      let port = UInt16(digits), (1...Self.portMax).contains(port)
    else {
      throw HyphaError(
        .invalidTopology, "the address \(quoted(text)) has no port from 1 to \(Self.portMax)",
        remedy: "a node takes four ports in a row; write the first")
    }
    guard Self.isLoopback(host) else {
      throw HyphaError(
        .invalidTopology, "the address \(quoted(text)) is not on this machine: links are not encrypted yet",
        remedy: "use the host 127.0.0.1")
    }
    self = .tcp(host: String(host), port: port)
  }

  /// `localhost`, or four numbers that begin with 127.
  private static func isLoopback(_ host: Substring) -> Bool {
    if host == "localhost" { return true }
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127"
      && parts.allSatisfy { part in
        part.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } && UInt8(part) != nil
      }
  }

  /// The ports that a node at this address takes, with the host that they are on.
  var ports: (host: String, range: ClosedRange<Int>)? {
    guard case .tcp(let host, let port) = self else { return nil }
    return (host == "localhost" ? "127.0.0.1" : host, Int(port)...(Int(port) + 3))
  }
}
