// Whichever module is loaded first has `timespec`.
import CLMDB
import Glibc
import HyphaCore
import HyphaLog
import Synchronization

/// What the readers of a log in this process know of its index.
///
/// The index is a help, and never a hindrance: where there is none, it is damaged, or it is of another log, there is no
/// answer, and the reader scans. It is opened when it is first asked, and again when another stands in its place.
final class IndexReader: Sendable {
  private let directory: String
  private let log: any IndexedLog
  private let onDamage: @Sendable (HyphaError) -> Void
  private let state = Mutex(State())

  private struct State {
    var store: IndexStore?
    /// What stands at the index's place: the file that is open, or the one that was found to be of no use.
    var file: FileID?
  }

  private struct FileID {
    let device: UInt
    let inode: UInt
    let changeTime: Int
    let changeNanoseconds: Int

    init?(ofFile path: String) {
      var status = stat()
      guard stat(path, &status) == 0 else { return nil }
      (device, inode) = (UInt(status.st_dev), UInt(status.st_ino))
      (changeTime, changeNanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
    }

    /// Whether it is the same file, which keeps its number while it is open.
    func isFile(_ other: FileID) -> Bool { device == other.device && inode == other.inode }

    /// Whether it is the same file, and nobody has written to it.
    func isUnchanged(_ other: FileID) -> Bool {
      isFile(other) && changeTime == other.changeTime && changeNanoseconds == other.changeNanoseconds
    }
  }

  /// A reader of the index beside `log`.
  ///
  /// - Parameter onDamage: told when the index was found to be damaged, on the reader's thread.
  init(
    _ place: DataDirectory, of log: any IndexedLog,
    onDamage: @escaping @Sendable (HyphaError) -> Void = { _ in }
  ) {
    directory = place.index
    self.log = log
    self.onDamage = onDamage
  }

  /// What the index knows; nil where it cannot help. The log's own damage it does not meet.
  func positions(
    withAllOf groups: [[LogTerm]], in range: ClosedRange<Position>, _ order: ReadOrder, limit: Int
  ) -> IndexedPositions? {
    ask { try $0.positions(withAllOf: groups, in: range, order, limit: limit) }
  }

  /// The newest position that is indexed; nil where there is no index.
  func through() -> Position? {
    ask { try $0.meta($0.environment.beginReading()).through }
  }

  /// Lets go of the index's file.
  func close() { state.withLock { $0 = State() } }

  private func ask<Answer>(_ body: (IndexStore) throws -> Answer?) -> Answer? {
    guard let store = store() else { return nil }
    do {
      return try body(store)
    } catch {
      let error = IndexFailure.from(error)
      // What may pass, such as too many readers, says nothing of the index.
      guard error.code == .logInvalid else { return nil }
      state.withLock { if $0.store === store { $0.store = nil } }
      onDamage(error)
      return nil
    }
  }

  /// The index that stands at its place now.
  private func store() -> IndexStore? {
    let file = FileID(ofFile: DataDirectory.dataFile(in: directory))
    return state.withLock { state in
      guard let file else {
        state = State()
        return nil
      }
      if let known = state.file, state.store == nil ? known.isUnchanged(file) : known.isFile(file) {
        return state.store
      }
      state = State(file: file)
      do {
        state.store = try IndexStore(directory: directory, mode: .reading, log: log)
      } catch {
        let error = IndexFailure.from(error)
        if error.code != .logInvalid { state.file = nil } else { onDamage(error) }
      }
      return state.store
    }
  }
}
