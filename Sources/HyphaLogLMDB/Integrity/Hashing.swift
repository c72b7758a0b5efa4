import COpenSSL
import HyphaCore
public import HyphaLog

/// Hashing with SHA-256, as OpenSSL has it.
///
/// Why this function: every language has it, so an auditor can check a log without Hypha; and on a processor with
/// instructions for it (x86 since 2017, 64-bit ARM) it is by far the fastest that a library of Debian's has. Each event
/// is hashed once on its way in, so that is a good part of what a log costs. On one core (AMD EPYC, OpenSSL 3.0.19,
/// libsodium 1.0.18 with AVX2):
///
/// | bytes | SHA-256 of OpenSSL | BLAKE2b-256 of libsodium | SHA-256 of libsodium |
/// |---:|---:|---:|---:|
/// | 290 | 0.23 µs | 0.56 µs | 0.74 µs |
/// | 1,100 | 0.66 µs | 1.65 µs | 2.5 µs |
///
/// Where the processor has no such instructions it takes about as long as BLAKE2b. That a hash can be extended without
/// knowing what was hashed is of no use to anyone here: nothing secret is hashed, and what is hashed says its own length.
extension Digest {
  /// The hash of `bytes`. Any thread; takes time in proportion to the number of bytes.
  public static func of(_ bytes: UnsafeRawBufferPointer) -> Digest {
    Digest { digest in
      let status = EVP_Digest(
        bytes.baseAddress, bytes.count, digest.assumingMemoryBound(to: UInt8.self), nil,
        SHA256.function.handle, nil)
      precondition(status == 1, "EVP_Digest takes every length")
    }
  }

  /// The hash of `bytes`.
  public static func of(_ bytes: [UInt8]) -> Digest { bytes.withUnsafeBytes { of($0) } }

  /// The hash of each record, for less than one call for each would take.
  static func ofEach(_ appends: [LogBatch.Append]) -> [Digest] {
    var builder = DigestBuilder()
    return appends.map { append in
      append.record.withBytes { builder.add($0) }
      return builder.finishAndBeginAnew()
    }
  }
}

/// Hashes what comes in pieces: the digest is that of all pieces together, wherever they were cut. One thread at a time.
public struct DigestBuilder: ~Copyable {
  private let context: OpaquePointer

  /// A builder that was given nothing yet.
  public init() {
    guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex2(context, SHA256.function.handle, nil) == 1 else {
      preconditionFailure("there is no memory for the state of a hash")
    }
    self.context = context
  }

  deinit { EVP_MD_CTX_free(context) }

  /// Takes more bytes.
  public mutating func add(_ bytes: UnsafeRawBufferPointer) {
    let status = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
    precondition(status == 1, "EVP_DigestUpdate takes every length")
  }

  /// Takes a digest's bytes.
  public mutating func add(_ digest: Digest) { digest.withUnsafeBytes { add($0) } }

  /// The hash of all that was added.
  public consuming func finish() -> Digest { digest() }

  /// The hash of all that was added; what is added next belongs to another.
  mutating func finishAndBeginAnew() -> Digest {
    let digest = digest()
    let status = EVP_DigestInit_ex2(context, nil, nil)
    precondition(status == 1, "EVP_DigestInit_ex2 takes a context that it has made")
    return digest
  }

  private func digest() -> Digest {
    Digest { digest in
      let status = EVP_DigestFinal_ex(context, digest.assumingMemoryBound(to: UInt8.self), nil)
      precondition(status == 1, "EVP_DigestFinal_ex takes 32 bytes")
    }
  }
}

/// OpenSSL's SHA-256, looked up once a process: a look-up for each hash would take longer than the hash.
///
/// `@unchecked Sendable`: the handle is never changed, and OpenSSL lets any thread use it (openssl-threads(7)).
private struct SHA256: @unchecked Sendable {
  static let function = SHA256()
  let handle: OpaquePointer

  private init() {
    guard let handle = EVP_MD_fetch(nil, "SHA256", nil) else {
      preconditionFailure("the OpenSSL of this system has no SHA-256")
    }
    self.handle = handle
  }
}
