import CLMDB
// Whichever module is loaded first has `timespec`.
import Glibc
import HyphaCore
public import HyphaLog

extension LMDBLog {
  /// The log's newest head, signed with the node's key, which is made where there is none. Any thread; about a tenth of a
  /// millisecond, and two syncs where a key is made.
  ///
  /// - Throws: as ``NodeKey/loadOrCreate(in:)``; ``HyphaError/Code/logFailed`` once the log is closed.
  public func signedHead() throws -> SignedHead? {
    // The open log has the directory's writer's lock.
    try SignedHead(signingHeadOf: open(), with: NodeKey.load(from: directory) ?? .loadOrCreate(in: directory))
  }
}

extension SignedHead {
  /// Signs what a store holds now.
  init(signingHeadOf store: LogStore, with key: NodeKey) throws {
    let head = try store.view().head
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let microseconds = UInt64(now.tv_sec) * 1_000_000 + UInt64(now.tv_nsec) / 1_000
    self.init(
      signing: LogHead(
        log: store.identity, position: head.position, chain: head.link, newestAt: head.time),
      at: max(head.time, Timestamp(microseconds: microseconds)), with: key)
  }
}
