/// The strings extension; all indexes and lengths are in code points.
enum StringFunctions {
    static let all: [StandardFunction] =
        [charAt, lowerAscii, upperAscii, trim, reverse, quote, format]
        + indexOf + lastIndexOf + join + replace + split + substring

    static let charAt = StandardFunction(
        "charAt", .member, [.of(.string, .int, to: .string)],
        .binary { (text, index, frame, span) throws(Fault) in
            guard case .string(let text) = text, case .int(let index) = index else {
                throw Fault(noOverload: "charAt", [text.kind, index.kind], span)
            }
            let scalars = try frame.scalars(text, span)
            guard index >= 0, index <= scalars.count else { throw Fault(.indexOutOfRange, span, "index out of range: \(index)") }
            return .string(index == scalars.count ? "" : String(scalars[Int(index)]))
        })

    // MARK: searching

    private static func search(
        _ name: String, _ find: @escaping @Sendable (_ text: [Unicode.Scalar], _ part: [Unicode.Scalar], _ offset: Int?) -> Int
    ) -> [StandardFunction] {
        @Sendable func run(_ text: Value, _ part: Value, _ offset: Int64?, _ frame: inout Frame, _ span: Span) throws(Fault) -> Value {
            guard case .string(let text) = text, case .string(let part) = part else {
                throw Fault(noOverload: name, [text.kind, part.kind], span)
            }
            try frame.charge(searchSteps(text, part), span)
            let scalars = try frame.scalars(text, span)
            if let offset, offset < 0 || offset > scalars.count { throw Fault(.indexOutOfRange, span, "index out of range: \(offset)") }
            return .int(Int64(find(scalars, try frame.scalars(part, span), offset.map { Int($0) })))
        }
        return [
            StandardFunction(
                name, .member, [.of(.string, .string, to: .int)],
                .binary { (text, part, frame, span) throws(Fault) in try run(text, part, nil, &frame, span) }),
            StandardFunction(
                name, .member, [.of(.string, .string, .int, to: .int)],
                .ternary { (text, part, offset, frame, span) throws(Fault) in
                    guard case .int(let from) = offset else { throw Fault(noOverload: name, [text.kind, part.kind, offset.kind], span) }
                    return try run(text, part, from, &frame, span)
                }),
        ]
    }

    static let indexOf = search("indexOf") { text, part, offset in
        var index = offset ?? 0
        while index + part.count <= text.count {
            if text[index..<(index + part.count)].elementsEqual(part) { return index }
            index += 1
        }
        return -1
    }

    static let lastIndexOf = search("lastIndexOf") { text, part, offset in
        var index = min(offset ?? text.count, text.count - part.count)
        while index >= 0 {
            if text[index..<(index + part.count)].elementsEqual(part) { return index }
            index -= 1
        }
        return -1
    }

    // MARK: taking apart and putting together

    static let join: [StandardFunction] = {
        @Sendable func run(_ list: Value, _ separator: Value?, _ frame: inout Frame, _ span: Span) throws(Fault) -> Value {
            guard case .list(let parts) = list else { throw Fault(noOverload: "join", [list.kind], span) }
            var between = ""
            if let separator {
                guard case .string(let text) = separator else { throw Fault(noOverload: "join", [list.kind, separator.kind], span) }
                between = text
            }
            var result = ""
            for (index, part) in parts.enumerated() {
                guard case .string(let text) = part else { throw Fault(noOverload: "join", [part.kind], span) }
                try frame.build(text.utf8.count &+ between.utf8.count, span)
                if index > 0 { result += between }
                result += text
            }
            return .string(result)
        }
        return [
            StandardFunction(
                "join", .member, [.of(.list(.string), to: .string)],
                .unary { (list, frame, span) throws(Fault) in try run(list, nil, &frame, span) }),
            StandardFunction(
                "join", .member, [.of(.list(.string), .string, to: .string)],
                .binary { (list, separator, frame, span) throws(Fault) in try run(list, separator, &frame, span) }),
        ]
    }()

    static let split: [StandardFunction] = {
        @Sendable func run(_ text: Value, _ separator: Value, _ limit: Int64, _ frame: inout Frame, _ span: Span) throws(Fault) -> Value {
            guard case .string(let text) = text, case .string(let separator) = separator else {
                throw Fault(noOverload: "split", [text.kind, separator.kind], span)
            }
            if limit == 0 { return .list([]) }
            try frame.charge(searchSteps(text, separator), span)
            if separator.isEmpty { try frame.allocate(listBytes(text.utf8.count), span) }
            try frame.build(text.utf8.count, span)
            let pieces = text.pieces(separator, limit: limit < 0 ? Int.max : Int(limit))
            try frame.allocate(listBytes(pieces.count), span)
            return .list(pieces.map { .string($0) })
        }
        return [
            StandardFunction(
                "split", .member, [.of(.string, .string, to: .list(.string))],
                .binary { (text, separator, frame, span) throws(Fault) in try run(text, separator, -1, &frame, span) }),
            StandardFunction(
                "split", .member, [.of(.string, .string, .int, to: .list(.string))],
                .ternary { (text, separator, limit, frame, span) throws(Fault) in
                    guard case .int(let limit) = limit else { throw Fault(noOverload: "split", [limit.kind], span) }
                    return try run(text, separator, limit, &frame, span)
                }),
        ]
    }()

    static let replace: [StandardFunction] = {
        @Sendable func run(
            _ text: Value, _ old: Value, _ new: Value, _ limit: Int64, _ frame: inout Frame, _ span: Span
        ) throws(Fault) -> Value {
            guard case .string(let text) = text, case .string(let old) = old, case .string(let new) = new else {
                throw Fault(noOverload: "replace", [text.kind, old.kind, new.kind], span)
            }
            if limit == 0 { return .string(text) }
            try frame.charge(searchSteps(text, old), span)
            if old.isEmpty { try frame.allocate(listBytes(text.utf8.count), span) }
            try frame.build(text.utf8.count, span)
            // Replacing nothing inserts before every character and at the end.
            let most = limit < 0 || limit == .max ? Int.max : Int(limit) + 1
            var pieces = text.pieces(old, limit: old.isEmpty ? (most == .max ? most : most - 1) : most)
            if old.isEmpty {
                pieces.insert("", at: 0)
                if limit < 0 || limit > pieces.count - 1 { pieces.append("") }
            }
            let (inserted, isOver) = max(0, pieces.count - 1).multipliedReportingOverflow(by: new.utf8.count)
            try frame.build(isOver ? Int.max : inserted, span)
            var result = ""
            for (index, piece) in pieces.enumerated() {
                if index > 0 { result += new }
                result += piece
            }
            return .string(result)
        }
        return [
            StandardFunction(
                "replace", .member, [.of(.string, .string, .string, to: .string)],
                .ternary { (text, old, new, frame, span) throws(Fault) in try run(text, old, new, -1, &frame, span) }),
            StandardFunction(
                "replace", .member, [.of(.string, .string, .string, .int, to: .string)],
                .any { (values, frame, span) throws(Fault) in
                    guard case .int(let limit) = values[3] else { throw Fault(noOverload: "replace", values.map(\.kind), span) }
                    return try run(values[0], values[1], values[2], limit, &frame, span)
                }),
        ]
    }()

    static let substring: [StandardFunction] = {
        @Sendable func run(_ text: Value, _ start: Value, _ end: Value?, _ frame: inout Frame, _ span: Span) throws(Fault) -> Value {
            guard case .string(let text) = text, case .int(let start) = start else {
                throw Fault(noOverload: "substring", [text.kind, start.kind], span)
            }
            let scalars = try frame.scalars(text, span)
            var last = Int64(scalars.count)
            if let end {
                guard case .int(let end) = end else { throw Fault(noOverload: "substring", [.string, .int, end.kind], span) }
                last = end
            }
            guard start >= 0, start <= last, last <= scalars.count else {
                throw Fault(.indexOutOfRange, span, "substring from \(start) to \(last) of \(scalars.count) characters")
            }
            return .string(String(scalars[Int(start)..<Int(last)]))
        }
        return [
            StandardFunction(
                "substring", .member, [.of(.string, .int, to: .string)],
                .binary { (text, start, frame, span) throws(Fault) in try run(text, start, nil, &frame, span) }),
            StandardFunction(
                "substring", .member, [.of(.string, .int, .int, to: .string)],
                .ternary { (text, start, end, frame, span) throws(Fault) in try run(text, start, end, &frame, span) }),
        ]
    }()

    // MARK: changing

    private static func change(_ name: String, _ change: @escaping @Sendable (String) -> String) -> StandardFunction {
        StandardFunction(
            name, .member, [.of(.string, to: .string)],
            .unary { (text, frame, span) throws(Fault) in
                guard case .string(let text) = text else { throw Fault(noOverload: name, [text.kind], span) }
                try frame.build(text.utf8.count, span)
                return .string(change(text))
            })
    }

    static let lowerAscii = change("lowerAscii") { text in
        String(decoding: text.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }
    static let upperAscii = change("upperAscii") { text in
        String(decoding: text.utf8.map { (0x61...0x7A).contains($0) ? $0 & 0xDF : $0 }, as: UTF8.self)
    }
    static let trim = change("trim") { text in
        let scalars = text.unicodeScalars
        guard let first = scalars.firstIndex(where: { !$0.properties.isWhitespace }),
            let last = scalars.lastIndex(where: { !$0.properties.isWhitespace })
        else { return "" }
        return String(scalars[first...last])
    }
    static let reverse = StandardFunction(
        "reverse", .member, [.of(.string, to: .string), .of(.list(.dyn), to: .list(.dyn))],
        .unary { (value, frame, span) throws(Fault) in
            guard case .string(let text) = value else { return try ListFunctions.reversed(value, &frame, span) }
            return .string(String(try frame.scalars(text, span).reversed()[...]))
        })

    static let quote = StandardFunction(
        "strings.quote", .global, [.of(.string, to: .string)],
        .unary { (text, frame, span) throws(Fault) in
            guard case .string(let text) = text else { throw Fault(noOverload: "strings.quote", [text.kind], span) }
            try frame.build(text.utf8.count &* 2, span)
            var result = "\""
            for scalar in text.unicodeScalars {
                switch scalar.value {
                case 0x07: result += "\\a"
                case 0x08: result += "\\b"
                case 0x09: result += "\\t"
                case 0x0A: result += "\\n"
                case 0x0B: result += "\\v"
                case 0x0C: result += "\\f"
                case 0x0D: result += "\\r"
                case 0x22: result += "\\\""
                case 0x5C: result += "\\\\"
                default: result.unicodeScalars.append(scalar)
                }
            }
            return .string(result + "\"")
        })

    static let format = StandardFunction(
        "format", .member, [.of(.string, .list(.dyn), to: .string)],
        .binary { (text, arguments, frame, span) throws(Fault) in
            guard case .string(let text) = text, case .list(let arguments) = arguments else {
                throw Fault(noOverload: "format", [text.kind, arguments.kind], span)
            }
            var formatter = StringFormatter(span: span)
            try formatter.format(text, arguments, &frame)
            return .string(formatter.text)
        })
}

extension Frame {
    /// Takes bytes of memory and the steps it takes to write them.
    mutating func build(_ bytes: Int, _ span: Span) throws(Fault) {
        try allocate(bytes, span)
        try charge(bytes / 64, span)
    }

    /// The code points of a text, charged.
    mutating func scalars(_ text: String, _ span: Span) throws(Fault) -> [Unicode.Scalar] {
        try allocate(text.utf8.count &* 4, span)
        try charge(text.utf8.count / 16, span)
        return Array(text.unicodeScalars)
    }
}

extension String {
    init(_ scalars: ArraySlice<Unicode.Scalar>) {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        self = String(view)
    }

    /// The text cut at each separator into at most `limit` pieces; at every character when the separator is empty.
    fileprivate func pieces(_ separator: String, limit: Int) -> [String] {
        guard limit > 1 else { return [self] }
        var pieces: [String] = []
        if separator.isEmpty {
            var rest = unicodeScalars[...]
            while let first = rest.first, pieces.count < limit - 1 {
                pieces.append(String(first))
                rest = rest.dropFirst()
            }
            if !rest.isEmpty { pieces.append(String(rest)) }
            return pieces
        }
        withBytes { text in
            separator.withBytes { separator in
                var start = 0
                while pieces.count < limit - 1, let found = Bytes.find(separator, in: text, from: start) {
                    pieces.append(String(decoding: text[start..<found], as: UTF8.self))
                    start = found + separator.count
                }
                pieces.append(String(decoding: text[start...], as: UTF8.self))
            }
        }
        return pieces
    }
}
