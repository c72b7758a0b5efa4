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
    /// What stands at the index's place, or stood when it was last found to be of no use.
    var file: FileID?
  }

  private struct FileID: Equatable {
    let device: UInt
    let inode: UInt

    init?(ofFile path: String) {
      var status = stat()
      guard stat(path, &status) == 0 else { return nil }
      (device, inode) = (UInt(status.st_dev), UInt(status.st_ino))
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
      state.withLock { if $0.store === store { $0.store = nil } }
      onDamage(IndexFailure.from(error))
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
      if file == state.file { return state.store }
      state = State(file: file)
      do {
        state.store = try IndexStore(directory: directory, mode: .reading, log: log)
      } catch {
        let error = IndexFailure.from(error)
        // What may pass, such as too many readers, is tried again.
        if error.code != .logInvalid { state.file = nil } else { onDamage(error) }
      }
      return state.store
    }
  }
}
