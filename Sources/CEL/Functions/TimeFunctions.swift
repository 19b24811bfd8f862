/// The accessors of timestamps and durations: `getFullYear()` … `getMilliseconds()`, with an optional time zone.
enum TimeFunctions {
    static let all: [StandardFunction] =
        [
            accessor("getFullYear") { civil, _ in civil.year },
            accessor("getMonth") { civil, _ in civil.month - 1 },
            accessor("getDate") { civil, _ in civil.day },
            accessor("getDayOfMonth") { civil, _ in civil.day - 1 },
            accessor("getDayOfYear") { civil, _ in civil.dayOfYear },
            accessor("getDayOfWeek") { civil, _ in civil.dayOfWeek },
            accessor("getHours", durationUnit: 3_600_000_000_000) { civil, _ in civil.hour },
            accessor("getMinutes", durationUnit: 60_000_000_000) { civil, _ in civil.minute },
            accessor("getSeconds", durationUnit: 1_000_000_000) { civil, _ in civil.second },
            accessor("getMilliseconds", durationUnit: 1_000_000, within: 1000) { _, nanoseconds in Int64(nanoseconds) / 1_000_000 },
        ].flatMap(\.self)

    /// One accessor without and with a zone. A duration gives the whole number of units in it, `within` a larger unit where that is given.
    private static func accessor(
        _ name: String, durationUnit: Int64? = nil, within: Int64? = nil, _ part: @escaping @Sendable (CivilTime, Int32) -> Int64
    ) -> [StandardFunction] {
        var signatures: [StandardFunction.Signature] = [.of(.timestamp, to: .int)]
        if durationUnit != nil { signatures.append(.of(.duration, to: .int)) }
        let plain = StandardFunction(
            name, .member, signatures,
            .unary { (value, _, span) throws(Fault) in
                switch value {
                case .timestamp(let instant): return .int(part(CivilTime(secondsSinceEpoch: instant.seconds), instant.nanoseconds))
                case .duration(let length):
                    guard let durationUnit else { throw Fault(noOverload: name, [value.kind], span) }
                    let whole = length / durationUnit
                    return .int(within.map { whole % $0 } ?? whole)
                default: throw Fault(noOverload: name, [value.kind], span)
                }
            })
        let zoned = StandardFunction(
            name, .member, [.of(.timestamp, .string, to: .int)],
            .binary { (value, zone, frame, span) throws(Fault) in
                guard case .timestamp(let instant) = value, case .string(let zone) = zone else {
                    throw Fault(noOverload: name, [value.kind, zone.kind], span)
                }
                // No zone's name is as long, and reading it would take time that no limit counts.
                guard zone.utf8.count <= 64 else { throw Fault(.badArgument, span, "unknown time zone") }
                try frame.charge(ZoneOffset.steps(zone), span)
                guard let offset = ZoneOffset.seconds(zone, at: instant.seconds) else {
                    throw Fault(.badArgument, span, "unknown time zone '\(zone)'")
                }
                return .int(part(CivilTime(secondsSinceEpoch: instant.seconds + offset), instant.nanoseconds))
            })
        return [plain, zoned]
    }
}

/// Seconds east of UTC of a zone at an instant.
enum ZoneOffset {
    static func seconds(_ zone: String, at instant: Int64) -> Int64? {
        if let fixed = fixed(zone) { return fixed }
        return NamedZones.offset(zone, at: instant)
    }

    /// Steps that finding a zone is charged: one met for the first time is looked for among files.
    static func steps(_ zone: String) -> Int { fixed(zone) != nil || NamedZones.isKnown(zone) ? 8 : 2000 }

    /// `UTC`, `Z`, `±hh:mm` and `hh:mm`.
    private static func fixed(_ zone: String) -> Int64? {
        zone.withBytes { bytes in
            if Bytes.areEqual(bytes, "UTC") || Bytes.areEqual(bytes, "GMT") || Bytes.areEqual(bytes, "Z") { return 0 }
            var digits = bytes[...]
            var sign: Int64 = 1
            if let first = digits.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
                sign = first == UInt8(ascii: "-") ? -1 : 1
                digits = digits.dropFirst()
            }
            let parts = Array(digits)
            guard parts.count == 5, parts[2] == UInt8(ascii: ":"), [0, 1, 3, 4].allSatisfy({ Lexer.isDigit(parts[$0]) }) else { return nil }
            let hours = Int64(parts[0] - 0x30) * 10 + Int64(parts[1] - 0x30)
            let minutes = Int64(parts[3] - 0x30) * 10 + Int64(parts[4] - 0x30)
            guard hours <= 23, minutes <= 59 else { return nil }
            return sign * (hours * 3600 + minutes * 60)
        }
    }
}

extension Bytes {
    static func areEqual(_ bytes: UnsafeBufferPointer<UInt8>, _ text: StaticString) -> Bool {
        areEqual(bytes, UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}
