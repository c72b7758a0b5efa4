import Foundation
import HyphaCore
import HyphaTransport

/// A directory of nodes' link keys: `NODE.public` for everybody, `NODE.private` for that node alone, each a line of Z85.
struct KeyFiles {
  let directory: String

  func publicPath(of node: NodeID) -> String { "\(directory)/\(node).public" }
  func privatePath(of node: NodeID) -> String { "\(directory)/\(node).private" }

  /// The nodes that have a file here, sorted.
  func nodes() throws -> [NodeID] {
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: directory)
    } catch {
      throw HyphaError(
        .fileUnavailable, "the directory of keys \(directory) cannot be read",
        remedy: "make it with 'hypha keys generate --output \(directory) NODE'")
    }
    let stems = names.filter { $0.hasSuffix(".public") || $0.hasSuffix(".private") }.map {
      String($0[..<($0.lastIndex(of: ".") ?? $0.endIndex)])
    }
    return Set(stems.compactMap { try? NodeID($0) }).sorted()
  }

  // MARK: Reading

  /// A node's public key.
  ///
  /// - Throws: ``HyphaError/Code/fileUnavailable`` or ``HyphaError/Code/invalidInput``, naming the file.
  func publicKey(of node: NodeID) throws -> LinkKey {
    let path = publicPath(of: node)
    guard let bytes = FileManager.default.contents(atPath: path) else {
      throw HyphaError(
        .fileUnavailable, "the public key of node '\(node)' cannot be read from \(path)",
        remedy: "copy it there, or make a pair: hypha keys generate --output \(directory) \(node)")
    }
    do { return try LinkKey(Self.line(bytes)) } catch let error as HyphaError {
      throw HyphaError(.invalidInput, "\(path): \(error.problem)", remedy: error.remedy)
    }
  }

  /// The private key in a file that is its user's alone.
  ///
  /// - Throws: ``HyphaError/Code/fileUnavailable`` or ``HyphaError/Code/invalidInput``, naming the file, never its content.
  static func secret(at path: String) throws -> LinkSecret {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw HyphaError(
        .fileUnavailable, "the private key \(path) cannot be read",
        remedy: "give the file that 'hypha keys generate' made for this node",
        cause: String(cString: strerror(errno)))
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw HyphaError(.invalidInput, "the private key \(path) is no file", remedy: "give a file")
    }
    guard status.st_mode & 0o077 == 0 else {
      throw HyphaError(
        .invalidInput,
        "the private key \(path) is open to others (mode \(String(status.st_mode & 0o777, radix: 8)))",
        remedy: "run chmod 600 \(path), and make a new pair if somebody may have read it")
    }
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = read(descriptor, &bytes, bytes.count)
    do { return try LinkSecret(line(Data(bytes.prefix(max(0, count))))) } catch let error as HyphaError {
      throw HyphaError(.invalidInput, "\(path): \(error.problem)", remedy: error.remedy)
    }
  }

  private static func line(_ bytes: Data) -> String {
    String(decoding: bytes.prefix(256), as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  // MARK: Writing

  /// Makes the directory, with mode 0700, and checks that it is the user's alone.
  func prepare() throws {
    try? FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    var status = stat()
    guard stat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw HyphaError(
        .fileUnavailable, "the directory of keys \(directory) cannot be made", remedy: "give another --output"
      )
    }
    guard status.st_mode & 0o077 == 0 else {
      throw HyphaError(
        .fileUnavailable,
        "the directory of keys \(directory) is open to others (mode \(String(status.st_mode & 0o777, radix: 8)))",
        remedy: "run chmod 700 \(directory), or give another --output")
    }
  }

  /// Refuses nodes that have a key here already.
  func checkFree(_ node: NodeID) throws {
    for path in [privatePath(of: node), publicPath(of: node)]
    where FileManager.default.fileExists(atPath: path) {
      throw HyphaError(
        .fileUnavailable, "\(path) is there already",
        remedy:
          "give another --output, or --force to replace the pair; its old public key is worth nothing then")
    }
  }

  /// Writes a pair so that it is there after a crash; the private half first, with mode 0600.
  func write(_ pair: LinkKeyPair, of node: NodeID, replacing: Bool) throws {
    try pair.secret.withText { try write($0, to: privatePath(of: node), mode: 0o600, replacing: replacing) }
    try write(pair.key.text, to: publicPath(of: node), mode: 0o644, replacing: replacing)
    let descriptor = open(directory, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }

  private func write(_ text: String, to path: String, mode: mode_t, replacing: Bool) throws {
    let draft = "\(path).\(getpid())"
    unlink(draft)
    let descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
    guard descriptor >= 0 else { throw unwritable(path) }
    defer { unlink(draft) }
    let line = Array("\(text)\n".utf8)
    let isWritten = Glibc.write(descriptor, line, line.count) == line.count && fsync(descriptor) == 0
    close(descriptor)
    // A link does not replace what somebody else has put there meanwhile.
    guard isWritten, replacing ? rename(draft, path) == 0 : link(draft, path) == 0 else {
      throw unwritable(path)
    }
  }

  private func unwritable(_ path: String) -> HyphaError {
    HyphaError(
      .fileUnavailable, "\(path) cannot be written", remedy: "check the directory, or give another --output",
      cause: String(cString: strerror(errno)))
  }
}
