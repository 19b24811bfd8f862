import CEL

/// One decoded field, still pointing into the payload.
struct DecodedField: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable { case absent, null, bool, number, string, container, bytes }
    var kind: Kind = .absent
    var isEscaped = false
    /// Whether it is among those to clear before the next payload.
    var isListed = false
    var number = 0.0
    /// The bytes: of a string between its quotes, of a container with its brackets.
    var start = 0
    var end = 0
}

/// Decodes just the fields that some rule reads, in one pass over the payload, into a row of `DecodedField`.
///
/// Built once for each set of paths; running it allocates nothing, except for fields that are whole objects or arrays.
final class PayloadDecoder {
    /// A member's name, or an element's index, that leads from one node to another.
    private struct Step: BitwiseCopyable {
        /// The first eight bytes of the name, so that most comparisons are one; or the index.
        var head: UInt64
        /// The name in `names`.
        var start: Int32
        var count: Int32
        var child: Int32
    }
    private struct Node: BitwiseCopyable {
        /// Its steps by name, then those by index, in `steps`.
        var names: Int32
        var elements: Int32
        var end: Int32
        /// The row's column, or -1.
        var column: Int32
        /// Columns of everything below it, in `columnsBelow`.
        var below: Int32
        var belowEnd: Int32
    }

    let paths: [FieldPath]
    let decoder: TopicSubscription.Decoder
    // Flat tables, written once in `init`.
    private let nodes: UnsafeMutablePointer<Node>
    private let steps: UnsafeMutablePointer<Step>
    private let names: UnsafeMutablePointer<UInt8>
    private let columnsBelow: UnsafeMutablePointer<Int32>
    /// The node of the member `value`, or -1.
    private let valueNode: Int32
    /// A column a path.
    let row: UnsafeMutablePointer<DecodedField>
    /// Columns to clear before the next payload.
    private let listed = FlatTable<Int32>()
    /// Whether the last payload was one scalar or plain text, not an object or array.
    private(set) var isScalar = false
    /// Numbers beyond double's range that were passed over, ever.
    private(set) var numbersOutOfRange = 0

    /// What a named decoder does; nil for the others.
    private let named: NamedDecoding?
    /// What the places in `row` point into: the payload, or what a named decoder wrote. Good until the next payload.
    private(set) var content = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Whether the last payload was passed over by its decoder: it is no reading.
    private(set) var isPassedOver = false
    /// The time that a named decoder found in the last payload.
    private(set) var decodedTime: Instant?
    /// Why a named decoder refused the last payload, once a message.
    private(set) var refusal: TelemetryDecoderFailure?

    /// `paths` are places in the payload; a column a path.
    init(paths: [FieldPath], decoder: TopicSubscription.Decoder, named: NamedDecoding? = nil) {
        self.paths = paths
        self.decoder = decoder
        self.named = named
        row = .allocate(capacity: max(1, paths.count))
        row.initialize(repeating: DecodedField(), count: paths.count)
        listed.extend(to: paths.count, with: 0)
        listed.clear()
        let tree = PathTree(paths)
        nodes = .allocate(capacity: tree.nodes.count)
        steps = .allocate(capacity: max(1, tree.nodes.count))
        names = .allocate(capacity: max(1, tree.nodes.reduce(0) { $0 + $1.names.reduce(0) { $0 + $1.bytes.count } }))
        columnsBelow = .allocate(capacity: max(1, tree.nodes.reduce(0) { $0 + $1.columnsBelow.count }))
        valueNode = tree.nodes[0].names.first { $0.bytes.elementsEqual("value".utf8) }?.child ?? -1
        var step = 0, byte = 0, below = 0
        for (number, node) in tree.nodes.enumerated() {
            var flat = Node(names: Int32(step), elements: 0, end: 0, column: node.column, below: Int32(below), belowEnd: 0)
            for (bytes, child) in node.names {
                let head = bytes.withUnsafeBytes { Self.head($0.baseAddress, bytes.count) }
                (steps + step).initialize(to: Step(head: head, start: Int32(byte), count: Int32(bytes.count), child: child))
                (names + byte).initialize(from: bytes, count: bytes.count)
                step += 1
                byte += bytes.count
            }
            flat.elements = Int32(step)
            for (index, child) in node.elements {
                (steps + step).initialize(to: Step(head: UInt64(max(0, index)), start: 0, count: 0, child: child))
                step += 1
            }
            flat.end = Int32(step)
            for column in node.columnsBelow {
                (columnsBelow + below).initialize(to: column)
                below += 1
            }
            flat.belowEnd = Int32(below)
            (nodes + number).initialize(to: flat)
        }
    }

    deinit {
        row.deallocate()
        nodes.deallocate()
        steps.deallocate()
        names.deallocate()
        columnsBelow.deallocate()
    }

    @inline(__always)
    private static func head(_ bytes: UnsafeRawPointer?, _ count: Int) -> UInt64 {
        guard let bytes else { return 0 }
        if count >= 8 { return bytes.loadUnaligned(as: UInt64.self) }
        var head: UInt64 = 0
        for offset in 0..<count { head |= UInt64(bytes.load(fromByteOffset: offset, as: UInt8.self)) << UInt64(offset * 8) }
        return head
    }

    @inline(__always)
    private func clear() {
        for place in listed.indices { row[Int(listed[place])] = DecodedField() }
        listed.clear()
        isScalar = false
    }

    @inline(__always)
    private func set(_ column: Int32, _ kind: DecodedField.Kind, number: Double = 0, start: Int = 0, end: Int = 0, isEscaped: Bool = false)
    {
        if !row[Int(column)].isListed { listed.append(column) }
        row[Int(column)] = DecodedField(kind: kind, isEscaped: isEscaped, isListed: true, number: number, start: start, end: end)
    }

    /// Of a name that stands twice in an object the last one counts, with nothing left of what the first held.
    @inline(__always)
    private func clearBelow(_ node: Int32) {
        var at = nodes[Int(node)].below
        while at < nodes[Int(node)].belowEnd {
            row[Int(columnsBelow[Int(at)])].kind = .absent
            at += 1
        }
    }

    /// Fills `row` from a payload. After a failure it is empty. `message` numbers the messages, for named decoders: 0 is always a new one.
    func decode(
        _ payload: UnsafeRawBufferPointer, topic: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0), message: UInt64 = 0
    ) throws(DecodeFailure) {
        clear()
        content = payload
        do throws(DecodeFailure) {
            switch decoder {
            case .automatic: try decodeAutomatically(payload)
            case .text:
                guard JSONCursor.isUTF8(payload.bindMemory(to: UInt8.self)) else { throw DecodeFailure.utf8 }
                setWhole(DecodedField(kind: .string, end: payload.count))
            case .bytes: setWhole(DecodedField(kind: .bytes, end: payload.count))
            case .named: try decodeNamed(topic, payload, message)
            }
        } catch {
            clear()
            throw error
        }
    }

    private func decodeNamed(_ topic: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, _ message: UInt64) throws(DecodeFailure) {
        isPassedOver = false
        decodedTime = nil
        refusal = nil
        guard let named else { throw .decoder }
        let (outcome, isFirst) = named.decode(topic: topic, payload: payload, message: message)
        switch outcome {
        case .failure(let failure):
            if isFirst { refusal = failure }
            throw .decoder
        case .success(.nothing): isPassedOver = true
        case .success(.reading(let time)):
            decodedTime = time
            content = named.content
            do throws(DecodeFailure) { try decodeAutomatically(named.content) } catch {
                if isFirst { refusal = TelemetryDecoderFailure("the decoder's fields are not usable: \(error.explanation)") }
                throw .decoder
            }
        }
    }

    /// A payload that is no object is the field `value`.
    private func setWhole(_ field: DecodedField) {
        isScalar = true
        if valueNode >= 0, nodes[Int(valueNode)].column >= 0 { set(nodes[Int(valueNode)].column, field) }
        if nodes[0].column >= 0 { set(nodes[0].column, field) }
    }

    private func set(_ column: Int32, _ field: DecodedField) {
        set(column, field.kind, number: field.number, start: field.start, end: field.end, isEscaped: field.isEscaped)
    }

    private func decodeAutomatically(_ payload: UnsafeRawBufferPointer) throws(DecodeFailure) {
        var cursor = JSONCursor(payload)
        cursor.skipWhiteSpace()
        guard !payload.isEmpty else { throw .empty }
        if !cursor.isAtEnd, cursor.byte == UInt8(ascii: "{") || cursor.byte == UInt8(ascii: "[") {
            let start = cursor.at
            if cursor.byte == UInt8(ascii: "{") {
                try value(&cursor, node: 0, depth: 0)
            } else {
                try arrayAsValue(&cursor)
            }
            cursor.skipWhiteSpace()
            guard cursor.isAtEnd else { throw .syntax }
            if nodes[0].column >= 0 { set(nodes[0].column, .container, start: start, end: cursor.at) }
            return
        }
        if let scalar = Self.scalar(&cursor) {
            if scalar.kind == .absent { numbersOutOfRange += 1 } else { setWhole(scalar) }
            return
        }
        guard JSONCursor.isUTF8(payload.bindMemory(to: UInt8.self)) else { throw .utf8 }
        setWhole(DecodedField(kind: .string, end: payload.count))
    }

    private func arrayAsValue(_ cursor: inout JSONCursor) throws(DecodeFailure) {
        if valueNode >= 0 { try value(&cursor, node: valueNode, depth: 0) } else { try cursor.skipValue(depth: 0) }
    }

    /// A payload that is one JSON scalar and nothing else; nil for plain text.
    static func scalar(_ cursor: inout JSONCursor) -> DecodedField? {
        guard !cursor.isAtEnd else { return nil }
        var field = DecodedField()
        do {
            switch cursor.byte {
            case UInt8(ascii: "\""):
                let text = try cursor.string()
                field = DecodedField(kind: .string, isEscaped: text.isEscaped, start: text.range.lowerBound, end: text.range.upperBound)
            case UInt8(ascii: "t"):
                try cursor.word("true")
                field = DecodedField(kind: .bool, number: 1)
            case UInt8(ascii: "f"):
                try cursor.word("false")
                field = DecodedField(kind: .bool)
            case UInt8(ascii: "n"):
                try cursor.word("null")
                field = DecodedField(kind: .null)
            default: if let number = try cursor.number() { field = DecodedField(kind: .number, number: number) }
            }
        } catch { return nil }
        cursor.skipWhiteSpace()
        return cursor.isAtEnd ? field : nil
    }

    private func value(_ cursor: inout JSONCursor, node: Int32, depth: Int) throws(DecodeFailure) {
        guard depth <= JSONCursor.maximumDepth else { throw .depth }
        cursor.skipWhiteSpace()
        guard !cursor.isAtEnd else { throw .syntax }
        let column = nodes[Int(node)].column
        let start = cursor.at
        clearBelow(node)
        switch cursor.byte {
        case UInt8(ascii: "{"):
            if nodes[Int(node)].names == nodes[Int(node)].elements {
                try cursor.skipValue(depth: depth)
            } else {
                try object(&cursor, node: node, depth: depth)
            }
            if column >= 0, node != 0 { set(column, .container, start: start, end: cursor.at) }
        case UInt8(ascii: "["):
            if nodes[Int(node)].elements == nodes[Int(node)].end {
                try cursor.skipValue(depth: depth)
            } else {
                try array(&cursor, node: node, depth: depth)
            }
            if column >= 0 { set(column, .container, start: start, end: cursor.at) }
        case UInt8(ascii: "\""):
            let text = try cursor.string()
            if column >= 0 { set(column, .string, start: text.range.lowerBound, end: text.range.upperBound, isEscaped: text.isEscaped) }
        case UInt8(ascii: "t"):
            try cursor.word("true")
            if column >= 0 { set(column, .bool, number: 1) }
        case UInt8(ascii: "f"):
            try cursor.word("false")
            if column >= 0 { set(column, .bool) }
        case UInt8(ascii: "n"):
            try cursor.word("null")
            if column >= 0 { set(column, .null) }
        default:
            if let number = try cursor.number() {
                if column >= 0 { set(column, .number, number: number) }
            } else {
                numbersOutOfRange += 1
                if column >= 0 { row[Int(column)].kind = .absent }
            }
        }
    }

    private func object(_ cursor: inout JSONCursor, node: Int32, depth: Int) throws(DecodeFailure) {
        if cursor.isEmpty(until: UInt8(ascii: "}")) { return }
        while true {
            cursor.skipWhiteSpace()
            let name = try cursor.string()
            cursor.skipWhiteSpace()
            try cursor.take(UInt8(ascii: ":"))
            let child = child(of: node, named: name, in: cursor)
            if child >= 0 { try value(&cursor, node: child, depth: depth + 1) } else { try cursor.skipValue(depth: depth + 1) }
            if try cursor.isLast(UInt8(ascii: "}")) { return }
        }
    }

    @inline(__always)
    private func child(of node: Int32, named name: JSONCursor.Text, in cursor: JSONCursor) -> Int32 {
        guard !name.isEscaped else {
            let bytes = Self.unescaped(UnsafeBufferPointer(start: cursor.start + name.range.lowerBound, count: name.range.count))
            return bytes.withUnsafeBytes { child(of: node, named: $0.baseAddress, $0.count) }
        }
        return child(of: node, named: UnsafeRawPointer(cursor.start + name.range.lowerBound), name.range.count)
    }

    @inline(__always)
    private func child(of node: Int32, named name: UnsafeRawPointer?, _ count: Int) -> Int32 {
        let head = Self.head(name, count)
        var at = Int(nodes[Int(node)].names)
        let end = Int(nodes[Int(node)].elements)
        while at < end {
            let step = steps[at]
            if step.head == head, Int(step.count) == count, count <= 8 || isSame(name, step) { return step.child }
            at += 1
        }
        return -1
    }

    private func isSame(_ name: UnsafeRawPointer?, _ step: Step) -> Bool {
        guard let name else { return false }
        for place in 8..<Int(step.count) where name.load(fromByteOffset: place, as: UInt8.self) != names[Int(step.start) + place] {
            return false
        }
        return true
    }

    @inline(__always)
    private func child(of node: Int32, at index: Int) -> Int32 {
        for place in Int(nodes[Int(node)].elements)..<Int(nodes[Int(node)].end) where steps[place].head == UInt64(index) {
            return steps[place].child
        }
        return -1
    }

    private func array(_ cursor: inout JSONCursor, node: Int32, depth: Int) throws(DecodeFailure) {
        if cursor.isEmpty(until: UInt8(ascii: "]")) { return }
        var index = 0
        while true {
            let child = child(of: node, at: index)
            if child >= 0 { try value(&cursor, node: child, depth: depth + 1) } else { try cursor.skipValue(depth: depth + 1) }
            index += 1
            if try cursor.isLast(UInt8(ascii: "]")) { return }
        }
    }

    /// Bytes of a string's content with its escapes resolved; half a surrogate pair becomes U+FFFD.
    static func unescaped(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var content: [UInt8] = []
        content.reserveCapacity(bytes.count)
        var at = 0
        func code(_ from: Int) -> UInt32 {
            guard from + 4 <= bytes.count else { return 0xFFFD }
            return (from..<from + 4).reduce(0) { $0 << 4 | (JSONCursor.hexadecimal(bytes[$1]) ?? 0) }
        }
        while at < bytes.count {
            guard bytes[at] == UInt8(ascii: "\\"), at + 1 < bytes.count else {
                content.append(bytes[at])
                at += 1
                continue
            }
            switch bytes[at + 1] {
            case UInt8(ascii: "b"): content.append(8)
            case UInt8(ascii: "f"): content.append(12)
            case UInt8(ascii: "n"): content.append(10)
            case UInt8(ascii: "r"): content.append(13)
            case UInt8(ascii: "t"): content.append(9)
            case UInt8(ascii: "u"):
                var scalar = code(at + 2)
                at += 4
                if (0xD800...0xDBFF).contains(scalar), at + 3 < bytes.count, bytes[at + 2] == UInt8(ascii: "\\"),
                    bytes[at + 3] == UInt8(ascii: "u")
                {
                    let low = code(at + 4)
                    if (0xDC00...0xDFFF).contains(low) {
                        scalar = 0x10000 + (scalar - 0xD800) << 10 + (low - 0xDC00)
                        at += 6
                    }
                }
                content.append(contentsOf: String(Character(UnicodeScalar(scalar) ?? "\u{FFFD}")).utf8)
            case let other: content.append(other)
            }
            at += 2
        }
        return content
    }
}
