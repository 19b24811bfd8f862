import DurableFiles
import Foundation
import Glibc

/// The files of a journal: `segment-<first position>.journal`, `rules-<name>.json`, and beside them `checkpoint-<position>.bin`.
struct JournalFolder: Sendable {
    let path: String

    static let segmentHeader: [UInt8] = Array("NSJOURNAL".utf8) + [1] + [UInt8](repeating: 0, count: 6)

    init(_ path: String) throws(JournalFailure) {
        self.path = path
        do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
            throw .unusable("the folder '\(path)' cannot be made: \(String(cString: strerror(errno)))")
        }
    }

    /// One that is there: it is not made again when somebody has removed it.
    init(existing path: String) { self.path = path }

    struct Segment: Sendable {
        var first: UInt64
        var path: String
    }

    /// By first position. Positions begin with 1: a file of another name is none of ours.
    func segments() -> [Segment] {
        names(prefix: "segment-", suffix: ".journal").filter { $0.number > 0 }.map { Segment(first: $0.number, path: path + "/" + $0.name) }
            .sorted {
                $0.first < $1.first
            }
    }

    /// Newest first.
    func checkpoints() -> [Segment] {
        names(prefix: "checkpoint-", suffix: ".bin").map { Segment(first: $0.number, path: path + "/" + $0.name) }.sorted {
            $0.first > $1.first
        }
    }

    func segmentPath(_ first: UInt64) -> String { path + "/segment-" + Self.hexadecimal(first) + ".journal" }
    func checkpointPath(_ position: UInt64) -> String { path + "/checkpoint-" + Self.hexadecimal(position) + ".bin" }

    private func names(prefix: String, suffix: String) -> [(number: UInt64, name: String)] {
        let found = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return found.compactMap { name in
            guard name.hasPrefix(prefix), name.hasSuffix(suffix),
                let number = UInt64(name.dropFirst(prefix.count).dropLast(suffix.count), radix: 16)
            else { return nil }
            return (number, name)
        }
    }

    private static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Makes new names durable.
    func synchronize() { DurableFile.synchronizeFolder(path) }

    static func size(_ path: String) -> Int64 {
        var status = stat()
        return stat(path, &status) == 0 ? Int64(status.st_blocks) * 512 : 0
    }

    static func modifiedAt(_ path: String) -> Date? {
        (try? FileManager.default.attributesOfItem(atPath: path))?[.modificationDate] as? Date
    }
}

/// Why a journal cannot be used.
public enum JournalFailure: Error, CustomStringConvertible {
    case unusable(String)
    /// Something that was safe on the disk is not there any more.
    case damaged(String)

    public var description: String {
        switch self {
        case .unusable(let reason): reason
        case .damaged(let reason): reason
        }
    }
}
