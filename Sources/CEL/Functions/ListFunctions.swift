/// The lists extension: `slice flatten distinct sort reverse`, `lists.range`.
enum ListFunctions {
    static let all: [StandardFunction] = [slice, distinct, sort, range, reverse] + flatten

    static let slice = StandardFunction(
        "slice", .member, [.of(.list(.dyn), .int, .int, to: .list(.dyn))],
        .ternary { (list, start, end, frame, span) throws(Fault) in
            guard case .list(let elements) = list, case .int(let start) = start, case .int(let end) = end else {
                throw Fault(noOverload: "slice", [list.kind, start.kind, end.kind], span)
            }
            guard start >= 0, start <= end, end <= elements.count else {
                throw Fault(.indexOutOfRange, span, "slice from \(start) to \(end) of \(elements.count) elements")
            }
            try frame.allocate(listBytes(Int(end - start)), span)
            return .list(Array(elements[Int(start)..<Int(end)]))
        })

    static let flatten: [StandardFunction] = [
        StandardFunction(
            "flatten", .member, [.of(.list(.dyn), to: .list(.dyn))],
            .unary { (list, frame, span) throws(Fault) in try flattened(list, 1, &frame, span) }),
        StandardFunction(
            "flatten", .member, [.of(.list(.dyn), .int, to: .list(.dyn))],
            .binary { (list, depth, frame, span) throws(Fault) in
                guard case .int(let depth) = depth else { throw Fault(noOverload: "flatten", [list.kind, depth.kind], span) }
                guard depth >= 0 else { throw Fault(.badArgument, span, "a depth cannot be negative") }
                return try flattened(list, depth, &frame, span)
            }),
    ]

    private static func flattened(_ list: Value, _ depth: Int64, _ frame: inout Frame, _ span: Span) throws(Fault) -> Value {
        guard case .list(let elements) = list else { throw Fault(noOverload: "flatten", [list.kind], span) }
        var result: [Value] = []
        try append(elements, depth, to: &result, &frame, span)
        return .list(result)
    }

    private static func append(
        _ elements: [Value], _ depth: Int64, to result: inout [Value], _ frame: inout Frame, _ span: Span
    ) throws(Fault) {
        for element in elements {
            try frame.charge(1, span)
            if depth > 0, case .list(let inner) = element {
                try append(inner, depth - 1, to: &result, &frame, span)
            } else {
                try frame.allocate(MemoryLayout<Value>.stride, span)
                result.append(element)
            }
        }
    }

    static let distinct = StandardFunction(
        "distinct", .member, [.of(.list(.dyn), to: .list(.dyn))],
        .unary { (list, frame, span) throws(Fault) in
            guard case .list(let elements) = list else { throw Fault(noOverload: "distinct", [list.kind], span) }
            try frame.allocate(mapBytes(elements.count), span)
            var result: [Value] = []
            // What can be a key is found by its hash; the rest is compared one by one.
            var seen = CELMap.Builder(capacity: elements.count)
            var others: [Value] = []
            for element in elements {
                try frame.charge(1, span)
                try frame.chargeKey(element, span)
                if let key = MapKey(lookingUp: element) {
                    guard seen.insert(key.value, .null) == .inserted else { continue }
                } else {
                    var isKnown = false
                    for other in others {
                        try frame.charge(1, span)
                        if try frame.areEqual(element, other, span) {
                            isKnown = true
                            break
                        }
                    }
                    if isKnown { continue }
                    others.append(element)
                }
                result.append(element)
            }
            return .list(result)
        })

    static let sort = StandardFunction(
        "sort", .member, [.of(.list(.dyn), to: .list(.dyn))],
        .unary { (list, frame, span) throws(Fault) in
            guard case .list(let elements) = list else { throw Fault(noOverload: "sort", [list.kind], span) }
            return .list(try sorted(elements, by: elements, &frame, "sort", span))
        })

    static let range = StandardFunction(
        "lists.range", .global, [.of(.int, to: .list(.int))],
        .unary { (count, frame, span) throws(Fault) in
            guard case .int(let count) = count else { throw Fault(noOverload: "lists.range", [count.kind], span) }
            guard count > 0 else { return .list([]) }
            let (bytes, isOver) = count.multipliedReportingOverflow(by: Int64(MemoryLayout<Value>.stride))
            try frame.allocate(isOver ? Int.max : Int(bytes), span)
            try frame.charge(Int(count), span)
            return .list((0..<count).map { .int($0) })
        })

    static let reverse = StandardFunction(
        "reverse", .member, [.of(.list(.dyn), to: .list(.dyn))],
        .unary { (list, frame, span) throws(Fault) in try reversed(list, &frame, span) })

    static func reversed(_ list: Value, _ frame: inout Frame, _ span: Span) throws(Fault) -> Value {
        guard case .list(let elements) = list else { throw Fault(noOverload: "reverse", [list.kind], span) }
        try frame.allocate(listBytes(elements.count), span)
        return .list(elements.reversed())
    }
}

extension MapKey {
    /// A value that has this key.
    var value: Value {
        switch self {
        case .bool(let flag): .bool(flag)
        case .int(let number): .int(number)
        case .large(let number): .uint(number)
        case .string(let text): .string(text)
        }
    }
}
