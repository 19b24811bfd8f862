import Foundation
import RuleEngine

/// What became of a write, from InfluxDB's answer.
enum WriteVerdict: Equatable, Sendable {
    case written
    /// Some points were refused for good, the others written.
    case refused(points: Int, reason: String)
    case tooLarge
    /// Everything is to be written again later.
    case unavailable(reason: String, retryAfter: Duration?)

    /// - Parameter shown: `said` as people may see it.
    init(status: Int, said: String, shown: String? = nil, points: Int, retryAfter: Duration? = nil) {
        let words = shown ?? said
        let reason = "InfluxDB answered \(status)\(words.isEmpty ? "" : ": \(words)")"
        switch status {
        case 200...299: self = .written
        case 413: self = .tooLarge
        case 400, 422: self = .refused(points: Self.refused(said, of: points), reason: reason)
        // InfluxDB 1.x calls a policy that is not there an error of its own.
        case 500 where said.contains("retention policy not found"): self = .refused(points: points, reason: reason)
        case 300...399: self = .unavailable(reason: "\(reason): redirects are not followed", retryAfter: nil)
        default: self = .unavailable(reason: reason, retryAfter: retryAfter)
        }
    }

    /// "partial write: … dropped=3" of 1.x and 2.x: the others are written. Lines that cannot be parsed are not counted by them; then it is one or more.
    private static func refused(_ said: String, of points: Int) -> Int {
        guard said.contains("partial write") else { return points }
        guard let mark = said.range(of: "dropped=", options: .backwards) else { return 1 }
        let number = Int(said[mark.upperBound...].prefix { $0.isASCII && $0.isNumber }) ?? 1
        return min(max(1, number), points)
    }
}
