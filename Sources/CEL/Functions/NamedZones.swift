internal import FoundationEssentials
internal import FoundationInternationalization
internal import Synchronization

/// IANA time zones by name, old links (`US/Central`) too. The one place that needs Foundation: on Linux only FoundationInternationalization
/// knows the zones.
enum NamedZones {
    private static let cache = Mutex<[String: TimeZone?]>([:])

    /// Seconds east of UTC at an instant (seconds since 1970); nil for a name that is no zone.
    static func offset(_ name: String, at instant: Int64) -> Int64? {
        guard let zone = zone(name) else { return nil }
        return Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant))))
    }

    /// Whether a name has been looked for before.
    static func isKnown(_ name: String) -> Bool { cache.withLock { $0.keys.contains(name) } }

    private static func zone(_ name: String) -> TimeZone? {
        if let known = cache.withLock({ $0[name] }) { return known }
        // Names are plain ASCII; anything else must not reach the file names they are looked up by.
        let isPlain = name.utf8.count <= 64 && name.utf8.allSatisfy { Lexer.isLetter($0) || Lexer.isDigit($0) || "/+-".utf8.contains($0) }
        guard isPlain else { return nil }
        // Unknown names are remembered, too: looking for a zone is slow.
        let zone = TimeZone(identifier: name)
        cache.withLock { if $0.count < 1024 { $0.updateValue(zone, forKey: name) } }
        return zone
    }
}
