public import CEL

/// What rules are written in: CEL with promoted arithmetic, all extensions, and the functions for people of templates.
public enum RuleLanguageEnvironment {
    public static let standard: Environment = {
        var environment = Environment(arithmetic: .promoting, extensions: .all)
        for type in [CELType.double, .int, .uint] {
            environment.add(
                Function(
                    "humanize", .global, [type], .string,
                    body: { (arguments) throws(FunctionFailure) in .string(humanized(try number(arguments[0]))) }))
            environment.add(
                Function(
                    "humanizeDuration", .global, [type], .string,
                    body: { (arguments) throws(FunctionFailure) in .string(humanizedDuration(try number(arguments[0]))) }))
            environment.add(Function("round", .global, [type, .int], .double, body: round))
        }
        environment.addDistance()
        environment.addTotals()
        environment.add(Function("humanizeDuration", .global, [.duration], .string, body: humanizeLength))
        environment.resolvedFunctions =
            ["previous", "changed", "became", "age", "latest", "is_between", "is_weekday", "in_zone"]
            + WindowFunction.Stem.allCases.flatMap { [$0.overTimeName] + ($0.overLastName.map { [$0] } ?? []) }
        return environment
    }()

    @Sendable private static func round(_ arguments: [Value]) throws(FunctionFailure) -> Value {
        guard case .int(let digits) = arguments[1], (0...15).contains(digits) else { throw FunctionFailure("round takes 0 to 15 digits") }
        return .double(rounded(try number(arguments[0]), digits: Int(digits)))
    }

    @Sendable private static func humanizeLength(_ arguments: [Value]) throws(FunctionFailure) -> Value {
        guard case .duration(let nanoseconds) = arguments[0] else { throw FunctionFailure("humanizeDuration takes a duration") }
        return .string(humanizedDuration(Double(nanoseconds) / 1e9))
    }

    private static func number(_ value: Value) throws(FunctionFailure) -> Double {
        switch value {
        case .double(let value): return value
        case .int(let value): return Double(value)
        case .uint(let value): return Double(value)
        default: throw FunctionFailure("a number must stand here")
        }
    }

    static func rounded(_ value: Double, digits: Int) -> Double {
        let scale = JSONCursor.powerOfTen(digits)
        let scaled = value * scale
        return scaled.isFinite ? scaled.rounded(.toNearestOrAwayFromZero) / scale : value
    }

    /// Four significant digits with a metric prefix: 1234567 is `1.235M`.
    static func humanized(_ value: Double) -> String {
        guard value != 0, value.isFinite else { return value.shortest }
        var scaled = value
        var prefix = ""
        if value.magnitude >= 1 {
            for next in ["k", "M", "G", "T", "P", "E", "Z", "Y"] where scaled.magnitude >= 1000 {
                prefix = next
                scaled /= 1000
            }
        } else {
            for next in ["m", "u", "n", "p", "f", "a", "z", "y"] where scaled.magnitude < 1 {
                prefix = next
                scaled *= 1000
            }
        }
        let whole = scaled.magnitude >= 100 ? 3 : scaled.magnitude >= 10 ? 2 : 1
        return rounded(scaled, digits: 4 - whole).shortest + prefix
    }

    /// `1d 2h 3m 4s`; below a second with a metric prefix.
    static func humanizedDuration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds.magnitude < 9e15 else { return seconds.shortest }
        guard seconds.magnitude >= 1 else { return seconds == 0 ? "0s" : humanized(seconds) + "s" }
        var left = Int64(seconds.magnitude)
        var parts: [String] = []
        for (unit, size) in [("d", 86_400), ("h", 3600), ("m", 60)] as [(String, Int64)] {
            if left >= size || !parts.isEmpty { parts.append("\(left / size)\(unit)") }
            left %= size
        }
        parts.append("\(left)s")
        return (seconds < 0 ? "-" : "") + parts.joined(separator: " ")
    }
}
