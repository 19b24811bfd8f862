/// Which fields of a payload, by their paths: names joined by `.`, elements as `[0]`.
public struct FieldSelection: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        case none, all
        case paths([String])
    }
    public let kind: Kind
    public init(_ kind: Kind) { self.kind = kind }

    fileprivate var namesElements: Bool {
        if case .paths(let paths) = kind { return paths.contains { $0.contains("[") } }
        return false
    }
}

/// One number, truth value or text of a payload.
public struct PayloadScalar: Sendable {
    public enum Kind: Sendable { case number, bool, text }
    public var kind: Kind
    /// Of a truth value 1 or 0.
    public var number: Double
    var path: Range<Int>
    var text: Range<Int>
}

/// Decodes all scalars of a payload with their paths, where rules decode only what they read.
///
/// Numbers and truth values as `fields` selects them, texts as `texts` does. What a payload is, and what its fields are, is as for rules: an object's members, or `value`. Elements of
/// arrays are passed over unless a selection names one. Of a name that stands twice, the last one counts. Memory is bounded and used again.
public final class PayloadScalars {
    /// What was not taken of the last payload.
    public struct LeftOut: Sendable, Equatable {
        /// Numbers that no double holds.
        public var outOfRange = 0
        /// Beyond `mostScalars`.
        public var tooMany = 0
        /// Paths or texts beyond their lengths.
        public var tooLong = 0
    }

    public static let mostScalars = 256
    public static let longestPath = 256
    public static let longestText = 16_384

    private enum Selected {
        case none, all
        case paths(ByteTable)

        init(_ selection: FieldSelection) {
            switch selection.kind {
            case .none: self = .none
            case .all: self = .all
            case .paths(let paths):
                let table = ByteTable()
                for path in Set(paths) { _ = Array(path.utf8).withUnsafeBytes { table.insert($0) } }
                self = .paths(table)
            }
        }

        func has(_ path: UnsafeRawBufferPointer) -> Bool {
            switch self {
            case .none: false
            case .all: true
            case .paths(let table): table.find(path) >= 0
            }
        }
    }

    private let fields: Selected
    private let texts: Selected
    private let stampPath: [UInt8]
    private let walksElements: Bool
    private var path: [UInt8] = []
    private var bytes: [UInt8] = []
    public private(set) var scalars: [PayloadScalar] = []
    public private(set) var leftOut = LeftOut()
    private var stamp: Instant?

    /// - Parameter stampPath: the field that says when the reading was measured; it is no scalar unless `fields` or `texts` name it.
    public init(fields: FieldSelection = FieldSelection(.all), texts: FieldSelection = FieldSelection(.none), stampPath: String? = nil) {
        self.fields = Selected(fields)
        self.texts = Selected(texts)
        self.stampPath = Array((stampPath ?? "").utf8)
        walksElements = fields.namesElements || texts.namesElements || (stampPath?.contains("[") ?? false)
    }

    /// When the reading in the last payload was measured, by its own stamp; nil when there is none that can be read, and for one that is ahead of the receipt by more than clocks differ.
    public func measuredAt(receivedAt: Instant) -> Instant? {
        guard let stamp, stamp - receivedAt <= EventTime.tolerance else { return nil }
        return stamp
    }

    /// Bytes of a scalar's path; not empty, well-formed UTF-8.
    public func withPath<Result>(of scalar: PayloadScalar, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[scalar.path])) }
    }

    /// Bytes of a text, escapes resolved.
    public func withText<Result>(of scalar: PayloadScalar, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[scalar.text])) }
    }

    /// `isText`: the payload is text, whatever it looks like. After a failure there are no scalars.
    public func decode(_ payload: UnsafeRawBufferPointer, isText: Bool = false) throws(DecodeFailure) {
        path.removeAll(keepingCapacity: true)
        clear()
        leftOut = LeftOut()
        do throws(DecodeFailure) {
            try take(payload, isText)
        } catch {
            clear()
            throw error
        }
    }

    private func clear() {
        bytes.removeAll(keepingCapacity: true)
        scalars.removeAll(keepingCapacity: true)
        stamp = nil
    }

    private func take(_ payload: UnsafeRawBufferPointer, _ isText: Bool) throws(DecodeFailure) {
        guard !isText else { return try takeText(payload) }
        guard !payload.isEmpty else { throw .empty }
        var cursor = JSONCursor(payload)
        cursor.skipWhiteSpace()
        if !cursor.isAtEnd, cursor.byte == UInt8(ascii: "{") || cursor.byte == UInt8(ascii: "[") {
            if cursor.byte == UInt8(ascii: "[") { path += "value".utf8 }
            try value(&cursor, payload, depth: 0)
            cursor.skipWhiteSpace()
            guard cursor.isAtEnd else { throw .syntax }
            return
        }
        guard let scalar = PayloadDecoder.scalar(&cursor) else { return try takeText(payload) }
        path += "value".utf8
        note(scalar, payload)
    }

    private func takeText(_ payload: UnsafeRawBufferPointer) throws(DecodeFailure) {
        guard JSONCursor.isUTF8(payload.bindMemory(to: UInt8.self)) else { throw .utf8 }
        path += "value".utf8
        note(DecodedField(kind: .string, end: payload.count), payload)
    }

    // MARK: Walking

    private func value(_ cursor: inout JSONCursor, _ payload: UnsafeRawBufferPointer, depth: Int) throws(DecodeFailure) {
        guard depth <= JSONCursor.maximumDepth else { throw .depth }
        cursor.skipWhiteSpace()
        guard !cursor.isAtEnd else { throw .syntax }
        switch cursor.byte {
        case UInt8(ascii: "{"): try object(&cursor, payload, depth: depth)
        case UInt8(ascii: "["):
            if walksElements { try array(&cursor, payload, depth: depth) } else { try cursor.skipValue(depth: depth) }
        case UInt8(ascii: "\""):
            let text = try cursor.string()
            note(
                DecodedField(kind: .string, isEscaped: text.isEscaped, start: text.range.lowerBound, end: text.range.upperBound), payload)
        case UInt8(ascii: "t"):
            try cursor.word("true")
            note(DecodedField(kind: .bool, number: 1), payload)
        case UInt8(ascii: "f"):
            try cursor.word("false")
            note(DecodedField(kind: .bool), payload)
        case UInt8(ascii: "n"): try cursor.word("null")
        default: note(try cursor.number().map { DecodedField(kind: .number, number: $0) } ?? DecodedField(), payload)
        }
    }

    private func object(_ cursor: inout JSONCursor, _ payload: UnsafeRawBufferPointer, depth: Int) throws(DecodeFailure) {
        if cursor.isEmpty(until: UInt8(ascii: "}")) { return }
        let length = path.count
        while true {
            cursor.skipWhiteSpace()
            append(name: try cursor.string(), in: cursor)
            cursor.skipWhiteSpace()
            try cursor.take(UInt8(ascii: ":"))
            try value(&cursor, payload, depth: depth + 1)
            path.removeSubrange(length...)
            if try cursor.isLast(UInt8(ascii: "}")) { return }
        }
    }

    private func append(name: JSONCursor.Text, in cursor: JSONCursor) {
        if !path.isEmpty { path.append(UInt8(ascii: ".")) }
        let bytes = UnsafeBufferPointer(start: cursor.start + name.range.lowerBound, count: name.range.count)
        if name.isEscaped { path += PayloadDecoder.unescaped(bytes) } else { path += bytes }
    }

    private func array(_ cursor: inout JSONCursor, _ payload: UnsafeRawBufferPointer, depth: Int) throws(DecodeFailure) {
        if cursor.isEmpty(until: UInt8(ascii: "]")) { return }
        let length = path.count
        var index = 0
        while true {
            path += "[\(index)]".utf8
            try value(&cursor, payload, depth: depth + 1)
            path.removeSubrange(length...)
            index += 1
            if try cursor.isLast(UInt8(ascii: "]")) { return }
        }
    }

    // MARK: Taking

    private func note(_ field: DecodedField, _ payload: UnsafeRawBufferPointer) {
        let isStamp = !stampPath.isEmpty && path == stampPath
        if isStamp { stamp = EventTime.instant(field, in: payload) }
        guard field.kind != .null, isSelected(field.kind, isStamp: isStamp) else { return }
        guard field.kind != .absent else { return leftOut.outOfRange += 1 }
        guard !path.isEmpty, path.count <= Self.longestPath, field.end - field.start <= Self.longestText else {
            return leftOut.tooLong += 1
        }
        let known = scalars.firstIndex { bytes[$0.path] == path[...] }
        guard known != nil || scalars.count < Self.mostScalars else { return leftOut.tooMany += 1 }
        let scalar = store(field, payload, path: known.map { scalars[$0].path })
        if let known { scalars[known] = scalar } else { scalars.append(scalar) }
    }

    private func isSelected(_ kind: DecodedField.Kind, isStamp: Bool) -> Bool {
        let selected = kind == .string ? texts : fields
        // Everything that is selected does not mean the stamp, which is the reading's time.
        if isStamp, case .all = selected { return false }
        return path.withUnsafeBytes(selected.has)
    }

    private func store(_ field: DecodedField, _ payload: UnsafeRawBufferPointer, path known: Range<Int>?) -> PayloadScalar {
        let place = known ?? bytes.count..<bytes.count + path.count
        if known == nil { bytes += path }
        let start = bytes.count
        if field.kind == .string {
            let text = UnsafeBufferPointer(rebasing: payload.bindMemory(to: UInt8.self)[field.start..<field.end])
            if field.isEscaped { bytes += PayloadDecoder.unescaped(text) } else { bytes += text }
        }
        let kind: PayloadScalar.Kind = field.kind == .string ? .text : field.kind == .bool ? .bool : .number
        return PayloadScalar(kind: kind, number: field.number, path: place, text: start..<bytes.count)
    }
}
