/// The sets extension: lists as sets, by CEL's equality.
enum SetFunctions {
    static let all: [StandardFunction] = [
        relation("sets.contains") { (a, b, frame, span) throws(Fault) in try contains(a, b, &frame, span) },
        relation("sets.equivalent") { (a, b, frame, span) throws(Fault) in
            guard try contains(a, b, &frame, span) else { return false }
            return try contains(b, a, &frame, span)
        },
        relation("sets.intersects") { (a, b, frame, span) throws(Fault) in
            for element in a where try has(b, element, &frame, span) { return true }
            return false
        },
    ]

    private static func relation(
        _ name: String, _ test: @escaping @Sendable ([Value], [Value], inout Frame, Span) throws(Fault) -> Bool
    ) -> StandardFunction {
        StandardFunction(
            name, .global, [.of(.list(.dyn), .list(.dyn), to: .bool)],
            .binary { (a, b, frame, span) throws(Fault) in
                guard case .list(let a) = a, case .list(let b) = b else { throw Fault(noOverload: name, [a.kind, b.kind], span) }
                return .bool(try test(a, b, &frame, span))
            })
    }

    private static func has(_ list: [Value], _ wanted: Value, _ frame: inout Frame, _ span: Span) throws(Fault) -> Bool {
        for element in list {
            try frame.charge(1, span)
            if try frame.areEqual(element, wanted, span) { return true }
        }
        return false
    }

    private static func contains(_ all: [Value], _ some: [Value], _ frame: inout Frame, _ span: Span) throws(Fault) -> Bool {
        for element in some where try !has(all, element, &frame, span) { return false }
        return true
    }
}
