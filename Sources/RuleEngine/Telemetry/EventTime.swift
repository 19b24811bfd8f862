/// Stamps in payloads: when a reading was measured.
enum EventTime {
    /// A stamp further ahead of the receipt than this is a mistake of the device's clock.
    static let tolerance: Int64 = 300_000_000_000

    /// A number of seconds, milliseconds, microseconds or nanoseconds since 1970, which its size tells apart until the year 5138, or RFC 3339, or such a number as text. Nil for
    /// anything else.
    static func instant(_ field: DecodedField, in payload: UnsafeRawBufferPointer) -> Instant? {
        switch field.kind {
        case .number: return instant(of: field.number)
        case .string where !field.isEscaped:
            let text = UnsafeBufferPointer(rebasing: payload.bindMemory(to: UInt8.self)[field.start..<field.end])
            if let instant = Instant(rfc3339: text) { return instant }
            var cursor = JSONCursor(UnsafeRawBufferPointer(text))
            guard !text.isEmpty, let number = try? cursor.number(), cursor.isAtEnd else { return nil }
            return instant(of: number)
        default: return nil
        }
    }

    static func instant(of number: Double) -> Instant? {
        let scale: Double =
            switch number.magnitude {
            case ..<1e11: 1e9
            case ..<1e14: 1e6
            case ..<1e17: 1e3
            default: 1
            }
        // Whole units and the rest apart: their product would not fit a double's digits.
        let whole = number.rounded(.down)
        guard let units = Int64(exactly: whole), let rest = Int64(exactly: ((number - whole) * scale).rounded()) else { return nil }
        let (product, overflow) = units.multipliedReportingOverflow(by: Int64(scale))
        return overflow ? nil : Instant(nanoseconds: product) + rest
    }
}
