import DurableFiles
import Foundation

/// `recorder` in the data folder: the spool's files, and `position`, up to which of the journal everything is in InfluxDB or in the spool.
struct RecorderFolder: Sendable {
    let path: String

    private var file: String { path + "/position" }

    var position: UInt64? {
        FileManager.default.contents(atPath: file).flatMap {
            UInt64(String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
        }
    }

    /// Where that fails, readings may be written again after a crash.
    func save(position: UInt64) { try? DurableFile.write(Array("\(position)\n".utf8), to: file) }

    func forgetPosition() { try? FileManager.default.removeItem(atPath: file) }
}
