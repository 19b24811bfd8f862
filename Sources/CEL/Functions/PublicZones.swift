/// A time zone, for hosts: the same zones that `getHours('Europe/Oslo')` knows.
public struct NamedZone: Hashable, Sendable {
    public let name: String

    public static let utc = NamedZone(fixed: "UTC")
    private init(fixed name: String) { self.name = name }

    /// An IANA name, `UTC`, or a fixed offset such as `+02:00`; nil for a name that is no zone.
    public init?(_ name: String) {
        guard ZoneOffset.seconds(name, at: 0) != nil else { return nil }
        self.name = name
    }

    /// Seconds east of UTC at an instant (seconds since 1970).
    public func offset(at seconds: Int64) -> Int64 { ZoneOffset.seconds(name, at: seconds) ?? 0 }
}
