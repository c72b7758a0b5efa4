import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB

/// What libFuzzer calls with each input: a damaged log is an error that names what is damaged, or gives every event
/// as it was; never other events, and never fewer without an error.
///
/// An input is a list of edits to the file of a sound log, 6 bytes each (see ``Edit``). Whatever reads the file runs in
/// a child process: LMDB follows its pages without checks, so a deep damage may end the reader, as it may end
/// `hypha log verify`, whose death is a finding. *Opening* a log must not die.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ input: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let sound = SoundLog.shared
  sound.damage(Edit.list(UnsafeRawBufferPointer(start: input, count: count)))
  var stage: Int32 = 0
  let outcome = hypha_run_isolated({ SoundLog.shared.read(stage: $0!) }, &stage)
  if outcome < 0 && stage == Stage.opening.rawValue {
    fatalError("opening the damaged log ended by signal \(-outcome)")
  }
  if outcome == Outcome.wrong.rawValue { fatalError("the damaged log gave other events, and no error") }
  return 0
}

enum Stage: Int32 { case opening, reading }

enum Outcome: Int32 { case sound, found, wrong }

/// One change to a file: what, where, and with which value.
struct Edit {
  var kind: UInt8
  var offset: Int
  var value: UInt16

  /// The edits that an input says, up to 16.
  static func list(_ bytes: UnsafeRawBufferPointer) -> [Edit] {
    stride(from: 0, to: min(bytes.count, 96) - 5, by: 6).map { at in
      let offset = Int(bytes[at + 1]) | Int(bytes[at + 2]) << 8 | Int(bytes[at + 3]) << 16
      let value = UInt16(bytes[at + 4]) | UInt16(bytes[at + 5]) << 8
      return Edit(kind: bytes[at], offset: offset, value: value)
    }
  }

  func apply(to file: inout [UInt8]) {
    guard !file.isEmpty else { return }
    let place = offset % file.count
    switch kind % 6 {
    case 0: file[place] ^= UInt8(value & 0xFF)
    case 1: put(value, at: place, in: &file)
    case 2: put(UInt64(value), at: place, in: &file)
    case 3: put(UInt64(value) &- 32_768, at: place, in: &file)
    case 4: file.removeLast(file.count - place)
    default:
      // A page in another's place.
      let (from, to) = (Int(value) * 4_096 % file.count, place & ~4_095)
      file.replaceSubrange(
        to..<min(to + 4_096, file.count), with: file[from...].prefix(min(4_096, file.count - to)))
    }
  }

  private func put(_ value: some FixedWidthInteger, at place: Int, in file: inout [UInt8]) {
    withUnsafeBytes(of: value.littleEndian) { bytes in
      for (index, byte) in bytes.enumerated() where place + index < file.count { file[place + index] = byte }
    }
  }
}
