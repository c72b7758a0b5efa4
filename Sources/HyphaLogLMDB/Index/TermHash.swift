import CSodium
import HyphaCore
import HyphaLog

/// Hashes what records state into terms, under a key of the index's own.
///
/// The hash is SipHash-2-4 (libsodium's `crypto_shorthash`): whoever does not know the key cannot make events whose
/// terms collide, so no sender can lengthen another's lists. A text is hashed once, whatever terms it is part of: those
/// are told apart by mixing (the finaliser of MurmurHash3, a bijection).
struct TermHash: Sendable {
  /// The length of a key in bytes.
  static let keyByteCount = Int(crypto_shorthash_KEYBYTES)

  let key: [UInt8]

  /// The hash under `key`, which has ``keyByteCount`` bytes.
  init(key: [UInt8]) {
    precondition(key.count == Self.keyByteCount, "a key has 16 bytes")
    self.key = key
  }

  /// The hash under a new random key.
  static func random() -> TermHash {
    var generator = SystemRandomNumberGenerator()
    return TermHash(key: (0..<keyByteCount).map { _ in .random(in: .min ... .max, using: &generator) })
  }

  /// What a term is of; it keeps equal texts of different meaning apart.
  enum Family: UInt64 {
    case agent = 1
    case stream = 2
    case lane = 3
    case type = 4
    case channel = 5
    case subject = 6
  }

  @inline(__always)
  func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var hash: UInt64 = 0
    let text = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    withUnsafeMutableBytes(of: &hash) { hash in
      // It cannot fail; the pointers are of the sizes that it expects, and eight bytes have an address.
      _ = crypto_shorthash(
        hash.baseAddress!.assumingMemoryBound(to: UInt8.self), text, UInt64(bytes.count), key)
    }
    return hash
  }

  @inline(__always)
  func of(_ id: EventID) -> UInt64 {
    withUnsafeBytes(of: (id.high.bigEndian, id.low.bigEndian)) { of($0) }
  }

  @inline(__always)
  static func mix(_ hash: UInt64, _ family: Family) -> UInt64 {
    var value = hash ^ family.rawValue &* 0x9E37_79B9_7F4A_7C15
    value = (value ^ value >> 33) &* 0xFF51_AFD7_ED55_8CCD
    value = (value ^ value >> 33) &* 0xC4CE_B9FE_1A85_EC53
    return value ^ value >> 33
  }

  @inline(__always)
  static func stream(agent: UInt64, epoch: UInt64, channel: Channel) -> UInt64 {
    mix(mix(agent ^ epoch, .stream) ^ UInt64(channel.rawValue), .stream)
  }

  @inline(__always)
  static func lane(agent: UInt64, channel: Channel, target: UInt64, isAddressed: Bool) -> UInt64 {
    mix(mix(agent, .lane) ^ target &+ UInt64(channel.rawValue << 1 | (isAddressed ? 1 : 0)), .lane)
  }

  func channel(_ channel: Channel) -> UInt64 {
    Self.mix(withUnsafeBytes(of: channel.rawValue) { of($0) }, .channel)
  }
}

// MARK: Questions

extension TermHash {
  /// The term that stands for a question, and the roles that answer it.
  func key(of term: LogTerm) -> (term: UInt64, roles: TermRoles) {
    let (hash, roles): (UInt64, TermRoles) =
      switch term {
      case .event(let id): (of(id), .event)
      case .causedBy(let id): (of(id), .below)
      case .conversation(let id): (of(id), .conversation)
      case .agent(let agent): (Self.mix(of(agent.text), .agent), .itself)
      case .type(let type): (Self.mix(of(type.text), .type), .itself)
      case .channel(let channel): (self.channel(channel), .itself)
      case .subject(let subject): (Self.mix(of(subject.text), .subject), .itself)
      case .subjectsBelow(let subject): (Self.mix(of(subject.text), .subject), .below)
      case .stream(let stream):
        (Self.stream(agent: of(stream.agent.text), epoch: stream.epoch, channel: stream.channel), .itself)
      case .lane(let lane): (self.lane(lane), .itself)
      }
    return (TermPosting.term(ofHash: hash), roles)
  }

  private func of(_ text: String) -> UInt64 {
    var text = text
    return text.withUTF8 { of(UnsafeRawBufferPointer($0)) }
  }

  private func lane(_ lane: Lane) -> UInt64 {
    let (target, isAddressed) =
      switch lane.target {
      case .addressee(let agent): (of(agent.text), true)
      case .type(let type): (of(type.text), false)
      }
    return Self.lane(
      agent: of(lane.agent.text), channel: lane.channel, target: target, isAddressed: isAddressed)
  }
}
